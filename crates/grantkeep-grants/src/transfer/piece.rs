//! A piece of an import: as many lines as one batch holds, issued together.
//!
//! 1. What is there already is passed over: an import that was interrupted is run again as a whole.
//! 2. Each line is issued under the standing of its own owners, by an [`Issuing`] of its own, and
//!    these are joined. So none is issued past a revocation, or to a client that is disabled.
//! 3. Where the families of a pair are bounded, their row comes to name none in the same batch:
//!    those that are there are listed anew by whoever opens the next one. An opening and an import
//!    that meet are a conflict, so neither misses what the other adds.
//! 4. The piece is decided as everything else is, and again if something has changed meanwhile.

use super::arrival::{Arrival, Bearer};
use super::check::limit;
use super::import::Imported;
use super::lines::at_line;
use crate::decision::{Flow, Found, Issuing, Owned, Rests as _, Standing, Verdict};
use crate::events::Told;
use crate::grants::Grants;
use grantkeep::backend::{BATCH_STEPS_MAX, Backend};
use grantkeep::{
    Digest, Family, FamilyId, Held, Importing, PairFamilies, Personal, Record, RefreshText, Result,
    SessionId, Timestamp, Token,
};
use std::collections::{HashMap, HashSet};

/// What is left of a batch for last uses, which go along with what is issued.
const STEPS_MAX: usize = BATCH_STEPS_MAX - 10;

/// Lines of one piece have at most this many bytes together: their records have fewer.
const BYTES_MAX: usize = 64 * 1_024;

/// Lines that are issued together.
#[derive(Default)]
pub(crate) struct Piece {
    arrivals: Vec<(u64, Arrival)>,
    owners: HashSet<(String, String)>,
    sessions: HashSet<SessionId>,
    /// The rows of the pairs that families are added to.
    pairs: HashSet<Digest>,
    rows: usize,
    bytes: usize,
}

impl Piece {
    pub(crate) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// True if a line of so many bytes does not fit any more.
    pub(crate) fn is_full_for(&self, arrival: &Arrival, bytes: usize) -> bool {
        // The epochs of a subject, a client, the pair of both, and a session; lines share some.
        let owners = self.owners.len() + self.sessions.len() + 4;
        let pairs = self.pairs.len() + usize::from(arrival.pair().is_some());
        let steps = self.rows + arrival.rows() + owners + pairs;
        !self.is_empty() && (steps > STEPS_MAX || self.bytes + bytes > BYTES_MAX)
    }

    /// The session of a family that comes in the same piece.
    fn session_of(&self, family: FamilyId) -> Option<SessionId> {
        self.arrivals.iter().find_map(|(_, arrival)| match arrival {
            Arrival::Family { record, .. } if record.id == family => record.session,
            _ => None,
        })
    }

    pub(crate) fn push(&mut self, number: u64, arrival: Arrival, bytes: usize) {
        let Owned { subject, client, session } = arrival.owners();
        self.sessions.extend(session);
        for owner in [(subject, ""), ("", client), (subject, client)] {
            self.owners.insert((owner.0.to_owned(), owner.1.to_owned()));
        }
        self.pairs.extend(arrival.pair());
        self.rows += arrival.rows();
        self.bytes += bytes;
        self.arrivals.push((number, arrival));
    }
}

/// What makes the ids of tokens of which the SHA-256 is known.
struct Ids {
    token: Option<Importing<Token>>,
    personal: Option<Importing<Personal>>,
    refresh: Option<Importing<RefreshText>>,
}

/// A line that is not there yet, and how its owners stand.
pub(crate) struct Due {
    at: usize,
    standing: Standing,
}

/// The lines of a piece that are to be issued.
pub(crate) struct Dues {
    lines: Vec<Due>,
    /// The rows of the pairs that families are added to, and whether one is due where there is
    /// none.
    pairs: HashMap<Digest, (Option<Held<PairFamilies>>, bool)>,
    ids: Ids,
    counts: Imported,
}

impl<B: Backend> Flow<B> for Piece {
    const NAME: &'static str = "import";
    type Read = Dues;
    type Rests = ();
    type Answer = Imported;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Dues, Imported>> {
        let ids = self.ids(grants).await?;
        let mut counts = Imported::default();
        let (mut dues, mut seen) = (Vec::with_capacity(self.arrivals.len()), HashSet::new());
        let mut pairs = HashMap::new();
        for (at, (number, arrival)) in self.arrivals.iter().enumerate() {
            let named = |cause| at_line(*number, cause);
            let marks = arrival.marks();
            // What is passed over is no reason to pass over another.
            let is_new = marks.iter().all(|mark| !seen.contains(mark));
            if !is_new || grants.has_arrived(arrival).await.map_err(named)? {
                counts.skipped += 1;
                continue;
            }
            let mut owners = arrival.owners();
            if let Some(family) = arrival.family() {
                match grants.store.get::<Family>(family.digest()).await? {
                    // It would be worth something where its family is not: its own epochs are those
                    // of now.
                    Some(held) => {
                        owners.session = held.record.session;
                        if grants.is_over(held).await? {
                            counts.ended += 1;
                            continue;
                        }
                    }
                    None => owners.session = self.session_of(family),
                }
            }
            let standing = Standing::read(grants, owners).await?;
            if standing.has_deleted_client() {
                counts.ended += 1;
                continue;
            }
            seen.extend(marks);
            if let Some(pair) = arrival.pair().filter(|pair| !pairs.contains_key(pair)) {
                // A policy that is not known may be one that has a bound.
                let policy = grants.policy_for(standing.client());
                let is_bounded = policy.map_or(true, |policy| policy.families_per_pair_max > 0);
                pairs.insert(pair, (grants.store.get(pair).await?, is_bounded));
            }
            dues.push(Due { at, standing });
        }
        Ok(Found::Records(Dues { lines: dues, pairs, ids, counts }))
    }

