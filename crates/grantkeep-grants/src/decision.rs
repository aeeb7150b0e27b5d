//! The one decision step: every flow that changes something goes through it.
//!
//! 1. The flow reads the records that the decision rests on ([`Flow::read`]), or answers at once.
//! 2. The loop reads how their owners stand, always *after* the records: what a record became, it
//!    became before its owners did. So a record that its owners do not admit may have been changed
//!    between the two looks, and such an answer holds only if it was not
//!    ([`Verdict::IfUnchanged`]).
//! 3. The flow judges ([`Flow::judge`]), under the policy that the client's record names, and
//!    without reading any more: it answers, or makes a change.
//! 4. The change is committed as one batch, on the condition that every record it replaces, and
//!    every owner it rests on, are as they were read. On a conflict: again from 1. Each turn is
//!    caused by somebody else's progress; no error is taken for it.
//! 5. What happened is told with the batch: once it is durable, also if nobody waits any more. No
//!    effect of a decision stands behind its last await.
//!
//! Something is issued by an [`Issuing`] alone, which only a [`Standing`] makes, and which rests on
//! that: it cannot be issued past a revocation. A [`Rewriting`] changes what is there.

mod rewriting;

pub(crate) use rewriting::Rewriting;

use crate::events::Told;
use crate::events::observe;
use crate::grants::Grants;
use grantkeep::backend::{Backend, Key, Kind, Outcome, Version};
use grantkeep::sabotage::{self, Flaw};
use grantkeep::{
    Change, Client, Code, Confirmation, Digest, Epochs, Error, ErrorKind, Family, Held, Owners,
    Personal, Record, RefreshText, Result, SessionId, StandingEpochs, Timestamp, Token,
};
use std::future::Future;

/// A flow: what it reads, and what it makes of that.
pub(crate) trait Flow<B: Backend>: Send {
    /// The name by which its decisions are measured.
    const NAME: &'static str;

    /// The records that it rests on.
    type Read: Send;

    /// What else it rests on: a [`Standing`], or nothing.
    type Rests: Rests<B>;

    /// What it answers.
    type Answer: Send;

    /// Reads the records, anew in each turn.
    fn read(
        &mut self,
        grants: &Grants<B>,
    ) -> impl Future<Output = Result<Found<Self::Read, Self::Answer>>> + Send;

    /// Whose they are.
    fn owners<'r>(&'r self, read: &'r Self::Read) -> Owned<'r>;

    /// What is to be done. It reads nothing more, and changes nothing but what it answers.
    fn judge(
        &mut self,
        grants: &Grants<B>,
        read: Self::Read,
        rests: &Self::Rests,
    ) -> Result<Verdict<Self::Answer>>;
}

/// The names of the owners of a record; an empty one is nobody. And its log-in session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Owned<'r> {
    pub(crate) subject: &'r str,
    pub(crate) client: &'r str,
    pub(crate) session: Option<SessionId>,
}

/// What a flow found.
#[derive(Debug)]
pub(crate) enum Found<R, A> {
    /// What there is to decide about.
    Records(R),
    /// There is nothing to decide.
    Answer(A, Told),
}

impl<R, A> Found<R, A> {
    /// The records, or, where there are none, an answer of which nobody is told.
    pub(crate) fn or(records: Option<R>, answer: A) -> Self {
        records.map_or(Self::Answer(answer, Told::nothing()), Self::Records)
    }
}

/// What a flow makes of what it read.
#[derive(Debug)]
pub(crate) enum Verdict<A> {
    /// This, now.
    Answer(A, Told),
    /// This, if the record is still of that version.
    IfUnchanged(Key, Version, A),
    /// This change; its answer is given once it is durable.
    Commit(Commit<A>),
}

impl<A> Verdict<A> {
    /// An answer of which nobody is told.
    pub(crate) fn answer(answer: A) -> Self {
        Self::Answer(answer, Told::nothing())
    }

