//! Epochs: everything of a subject, of a client, or of the two together is revoked by changing one
//! row.
//!
//! What is issued records the numbers of the epochs that it is issued under, and rests on them: it
//! is in force while each is the one that stands. An owner whose epoch has no row never revoked
//! anything, or all that was issued before has expired. The rows of subjects and clients stay for
//! good; the head of `horizon.rs` says when that of a pair expires, and why nothing is in force
//! again then.

use super::change::Change;
use super::fence::Fence;
use super::horizon::HeldHorizon;
use super::owner::{Owner, Owners};
use super::record::{Held, Record};
use super::{Store, as_read};
use crate::backend::{Backend, Key, Kind, Outcome, Term};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::Result;
use crate::keyring::random;
use crate::sabotage::{self, Flaw};
use serde::{Deserialize, Serialize};

/// The key of the epoch of whoever is listed by this term.
fn key(term: Term) -> Key {
    let mut bytes = [0; 32];
    if let Some(head) = bytes.first_chunk_mut() {
        *head = term.0;
    }
    Key::new(Epoch::KIND, Digest::from_bytes(bytes))
}

/// The number of an epoch: a random one, so that no two are alike, whoever's they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochNumber(u64);

/// The epoch that an owner is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// What is recorded in what is issued under it.
    pub number: EpochNumber,
    /// True if nothing is issued under it: its owner is disabled.
    pub closed: bool,
}

impl Record for Epoch {
    const KIND: Kind = Kind::revised(6);
    const NAME: &'static str = "epoch";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The epochs that something was issued under; `None` where its owner had none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epochs {
    /// The store's fence, if it was ever restored.
    pub fence: Option<Fence>,
    /// The subject's.
    pub subject: Option<EpochNumber>,
    /// The client's.
    pub client: Option<EpochNumber>,
    /// That of the pair of both.
    pub pair: Option<EpochNumber>,
}

impl Epochs {
    /// These for what does not rest on the pair, as a personal token.
    #[must_use]
    pub fn without_pair(self) -> Self {
        Self { pair: None, ..self }
    }
}

/// The epochs as they stand, with what it takes to hold them still during a commit.
#[derive(Debug, Clone)]
pub struct StandingEpochs {
    fence: Option<Fence>,
    subject: Standing,
    client: Standing,
    pair: Option<Standing>,
    /// The horizon before they were read.
    horizon: Timestamp,
}

/// An epoch's key, and what stands there.
type Standing = (Key, Option<Held<Epoch>>);

impl StandingEpochs {
    /// What to record in something issued now.
    pub fn epochs(&self) -> Epochs {
        let number = |(_, held): &Standing| held.as_ref().map(|held| held.record.number);
        Epochs {
            fence: self.fence,
            subject: number(&self.subject),
            client: number(&self.client),
            pair: self.pair.as_ref().and_then(number),
        }
    }

    /// True if what was issued under `issued` has not been revoked since.
    ///
    /// An owner without an epoch never revoked anything that can be in force.
    pub fn admit(&self, issued: &Epochs) -> bool {
        let now = self.epochs();
        if sabotage::is(Flaw::EpochIgnored) {
            return true;
        }
        !self.is_closed()
            && now.fence == issued.fence
            && (now.subject.is_none() || now.subject == issued.subject)
            && (now.client.is_none() || now.client == issued.client)
            && (now.pair.is_none() || now.pair == issued.pair)
    }

    /// True if one of the owners is disabled: nothing may be issued.
    pub fn is_closed(&self) -> bool {
        self.standing().any(|(_, held)| held.as_ref().is_some_and(|held| held.record.closed))
    }

    /// Makes `change` depend on the epochs standing as they were read.
    pub fn require(&self, change: &mut Change) {
        for (key, held) in self.standing() {
            change.require_key(*key, as_read(held.as_ref()));
        }
        if self.pair.is_some() {
            change.rest_within(self.horizon);
        }
    }

    fn standing(&self) -> impl Iterator<Item = &Standing> {
        [&self.subject, &self.client].into_iter().chain(&self.pair)
    }
}

impl<B: Backend> Store<B> {
    /// The epochs of a subject, a client, and the pair of both as they stand. An empty name is
    /// nobody, who is no part of a pair.
    ///
    /// # Errors
    /// As [`Backend::get`]; and as [`Backend::commit`], since the store may have to note first how
    /// long what is issued now may live.
    pub async fn epochs(&self, subject: &str, client: &str) -> Result<StandingEpochs> {
        let owners = Owners::new(subject, client);
        // Before they are read: see `horizon.rs`.
        let horizon = match owners.pair {
            Some(_) => self.inner.horizon_ahead().await?,
            None => Timestamp::default(),
        };
        Ok(StandingEpochs {
            fence: self.inner.fence,
            subject: self.standing(owners.subject).await?,
            client: self.standing(owners.client).await?,
            pair: match owners.pair {
                Some(pair) => Some(self.standing(pair).await?),
                None => None,
            },
            horizon,
        })
    }

