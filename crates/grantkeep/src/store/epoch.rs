//! Epochs: everything of a subject or a client is revoked by changing one row.

use super::change::Change;
use super::fence::Fence;
use super::record::{Held, Record};
use super::{Store, as_read};
use crate::backend::{Backend, Key, Kind, Outcome, Term, Terms};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::Result;
use crate::keyring::random;
use crate::sabotage::{self, Flaw};
use serde::{Deserialize, Serialize};

/// Whose epoch it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A subject's.
    Subject(&'a str),
    /// A client's.
    Client(&'a str),
}

impl Owner<'_> {
    /// What its records are listed by, and its epoch is filed under.
    pub(super) fn term(self) -> Term {
        let digest = match self {
            Self::Subject(name) => Digest::of_name("subject", name.as_bytes()),
            Self::Client(name) => Digest::of_name("client", name.as_bytes()),
        };
        Term(digest.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// A subject and a client, as their terms: their epochs are found without digesting their names
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    subject: Term,
    client: Term,
}

impl Owners {
    /// A subject and a client by their names; an empty one is nobody.
    pub fn new(subject: &str, client: &str) -> Self {
        Self { subject: Owner::Subject(subject).term(), client: Owner::Client(client).term() }
    }

    /// The terms that `Owners` of the same names gave a record.
    pub(super) fn of_terms(terms: Terms) -> Option<Self> {
        let mut terms = terms.iter();
        Some(Self { subject: terms.next()?, client: terms.next()? })
    }

    /// What a record of both is listed by.
    pub(super) fn terms(self) -> Terms {
        Terms::two(self.subject, self.client)
    }
}

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

/// The epoch that a subject or client is in.
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
}

/// The epochs as they stand, with what it takes to hold them still during a commit.
#[derive(Debug, Clone)]
pub struct StandingEpochs {
    fence: Option<Fence>,
    subject: (Key, Option<Held<Epoch>>),
    client: (Key, Option<Held<Epoch>>),
}

impl StandingEpochs {
    /// What to record in something issued now.
    pub fn epochs(&self) -> Epochs {
        let epoch = |held: &Option<Held<Epoch>>| held.as_ref().map(|held| held.record.number);
        Epochs { fence: self.fence, subject: epoch(&self.subject.1), client: epoch(&self.client.1) }
    }

    /// True if what was issued under `issued` has not been revoked since.
    ///
    /// An owner without an epoch never revoked anything.
    pub fn admit(&self, issued: &Epochs) -> bool {
        let now = self.epochs();
        if sabotage::is(Flaw::EpochIgnored) {
            return true;
        }
        !self.is_closed()
            && now.fence == issued.fence
            && (now.subject.is_none() || now.subject == issued.subject)
            && (now.client.is_none() || now.client == issued.client)
    }

    /// True if either owner is disabled: nothing may be issued.
    pub fn is_closed(&self) -> bool {
        let closed = |held: &Option<Held<Epoch>>| held.as_ref().is_some_and(|h| h.record.closed);
        closed(&self.subject.1) || closed(&self.client.1)
    }

    /// Makes `change` depend on the epochs standing as they were read.
    pub fn require(&self, change: &mut Change) {
        for (key, held) in [&self.subject, &self.client] {
            change.require_key(*key, as_read(held.as_ref()));
        }
    }
}

impl<B: Backend> Store<B> {
    /// The epochs of a subject and a client as they stand.
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn epochs(&self, subject: &str, client: &str) -> Result<StandingEpochs> {
        let owners = Owners::new(subject, client);
        let (subject, client) = (key(owners.subject), key(owners.client));
        Ok(StandingEpochs {
            fence: self.inner.fence,
            subject: (subject, self.get(subject.id).await?),
            client: (client, self.get(client.id).await?),
        })
    }

    /// True if neither owner was revoked since something was issued under `issued`, and the store
    /// was not restored since.
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
        for (owner, issued) in [(owners.subject, issued.subject), (owners.client, issued.client)] {
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
    /// As [`Backend::get`].
    pub async fn epoch(&self, owner: Owner<'_>) -> Result<HeldEpoch> {
        let id = key(owner.term()).id;
        Ok(HeldEpoch { id, held: self.get(id).await? })
    }

    /// Begins a new epoch: everything issued to `owner` before is revoked, in one write. One that
    /// is closed stays so.
    ///
    /// # Errors
    /// As [`Backend::commit`].
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
}

impl HeldEpoch {
    /// The epoch, unless nothing was ever revoked.
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

    /// The row never expires: what it revokes may live until it is revoked, or longer than a store
    /// that is opened anew with a shorter longest lifetime would know.
    fn put_epoch(&mut self, at: &HeldEpoch, closed: bool) -> Result<&mut Self> {
        let mut bytes = [0; 8];
        random(&mut bytes)?;
        let epoch = Epoch { number: EpochNumber(u64::from_le_bytes(bytes)), closed };
        match &at.held {
            Some(held) => self.replace(held, &epoch, Timestamp::NEVER),
            None => self.insert(at.id, &epoch, Timestamp::NEVER),
        }
    }
}
