//! Epochs: everything of a subject or a client is revoked by changing one row.

use super::change::Change;
use super::fence::Fence;
use super::record::{Held, Record};
use super::{Store, as_read};
use crate::backend::{Backend, Key, Kind, Outcome, Term, Terms};
use crate::digest::Digest;
use crate::error::Result;
use crate::keyring::random;
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

/// The epoch that a subject or client is in. A random number rather than a counter: the row may
/// die, once all that was issued before it has, and must not start again at a number used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch(u64);

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
    pub subject: Option<Epoch>,
    /// The client's.
    pub client: Option<Epoch>,
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
        let epoch = |held: &Option<Held<Epoch>>| held.as_ref().map(|held| held.record);
        Epochs { fence: self.fence, subject: epoch(&self.subject.1), client: epoch(&self.client.1) }
    }

    /// True if what was issued under `issued` has not been revoked since.
    ///
    /// An owner without an epoch revoked nothing that is still alive: an epoch's row outlives all
    /// that was issued before it.
    pub fn admit(&self, issued: &Epochs) -> bool {
        let now = self.epochs();
        now.fence == issued.fence
            && (now.subject.is_none() || now.subject == issued.subject)
            && (now.client.is_none() || now.client == issued.client)
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
        for (owner, issued) in [(owners.subject, issued.subject), (owners.client, issued.client)] {
            let held = self.get::<Epoch>(key(owner).id).await?;
            if held.is_some_and(|held| issued != Some(held.record)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins a new epoch: everything issued to `owner` before is revoked, in one write.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// On success the revocation is durable, and no later issue falls before it.
    pub async fn begin_epoch(&self, owner: Owner<'_>) -> Result<()> {
        let mut bytes = [0; 8];
        random(&mut bytes)?;
        let epoch = Epoch(u64::from_le_bytes(bytes));
        let id = key(owner.term()).id;
        loop {
            let held = self.get::<Epoch>(id).await?;
            let until = self.now().saturating_add(self.lifetime_max());
            let mut change = self.change()?;
            match &held {
                Some(held) => change.replace(held, &epoch, until)?,
                None => change.insert(id, &epoch, until)?,
            };
            change.revoking();
            if self.commit(change).await? == Outcome::Applied {
                return Ok(());
            }
        }
    }
}
