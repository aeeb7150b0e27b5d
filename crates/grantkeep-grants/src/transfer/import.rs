//! Taking over what another server has issued.
//!
//! 1. The first pass reads every line and checks all that could keep it from being issued. The
//!    first that is wrong ends the import, and nothing was written.
//! 2. The second pass reads them again and issues them, a few pieces of many lines at a time. What
//!    is there already is passed over, so an import that was interrupted is run again as a whole.
//!    So is all that belongs to a client which was deleted here: nothing brings that back.
//!
//! # What the first pass keeps in memory
//!
//! For each family its id and a hash of its owners, and its refresh token's digest, about 120
//! bytes, so that a token can be held against the family that it names, and no two families share
//! a refresh token; and each client that was found not to be disabled.
//!
//! # What it does not do
//!
//! - A token is not told from another line's that has the same text: the first counts.
//! - What is revoked while the import runs stays revoked only if it was there already: revoke after
//!   it, or leave it out. The same goes for what a later run adds.
//! - A revocation is known as long as its row is there: `docs/transfer.md` says how long.

use super::arrival::{Arrival, Bearer};
use super::check::{Moment, limit};
use super::line::Line;
use super::lines::{Lines, at_line, named};
use super::piece::Piece;
use crate::clients::Registered;
use crate::decision::Owned;
use crate::grants::Grants;
use futures_util::future::try_join_all;
use grantkeep::backend::Backend;
use grantkeep::{Client, Digest, Error, ErrorKind, FamilyId, Owner, Result, Token};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Seek, SeekFrom};

/// So many pieces are on their way at a time: they share syncs.
const PIECES_MAX: usize = 16;

/// Lines between two reports of the first pass.
const STRIDE: u64 = 10_000;

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportStep {
    /// So many lines are checked; nothing is written yet.
    Checked(u64),
    /// So many lines are issued or passed over.
    Written(u64),
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Access tokens that were issued.
    pub tokens: u64,
    /// Personal access tokens that were issued.
    pub personal: u64,
    /// Families that were opened.
    pub families: u64,
    /// Clients that were registered.
    pub clients: u64,
    /// Lines of what was there already.
    pub skipped: u64,
    /// Lines of what had ended, and those of a client that was deleted here, its own among them.
    pub ended: u64,
}

impl Imported {
    fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.personal += other.personal;
        self.families += other.families;
        self.clients += other.clients;
        self.skipped += other.skipped;
        self.ended += other.ended;
    }

    /// How many lines it stands for.
    pub fn lines(&self) -> u64 {
        let issued = self.tokens + self.personal + self.families + self.clients;
        issued + self.skipped + self.ended
    }
}

impl<B: Backend> Grants<B> {
    /// Takes over what another server has issued: access tokens, personal access tokens, refresh
    /// families, and clients, one JSON object on each line; `docs/transfer.md` has their fields.
    ///
    /// Every line is checked before anything is written: a wrong one is named by its number, and
    /// changes nothing. What is there already is passed over, so that an import which was
    /// interrupted can be run again; a client that was deleted here is not registered anew, and
    /// nothing is issued to it. `progress` is told now and then how far it has come.
    ///
    /// A family comes before the tokens that name it, if it is not there already. What is imported
    /// is issued at this moment as far as revocations go. No event is told of it.
    ///
    /// The input is read, and its lines are checked, on the thread that polls this.
    ///
    /// ```
    /// use grantkeep::{Store, SystemClock, Wait};
    /// use grantkeep_grants::{Grants, Introspection, Policy};
    /// use std::io::Cursor;
    /// use std::sync::Arc;
    ///
    /// # fn main() -> grantkeep::Result<()> {
    /// let store = Store::in_memory(Arc::new(SystemClock::new()))?;
    /// let grants = Grants::new(store, Policy::default())?;
    /// let line =
    ///     r#"{"kind":"token","text":"a-token-of-the-old-server","client":"c","expires_in":60}"#;
    /// let imported = grants.import(&mut Cursor::new(line), |_| {}).wait()?;
    /// assert_eq!(imported.tokens, 1);
    /// let answer = grants.introspect("a-token-of-the-old-server").wait()?;
    /// assert!(matches!(answer, Introspection::Active(_)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Limit`], [`ErrorKind::Lifetime`], [`ErrorKind::Disabled`], or
    /// [`ErrorKind::Missing`] for a wrong line, naming it; [`ErrorKind::Io`] for an input that
    /// cannot be read; otherwise as [`Backend::commit`], and then what was written stays.
    ///
    /// # Durability
    /// All of it is durable when it is answered.
    pub async fn import<R: BufRead + Seek + Send>(
        &self,
        input: &mut R,
        mut progress: impl FnMut(ImportStep) + Send,
    ) -> Result<Imported> {
        let moment = Moment { now: self.store.now(), wall: self.store.wall() };
        let start = input.stream_position().map_err(unread)?;
        self.check_import(input, moment, &mut progress).await?;
        input.seek(SeekFrom::Start(start)).map_err(unread)?;
        self.write_import(input, moment, &mut progress).await
    }

