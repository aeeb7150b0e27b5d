//! The grants of one store under one policy.

#[cfg(feature = "hashed-secrets")]
use crate::clients::Verifying;
use crate::decision::Issuing;
use crate::device::pace::Paces;
use crate::events::{Events, Told};
use crate::personal::uses::Uses;
use crate::policies::Policies;
use crate::policy::Policy;
use crate::text::format::Tag;
use crate::text::minter::{Minter, Minting, bring};
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Digest, Embedded, Error, ErrorKind, Record, Result, Store, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN,
    Timestamp,
};
use std::fmt;
use std::sync::Arc;

/// OAuth grants over a store. Clones share the store and the policy.
///
/// Each decision is one read and one conditional batch: no lock is held between them, and of any
/// number of racers exactly one is applied. A loser reads again and decides again.
pub struct Grants<B = Embedded> {
    pub(crate) store: Store<B>,
    pub(crate) policy: Arc<Policy>,
    /// Those that clients name. Nothing changes them while the grants are used.
    pub(crate) policies: Arc<Policies>,
    minter: Option<Arc<dyn Minter>>,
    uses: Arc<Uses>,
    events: Events,
    pub(crate) paces: Arc<Paces>,
    #[cfg(feature = "hashed-secrets")]
    verifying: Verifying,
}

impl<B: fmt::Debug> fmt::Debug for Grants<B> {
    /// Of a size that does not depend on what is stored: tracing prints arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("store", &self.store).finish_non_exhaustive()
    }
}

impl<B> Clone for Grants<B> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            policy: Arc::clone(&self.policy),
            policies: Arc::clone(&self.policies),
            minter: self.minter.clone(),
            uses: Arc::clone(&self.uses),
            events: self.events.clone(),
            paces: Arc::clone(&self.paces),
            #[cfg(feature = "hashed-secrets")]
            verifying: self.verifying.clone(),
        }
    }
}

impl<B: Backend> Grants<B> {
    /// Grants in `store` under `policy`.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`] or [`ErrorKind::Limit`] for a policy out of bounds, naming the
    /// field; see [`Policy::check`].
    pub fn new(store: Store<B>, policy: Policy) -> Result<Self> {
        policy.check(store.lifetime_max())?;
        Ok(Self {
            store,
            policy: Arc::new(policy),
            policies: Arc::default(),
            minter: None,
            uses: Arc::default(),
            events: Events::new(),
            paces: Arc::new(Paces::new()),
            #[cfg(feature = "hashed-secrets")]
            verifying: Verifying::default(),
        })
    }

    /// The same, telling of what happens where `events` does.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Where it is told what happens.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Publishes what [`Store::stats`] answers as gauges and counters of `metrics`; to be called
    /// before they are scraped, or every few seconds. `docs/operating.md` lists them.
    #[cfg(feature = "metrics")]
    pub fn publish_stats(&self) {
        crate::events::observe::stats(&self.store.stats());
    }

    /// The same, with texts that the server makes itself.
    #[must_use]
    pub fn with_minter(self, minter: Arc<dyn Minter>) -> Self {
        Self { minter: Some(minter), ..self }
    }

    /// The store below.
    pub fn store(&self) -> &Store<B> {
        &self.store
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn uses(&self) -> &Uses {
        &self.uses
    }

    #[cfg(feature = "hashed-secrets")]
    pub(crate) fn verifying(&self) -> &Verifying {
        &self.verifying
    }

    pub(crate) fn minter(&self) -> Option<&dyn Minter> {
        self.minter.as_deref()
    }

    /// Makes a text: the server's own, or one in the format of what it is for.
    pub(crate) fn mint(&self, minting: &Minting<'_>) -> Result<Secret> {
        if let Some(text) = bring(self.minter(), minting)? {
            return Ok(text);
        }
        self.mint_own(minting.tag)
    }

    /// Makes a text in the format of what it is for, whoever else makes the others.
    pub(crate) fn mint_own(&self, tag: Tag) -> Result<Secret> {
        match tag {
            Tag::Code | Tag::Device | Tag::PushedRequest => &self.policy.code_format,
            Tag::Access => &self.policy.access_format,
            Tag::Refresh => &self.policy.refresh_format,
            Tag::Personal | Tag::ClientSecret => &self.policy.personal_format,
        }
        .mint(tag)
    }

    /// Adds the record of a text that was just minted; answers the id that it is filed under.
    pub(crate) fn add_text<R: Record>(
        &self,
        issuing: &mut Issuing,
        text: &Secret,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<Digest> {
        let text = text.expose().as_bytes();
        if self.minter.is_some() {
            issuing.insert_text(text, record, expires_at)
        } else {
            issuing.insert_minted(text, record, expires_at)
        }
    }

    /// What is to be told of a decision, nothing yet.
    pub(crate) fn told(&self) -> Told {
        self.events.told()
    }
}

impl Grants<Embedded> {
    /// Stops in order: writes the last uses of personal access tokens that are only in memory
    /// ([`Grants::write_last_uses`]), and closes the store ([`Store::close`]), which all clones
    /// share. To be called once nothing is decided any more: a use that is noted meanwhile is not
    /// written. Dropping all clones closes the store as well, and loses those uses.
    ///
    /// Blocks the calling thread until the store's own threads have ended.
    ///
    /// # Errors
    /// Whatever closing the store answered, or else whatever kept the uses from being written. The
    /// store is closed in either case.
    ///
    /// # Durability
    /// Everything acknowledged is durable, and so are the last uses on success.
    pub async fn close(&self) -> Result<()> {
        let written = self.write_last_uses().await;
        self.store.close()?;
        written.map(|_| ())
    }
}

/// True if a store could hold `token`.
pub(crate) fn can_be_held(token: &str) -> bool {
    (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
}

/// Refuses a presented text over the limit; one that is too short is merely unknown.
pub(crate) fn check_presented(token: &str) -> Result<()> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("token is {} bytes, more than the {TOKEN_BYTES_MAX}-byte limit", token.len()),
        ));
    }
    Ok(())
}

/// Refuses an empty name: the epoch of nobody would be that of everything without an owner.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Limit, format!("{what} is empty: name one")));
    }
    Ok(())
}