    async fn standing(&self, owner: Term) -> Result<Standing> {
        let key = key(owner);
        Ok((key, self.get(key.id).await?))
    }

    /// True if none of the owners was revoked since something was issued under `issued`, and the
    /// store was not restored since.
    ///
    /// The epoch of a pair goes once what it revoked has expired. So judge an expiry by
    /// [`Store::now`] as it is after this.
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn admits(&self, owners: Owners, issued: &Epochs) -> Result<bool> {
        if issued.fence != self.inner.fence {
            return Ok(false);
        }
        if sabotage::is(Flaw::EpochIgnored) {
            return Ok(true);
        }
        let pair = owners.pair.map(|pair| (pair, issued.pair));
        let each = [(owners.subject, issued.subject), (owners.client, issued.client)];
        for (owner, issued) in each.into_iter().chain(pair) {
            let held = self.get::<Epoch>(key(owner).id).await?;
            let admits = |epoch: Epoch| !epoch.closed && issued == Some(epoch.number);
            if held.is_some_and(|held| !admits(held.record)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The epoch of one owner, to begin another in a [`Change`].
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) for an owner that has none: a session, and a
    /// pair with an empty name. Otherwise as [`Backend::get`].
    pub async fn epoch(&self, owner: Owner<'_>) -> Result<HeldEpoch> {
        owner.check_has_epoch()?;
        let id = key(owner.term()).id;
        let horizon = match owner {
            Owner::Pair { .. } => Some(self.inner.held_horizon().await?),
            _ => None,
        };
        Ok(HeldEpoch { id, held: self.get(id).await?, horizon })
    }

    /// Begins a new epoch: everything issued to `owner` before is revoked, in one write. One that
    /// is closed stays so. That of a pair spares personal tokens, which do not rest on it.
    ///
    /// # Errors
    /// As [`Store::epoch`], and as [`Backend::commit`].
    ///
    /// # Durability
    /// On success the revocation is durable, and no later issue falls before it.
    pub async fn begin_epoch(&self, owner: Owner<'_>) -> Result<()> {
        loop {
            let epoch = self.epoch(owner).await?;
            let mut change = self.change()?;
            if epoch.is_closed() {
                change.close_epoch(&epoch)?
            } else {
                change.open_epoch(&epoch)?
            };
            change.revoking_owner();
            if self.commit(change).await? == Outcome::Applied {
                return Ok(());
            }
        }
    }
}

/// The epoch of one owner as it was read; see [`Store::epoch`].
#[derive(Debug, Clone)]
pub struct HeldEpoch {
    id: Digest,
    held: Option<Held<Epoch>>,
    /// Where the epoch of a pair expires.
    horizon: Option<HeldHorizon>,
}

impl HeldEpoch {
    /// The epoch, unless nothing was ever revoked that can be in force.
    pub fn held(&self) -> Option<&Held<Epoch>> {
        self.held.as_ref()
    }

    /// True if its owner is disabled.
    pub fn is_closed(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.record.closed)
    }

    /// Makes `change` depend on the epoch standing as it was read.
    pub fn require(&self, change: &mut Change) {
        change.require_key(Key::new(Epoch::KIND, self.id), as_read(self.held.as_ref()));
    }
}

impl Change {
    /// Begins a new epoch: everything issued under the one that was read is revoked.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system's random generator fails.
    pub fn open_epoch(&mut self, epoch: &HeldEpoch) -> Result<&mut Self> {
        self.put_epoch(epoch, false)
    }

    /// The same, and nothing is issued until another is opened: for an owner that is disabled.
    ///
    /// # Errors
    /// As [`Change::open_epoch`].
    pub fn close_epoch(&mut self, epoch: &HeldEpoch) -> Result<&mut Self> {
        self.put_epoch(epoch, true)
    }

    /// The row never expires, unless it is that of a pair: what it revokes may live until it is
    /// revoked, or longer than a store that is opened anew with a shorter longest lifetime would
    /// know. A closed one stays as well, since nothing ends a closure but an opening.
    fn put_epoch(&mut self, at: &HeldEpoch, closed: bool) -> Result<&mut Self> {
        let mut bytes = [0; 8];
        random(&mut bytes)?;
        let epoch = Epoch { number: EpochNumber(u64::from_le_bytes(bytes)), closed };
        match at.horizon.filter(|_| !closed) {
            Some(horizon) => self.put_until_horizon(at.id, at.held.as_ref(), &epoch, horizon),
            None => self.put_row(at.id, at.held.as_ref(), &epoch, Timestamp::NEVER),
        }
    }
}