    /// The answer about a record that its owners do not admit.
    pub(crate) fn if_unchanged<R: Record>(held: &Held<R>, answer: A) -> Self {
        Self::IfUnchanged(held.key(), held.version, answer)
    }
}

/// A change, what is told of it, and its answer.
#[derive(Debug)]
pub(crate) struct Commit<A> {
    change: Change,
    told: Told,
    answer: A,
}

/// What a decision rests on besides the records it read.
pub(crate) trait Rests<B: Backend>: Sized + Send + Sync {
    /// The name of the policy that it is made under, if it is not that of the grants.
    fn policy(&self) -> Option<&str> {
        None
    }

    /// Reads it.
    fn read(grants: &Grants<B>, owned: Owned<'_>) -> impl Future<Output = Result<Self>> + Send;
}

/// A decision that takes something away rests on the records alone.
impl<B: Backend> Rests<B> for () {
    async fn read(_: &Grants<B>, _: Owned<'_>) -> Result<Self> {
        Ok(())
    }
}

/// How the owners of a grant stand.
#[derive(Debug)]
pub(crate) struct Standing {
    epochs: StandingEpochs,
    /// The record of the client, where it has one.
    client: Option<Client>,
    client_id: String,
}

impl<B: Backend> Rests<B> for Standing {
    fn policy(&self) -> Option<&str> {
        self.client.as_ref().and_then(|client| client.policy.as_deref())
    }

    async fn read(grants: &Grants<B>, owned: Owned<'_>) -> Result<Self> {
        let owners = Owners::new(owned.subject, owned.client).in_session(owned.session);
        let epochs = grants.store.epochs_of(owners).await?;
        let client = grants.store.client(owned.client).await?;
        let (client, client_id) = (client.map(|held| held.record), owned.client.to_owned());
        Ok(Self { epochs, client, client_id })
    }
}

impl Standing {
    /// True if what was issued under `issued` has not been revoked since.
    pub(crate) fn admits(&self, issued: &Epochs) -> bool {
        self.epochs.admit(issued)
    }

    /// The epochs as they stand.
    pub(crate) fn epochs(&self) -> Epochs {
        self.epochs.epochs()
    }

    /// The record of the client, where it has one.
    pub(crate) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// True if the client was deleted: its epoch is closed, and it has no record.
    #[cfg(feature = "transfer")]
    pub(crate) fn has_deleted_client(&self) -> bool {
        self.epochs.is_closed() && self.client.is_none()
    }

    /// True unless the client is registered here, and not for this grant type.
    pub(crate) fn permits(&self, grant: &str) -> bool {
        let named = |client: &Client| client.grant_types.split(' ').any(|own| own == grant);
        self.client.as_ref().is_none_or(named)
    }

    /// A change that issues something to these owners by this grant type.
    ///
    /// # Errors
    /// As [`Standing::issue`]; [`ErrorKind::Unauthorized`] for a client that is registered without
    /// the grant type (`unauthorized_client`, RFC 6749 section 5.2).
    pub(crate) fn issue_by<B: Backend>(&self, grants: &Grants<B>, grant: &str) -> Result<Issuing> {
        let issuing = self.issue(grants)?;
        if self.permits(grant) {
            return Ok(issuing);
        }
        let client = &self.client_id;
        Err(Error::new(
            ErrorKind::Unauthorized,
            format!("client `{client}` is not registered for the grant type `{grant}`"),
        ))
    }