    /// The first pass.
    async fn check_import<R: BufRead + Send>(
        &self,
        input: &mut R,
        moment: Moment,
        progress: &mut (impl FnMut(ImportStep) + Send),
    ) -> Result<()> {
        let mut lines = Lines::new(input);
        let (mut known, mut checked) = (Known::default(), 0);
        while let Some((number, line)) = lines.next()? {
            let line = Line::read(line).map_err(|what| named(number, what))?;
            let arrival = self.arrival(line, moment).map_err(|cause| at_line(number, cause))?;
            let fits = known.check(self, &arrival).await;
            fits.map_err(|cause| at_line(number, cause))?;
            checked += 1;
            if checked % STRIDE == 0 {
                progress(ImportStep::Checked(checked));
            }
        }
        progress(ImportStep::Checked(checked));
        Ok(())
    }

    /// The second pass.
    async fn write_import<R: BufRead + Send>(
        &self,
        input: &mut R,
        moment: Moment,
        progress: &mut (impl FnMut(ImportStep) + Send),
    ) -> Result<Imported> {
        let mut lines = Lines::new(input);
        let mut imported = Imported::default();
        let mut pieces = vec![Piece::default()];
        while let Some((number, line)) = lines.next()? {
            let bytes = line.len();
            let line = Line::read(line).map_err(|what| named(number, what))?;
            match self.arrival(line, moment).map_err(|cause| at_line(number, cause))? {
                Arrival::Ended(_) => imported.ended += 1,
                Arrival::Client(client) => {
                    let registered = self.register(*client).await;
                    imported.add(registered.map_err(|cause| at_line(number, cause))?);
                }
                arrival => {
                    if pieces.last().is_none_or(|piece| piece.is_full_for(&arrival, bytes)) {
                        if pieces.len() == PIECES_MAX {
                            imported.add(self.write_pieces(&mut pieces).await?);
                            progress(ImportStep::Written(imported.lines()));
                        }
                        pieces.push(Piece::default());
                    }
                    if let Some(piece) = pieces.last_mut() {
                        piece.push(number, arrival, bytes);
                    }
                }
            }
        }
        imported.add(self.write_pieces(&mut pieces).await?);
        progress(ImportStep::Written(imported.lines()));
        Ok(imported)
    }

    async fn register(&self, client: Client) -> Result<Imported> {
        let none = Imported::default();
        Ok(match self.register_arrived(client).await? {
            Registered::Done => Imported { clients: 1, ..none },
            Registered::Taken => Imported { skipped: 1, ..none },
            Registered::Deleted => Imported { ended: 1, ..none },
        })
    }

    /// Issues the pieces, all at once, and takes them away.
    async fn write_pieces(&self, pieces: &mut Vec<Piece>) -> Result<Imported> {
        let mut pieces = std::mem::take(pieces);
        pieces.retain(|piece| !piece.is_empty());
        let written = pieces.iter_mut().map(|piece| self.decide(piece));
        let mut imported = Imported::default();
        for written in try_join_all(written).await? {
            imported.add(written);
        }
        Ok(imported)
    }
}