    fn owners<'r>(&'r self, _: &'r Dues) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        Dues { lines, pairs, ids, mut counts }: Dues,
        (): &(),
    ) -> Result<Verdict<Imported>> {
        let mut whole: Option<Issuing> = None;
        let mut ends = HashMap::new();
        for Due { at, standing } in &lines {
            let Some((number, arrival)) = self.arrivals.get(*at) else { continue };
            let mut issuing = standing.issue(grants).map_err(|cause| at_line(*number, cause))?;
            let issued = issue(&mut issuing, arrival, &ids, &mut counts);
            if !issued.map_err(|cause| at_line(*number, cause))? {
                counts.ended += 1;
                continue;
            }
            if let (Some(pair), Arrival::Family { record, .. }) = (arrival.pair(), arrival) {
                let until = ends.entry(pair).or_insert(record.absolute_expires_at);
                *until = record.absolute_expires_at.max(*until);
            }
            match &mut whole {
                Some(whole) => whole.join(issuing),
                None => whole = Some(issuing),
            }
        }
        Ok(match whole {
            Some(mut whole) => {
                count_anew(&mut whole, &pairs, &ends)?;
                whole.commit(Told::nothing(), counts)
            }
            None => Verdict::answer(counts),
        })
    }
}

impl Piece {
    /// Notes what is about to be imported as its SHA-256, before it is.
    async fn ids<B: Backend>(&self, grants: &Grants<B>) -> Result<Ids> {
        let latest = |of: fn(&Arrival) -> Option<Timestamp>| {
            self.arrivals.iter().filter_map(|(_, arrival)| of(arrival)).max()
        };
        let tokens = latest(|arrival| match arrival {
            Arrival::Token { bearer: Bearer::Sha256(_), until, .. } => Some(*until),
            _ => None,
        });
        let personal = latest(|arrival| match arrival {
            Arrival::Personal { bearer: Bearer::Sha256(_), until, .. } => Some(*until),
            _ => None,
        });
        let refresh = latest(|arrival| match arrival {
            Arrival::Family { bearer: Some(Bearer::Sha256(_)), record, .. } => {
                Some(record.absolute_expires_at)
            }
            _ => None,
        });
        Ok(Ids {
            token: noted(grants, tokens).await?,
            personal: noted(grants, personal).await?,
            refresh: noted(grants, refresh).await?,
        })
    }
}

async fn noted<B: Backend, R: Record>(
    grants: &Grants<B>,
    until: Option<Timestamp>,
) -> Result<Option<Importing<R>>> {
    match until {
        Some(until) => grants.store.note_import(until).await.map(Some),
        None => Ok(None),
    }
}

impl Arrival {
    /// What tells it from others of one piece, one for each of its rows.
    fn marks(&self) -> Vec<(u8, Digest)> {
        match self {
            Self::Token { bearer, .. } => vec![(0, bearer.mark())],
            Self::Personal { bearer, .. } => vec![(1, bearer.mark())],
            Self::Family { bearer, record, .. } => {
                let bearer = bearer.iter().map(|bearer| (3, bearer.mark()));
                bearer.chain([(2, record.id.digest())]).collect()
            }
            Self::Client(_) | Self::Ended(_) => Vec::new(),
        }
    }
}

impl<B: Backend> Grants<B> {
    /// True if what a line brings is there already, in force or not.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) if its refresh token is another family's.
    pub(crate) async fn has_arrived(&self, arrival: &Arrival) -> Result<bool> {
        match arrival {
            Arrival::Token { bearer, .. } => Ok(self.borne::<Token>(bearer).await?.is_some()),
            Arrival::Personal { bearer, .. } => Ok(self.borne::<Personal>(bearer).await?.is_some()),
            Arrival::Family { bearer, record, .. } => {
                Ok(self.store.get::<Family>(record.id.digest()).await?.is_some()
                    || self.refresh_token_has_arrived(bearer.as_ref(), record.id).await?)
            }
            Arrival::Client(record) => Ok(self.store.client(&record.id).await?.is_some()),
            Arrival::Ended(_) => Ok(false),
        }
    }