    /// A change that issues something to these owners.
    ///
    /// # Errors
    /// [`ErrorKind::Disabled`] if nothing is issued to the client: it was disabled, or is from
    /// before a restore, and nobody has enabled it since.
    pub(crate) fn issue<B: Backend>(&self, grants: &Grants<B>) -> Result<Issuing> {
        // No condition holds the client's record still: without a new epoch it only ever comes to
        // be enabled.
        let disabled = self.client.as_ref().is_some_and(|client| !client.is_enabled());
        if self.epochs.is_closed() || disabled {
            let client = &self.client_id;
            return Err(Error::new(
                ErrorKind::Disabled,
                format!("client `{client}` is disabled: enable it before issuing to it"),
            ));
        }
        let mut change = grants.store.change()?;
        if !sabotage::is(Flaw::StandingForgotten) {
            self.epochs.require(&mut change);
        }
        let confidential = self.client.as_ref().map(|client| client.confidential);
        Ok(Issuing {
            change,
            epochs: self.epochs.epochs(),
            confidential,
            texts: Vec::new(),
            ended: Vec::new(),
        })
    }
}

/// A change that issues something, and rests on the standing of whom it is issued to.
#[derive(Debug)]
pub(crate) struct Issuing {
    change: Change,
    epochs: Epochs,
    /// Whether the client is registered as one that authenticates, if it is registered.
    confidential: Option<bool>,
    /// The look-up ids of the texts that it issues.
    texts: Vec<Digest>,
    /// The families that it ends.
    ended: Vec<Family>,
}

impl Issuing {
    /// The time by which lifetimes and expiries are judged in this decision.
    pub(crate) fn now(&self) -> Timestamp {
        self.change.now()
    }

    /// The latest time at which something new may expire.
    pub(crate) fn latest(&self) -> Timestamp {
        self.change.latest()
    }

    /// The epochs to record in what is issued.
    pub(crate) fn epochs(&self) -> Epochs {
        self.epochs
    }

    /// What refresh tokens are bound to besides the client: the key of the request, unless the
    /// client authenticates, as its record says, or else the server.
    pub(crate) fn refresh_binding(
        &self,
        confirmation: Option<Confirmation>,
        authenticated: bool,
    ) -> Option<Confirmation> {
        confirmation.filter(|_| !self.confidential.unwrap_or(authenticated))
    }

    /// The id of the root key that texts are issued under.
    pub(crate) fn root_key_id(&self) -> Result<u32> {
        Ok(self.change.root_key()?.id())
    }

    /// Puts a new record.
    pub(crate) fn insert<R: Record>(
        &mut self,
        id: Digest,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<()> {
        self.change.insert(id, record, expires_at).map(drop)
    }

    /// Puts the record of a text that is of 256 random bits: it is new under every root key.
    pub(crate) fn insert_minted<R: Record>(
        &mut self,
        text: &[u8],
        record: &R,
        expires_at: Timestamp,
    ) -> Result<Digest> {
        let id = self.change.root_key()?.lookup(text);
        self.insert(id, record, expires_at)?;
        Ok(id)
    }

    /// Puts the record of a text that may have been issued before.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] if this change issues the same text as something else: one text for two
    /// tokens would make each of them the other.
    pub(crate) fn insert_text<R: Record>(
        &mut self,
        text: &[u8],
        record: &R,
        expires_at: Timestamp,
    ) -> Result<Digest> {
        let id = self.change.insert_text(text, record, expires_at)?;
        if self.texts.contains(&id) {
            return Err(Error::new(
                ErrorKind::Limit,
                "the minter made one text for two tokens: make each one new",
            ));
        }
        self.texts.push(id);
        Ok(id)
    }

    /// Puts a changed record in place of the one that was read, until then, or for as long as this
    /// store allows.
    pub(crate) fn replace<R: Record>(
        &mut self,
        held: &Held<R>,
        record: &R,
        until: Timestamp,
    ) -> Result<()> {
        let until = allowed(&self.change, until);
        self.change.replace(held, record, until).map(drop)
    }

    /// Puts a record with other texts or another payload in place of the one that was read.
    pub(crate) fn edit<R: Record>(
        &mut self,
        held: &Held<R>,
        record: &R,
        until: Timestamp,
    ) -> Result<()> {
        let until = allowed(&self.change, until);
        self.change.edit(held, record, until).map(drop)
    }

    /// Removes a record that was read.
    pub(crate) fn delete<R: Record>(&mut self, held: &Held<R>) {
        self.change.delete(held);
    }

    /// Rests on a record that is not changed.
    pub(crate) fn require<R: Record>(&mut self, held: &Held<R>) {
        self.change.require(held);
    }

    /// Puts a family that has ended in place of the one that was read. It is told of by itself.
    pub(crate) fn end(&mut self, held: &Held<Family>, ended: Family) -> Result<()> {
        self.replace(held, &ended, held.expires_at)?;
        self.ended.push(ended);
        Ok(())
    }

    /// Takes another one along: both are issued, or neither.
    #[cfg(feature = "transfer")]
    pub(crate) fn join(&mut self, other: Self) {
        self.change.join(other.change);
        self.texts.extend(other.texts);
        self.ended.extend(other.ended);
    }

    /// Commits it for this answer.
    pub(crate) fn commit<A>(self, told: Told, answer: A) -> Verdict<A> {
        let told = self.ended.iter().fold(told, Told::ended);
        Verdict::Commit(Commit { change: self.change, told, answer })
    }
}

/// When a row ends that takes the place of another. That one may be from when the store's longest
/// lifetime was longer: that must not keep a decision about it from being made.
fn allowed(change: &Change, until: Timestamp) -> Timestamp {
    if until == Timestamp::NEVER { until } else { until.min(change.latest()) }
}

impl<B: Backend> Grants<B> {
    /// Decides, and answers once that is durable.
    pub(crate) fn decide<F: Flow<B>>(
        &self,
        flow: &mut F,
    ) -> impl Future<Output = Result<F::Answer>> {
        observe::span(F::NAME, self.decided(flow))
    }