/// What the first pass knows of the lines before.
#[derive(Default)]
struct Known {
    /// The families, each with a hash of its owners.
    families: HashMap<FamilyId, u64>,
    /// Whose each refresh token is.
    refresh: HashMap<Digest, FamilyId>,
    hasher: RandomState,
    /// Those that have ended: so have their tokens.
    ended: HashSet<FamilyId>,
    /// Clients that are not disabled; false for those that were deleted.
    clients: HashMap<String, bool>,
}

impl Known {
    /// Checks a line against those before, and against the store.
    async fn check<B: Backend>(&mut self, grants: &Grants<B>, arrival: &Arrival) -> Result<()> {
        let Owned { subject, client, .. } = arrival.owners();
        if !self.is_there(grants, client).await? {
            // It is passed over.
            if let Arrival::Family { record, .. } = arrival {
                self.ended.insert(record.id);
            }
            return Ok(());
        }
        let owners = self.hasher.hash_one((subject, client));
        match arrival {
            Arrival::Family { bearer, record, .. } => {
                self.check_family(grants, bearer.as_ref(), record.id, owners).await
            }
            Arrival::Token { record: Token { family: Some(family), .. }, .. } => {
                match self.owners_of(grants, *family).await? {
                    Some(of) if of == owners => Ok(()),
                    Some(_) => Err(limit("its family is of another subject or client")),
                    None if self.ended.contains(family) => Ok(()),
                    None => Err(limit(
                        "its family is neither here nor on a line before: put the family first, \
                         or leave `family` out",
                    )),
                }
            }
            Arrival::Ended(family) => {
                self.ended.extend(family);
                Ok(())
            }
            Arrival::Token { .. } | Arrival::Personal { .. } | Arrival::Client(_) => Ok(()),
        }
    }

    /// False for a client that was deleted here. An empty name is nobody, who is there.
    ///
    /// # Errors
    /// [`ErrorKind::Disabled`] for one that is disabled.
    async fn is_there<B: Backend>(&mut self, grants: &Grants<B>, client: &str) -> Result<bool> {
        if client.is_empty() {
            return Ok(true);
        }
        if let Some(is_there) = self.clients.get(client) {
            return Ok(*is_there);
        }
        let held = grants.store.client(client).await?;
        let is_closed = grants.store.epoch(Owner::Client(client)).await?.is_closed();
        let is_there = match held {
            Some(held) if is_closed || !held.record.is_enabled() => {
                return Err(Error::new(
                    ErrorKind::Disabled,
                    "its client is disabled here: enable it, or leave out what it has",
                ));
            }
            Some(_) => true,
            // One that was deleted is closed, and has no record.
            None => !is_closed,
        };
        self.clients.insert(client.to_owned(), is_there);
        Ok(is_there)
    }

    async fn check_family<B: Backend>(
        &mut self,
        grants: &Grants<B>,
        bearer: Option<&Bearer>,
        family: FamilyId,
        owners: u64,
    ) -> Result<()> {
        let stored = grants.family_owners(family).await?;
        if stored.is_none() {
            grants.refresh_token_has_arrived(bearer, family).await?;
        }
        if self.known_owners(stored, family).is_some_and(|of| of != owners) {
            return Err(limit(
                "a family of this name is of another subject or client, here or on a line before",
            ));
        }
        self.families.insert(family, owners);
        if let Some(bearer) = bearer {
            let of = *self.refresh.entry(bearer.mark()).or_insert(family);
            if of != family {
                return Err(limit("its refresh token is that of a family on a line before"));
            }
        }
        Ok(())
    }

    /// Whose a family is: by the store, or else by a line before.
    async fn owners_of<B: Backend>(
        &self,
        grants: &Grants<B>,
        family: FamilyId,
    ) -> Result<Option<u64>> {
        let stored = grants.family_owners(family).await?;
        Ok(self.known_owners(stored, family))
    }

    fn known_owners(&self, stored: Option<(String, String)>, family: FamilyId) -> Option<u64> {
        let hash = |(subject, client): (String, String)| {
            self.hasher.hash_one((subject.as_str(), client.as_str()))
        };
        stored.map(hash).or_else(|| self.families.get(&family).copied())
    }
}

fn unread(cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "the import cannot be read from where it begins").with_source(cause)
}