    /// True if the refresh token of a family is there, and the family is not: it came before, and
    /// lapsed here earlier than its refresh token.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) if it is another family's.
    pub(crate) async fn refresh_token_has_arrived(
        &self,
        bearer: Option<&Bearer>,
        family: FamilyId,
    ) -> Result<bool> {
        let Some(bearer) = bearer else { return Ok(false) };
        match self.borne::<RefreshText>(bearer).await? {
            None => Ok(false),
            Some(text) if text.family == family => Ok(true),
            Some(_) => Err(limit("its refresh token is that of another family")),
        }
    }

    /// True for a family that is not in force, or whose owners do not admit it.
    async fn is_over(&self, held: Held<Family>) -> Result<bool> {
        let admitted = self.admitted_family(held).await?;
        Ok(!admitted.is_some_and(|held| held.in_force(self.store.now())))
    }

    /// The record of a bearer.
    async fn borne<R: Record>(&self, bearer: &Bearer) -> Result<Option<R>> {
        let sha256 = match bearer {
            Bearer::Text(text) => {
                return Ok(self.store.find(text.as_bytes()).await?.map(|held| held.record));
            }
            Bearer::Sha256(sha256) => sha256,
        };
        for id in self.store.ids_of_imported::<R>(sha256) {
            if let Some(held) = self.store.get::<R>(id).await? {
                return Ok(Some(held.record));
            }
        }
        Ok(None)
    }

    /// Whose a family is that was imported, or is there by another way.
    pub(crate) async fn family_owners(&self, id: FamilyId) -> Result<Option<(String, String)>> {
        let held = self.store.get::<Family>(id.digest()).await?;
        Ok(held.map(|held| (held.record.subject, held.record.client)))
    }
}

/// Has the families of these pairs counted anew, where that is due; with each the end of the last
/// of those that come.
fn count_anew(
    issuing: &mut Issuing,
    pairs: &HashMap<Digest, (Option<Held<PairFamilies>>, bool)>,
    ends: &HashMap<Digest, Timestamp>,
) -> Result<()> {
    let nobody = PairFamilies::default();
    for (pair, until) in ends {
        match pairs.get(pair) {
            Some((Some(row), _)) => {
                issuing.replace(row, &nobody, row.expires_at.max(*until))?;
            }
            Some((None, true)) => issuing.insert(*pair, &nobody, issuing.latest().min(*until))?,
            Some((None, false)) | None => {}
        }
    }
    Ok(())
}

/// Issues what a line brings; false if it has ended meanwhile.
fn issue(
    issuing: &mut Issuing,
    arrival: &Arrival,
    ids: &Ids,
    counts: &mut Imported,
) -> Result<bool> {
    let (epochs, root) = (issuing.epochs(), issuing.root_key_id()?);
    if arrival.until().is_none_or(|until| until <= issuing.now()) {
        return Ok(false);
    }
    match arrival {
        Arrival::Token { bearer, record, until } => {
            let record = Token { epochs, ..record.clone() };
            put(issuing, bearer, &record, *until, ids.token.as_ref())?;
            counts.tokens += 1;
        }
        Arrival::Personal { bearer, record, until } => {
            let key_id = key_of(bearer, ids.personal.as_ref(), root);
            let epochs = epochs.without_pair();
            let record = Personal { epochs, key_id, ..record.clone() };
            put(issuing, bearer, &record, *until, ids.personal.as_ref())?;
            counts.personal += 1;
        }
        Arrival::Family { bearer, record, until } => {
            let mut family = Family { epochs, key_id: root, ..(**record).clone() };
            if let Some(bearer) = bearer {
                family.brought = Some(key_of(bearer, ids.refresh.as_ref(), root));
                let text = RefreshText { family: family.id, generation: family.generation };
                let ends_at = family.absolute_expires_at;
                put(issuing, bearer, &text, ends_at, ids.refresh.as_ref())?;
            }
            issuing.insert(family.id.digest(), &family, *until)?;
            counts.families += 1;
        }
        Arrival::Client(_) | Arrival::Ended(_) => return Ok(false),
    }
    Ok(true)
}

/// The root key that the id of a bearer is made with.
fn key_of<R: Record>(bearer: &Bearer, importing: Option<&Importing<R>>, root: u32) -> u32 {
    match bearer {
        Bearer::Text(_) => root,
        Bearer::Sha256(_) => importing.map_or(root, Importing::key_id),
    }
}

fn put<R: Record>(
    issuing: &mut Issuing,
    bearer: &Bearer,
    record: &R,
    until: Timestamp,
    importing: Option<&Importing<R>>,
) -> Result<()> {
    match bearer {
        Bearer::Text(text) => issuing.insert_minted(text.as_bytes(), record, until).map(drop),
        Bearer::Sha256(sha256) => {
            let id = importing.and_then(|importing| importing.id(sha256, until));
            let id = id.ok_or_else(|| limit("it ends later than was noted of its import"))?;
            issuing.insert(id, record, until)
        }
    }
}