    async fn decided<F: Flow<B>>(&self, flow: &mut F) -> Result<F::Answer> {
        let _measured = observe::measured(F::NAME);
        loop {
            let read = match flow.read(self).await? {
                Found::Records(read) => read,
                Found::Answer(answer, told) => return Ok(told.with(answer)),
            };
            let rests = F::Rests::read(self, flow.owners(&read)).await?;
            let named = rests.policy().map(|name| self.under(name)).transpose()?;
            match flow.judge(named.as_ref().unwrap_or(self), read, &rests)? {
                Verdict::Answer(answer, told) => return Ok(told.with(answer)),
                Verdict::IfUnchanged(key, version, answer) => {
                    let now = self.store.backend().get(key).await?;
                    if now.is_some_and(|row| row.version() == version) {
                        return Ok(answer);
                    }
                }
                Verdict::Commit(Commit { change, told, answer }) => {
                    if self.commit(change, told).await? {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// Commits a change; false if something that it rests on changed since it was read. One that
    /// issues something takes last uses along; one that revokes is left alone, since it must go
    /// through on a full disk.
    pub(crate) async fn commit(&self, mut change: Change, told: Told) -> Result<bool> {
        let telling = told.along(&mut change);
        let applied = if change.issues() {
            let along = self.uses_along(&mut change).await?;
            let applied = self.commit_alone(change).await?;
            if applied {
                along.written();
            }
            applied
        } else {
            self.commit_alone(change).await?
        };
        drop(telling);
        Ok(applied)
    }

    pub(crate) async fn commit_alone(&self, change: Change) -> Result<bool> {
        let of_text = |key: &&Key| TEXT_KINDS.contains(&key.kind);
        let brought: Vec<Key> = change.texts().iter().filter(of_text).copied().collect();
        match self.store.commit(change).await? {
            Outcome::Applied => Ok(true),
            // To decide again would bring the same text again.
            Outcome::Conflict(key) if brought.contains(&key) => Err(Error::new(
                ErrorKind::Limit,
                "the minter made a text that was issued before: make each one new",
            )),
            Outcome::Conflict(_) => Ok(false),
        }
    }
}

/// What is filed under the look-up id of a text.
const TEXT_KINDS: [Kind; 4] = [Code::KIND, Token::KIND, Personal::KIND, RefreshText::KIND];
