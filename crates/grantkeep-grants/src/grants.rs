//! The grants of one store under one policy.

use crate::format::Tag;
use crate::pace::Paces;
use crate::policy::Policy;
use crate::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Error, ErrorKind, Result, StandingEpochs, Store, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, Timestamp,
};
use std::sync::Arc;

/// OAuth grants over a store. Clones share the store and the policy.
///
/// Each decision is one read and one conditional batch: no lock is held between them, and of any
/// number of racers exactly one is applied. A loser reads again and decides again.
#[derive(Debug)]
pub struct Grants<B> {
    pub(crate) store: Store<B>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) paces: Arc<Paces>,
}

impl<B> Clone for Grants<B> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            policy: Arc::clone(&self.policy),
            paces: Arc::clone(&self.paces),
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
        Ok(Self { store, policy: Arc::new(policy), paces: Arc::new(Paces::new()) })
    }

    /// The store below.
    pub fn store(&self) -> &Store<B> {
        &self.store
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Mints a text in the format of what it is for.
    pub(crate) fn mint(&self, tag: Tag) -> Result<Secret> {
        match tag {
            Tag::Code | Tag::Device | Tag::PushedRequest => &self.policy.code_format,
            Tag::Access => &self.policy.access_format,
            Tag::Refresh => &self.policy.refresh_format,
            Tag::Personal => &self.policy.personal_format,
        }
        .mint(tag)
    }

    /// The epochs to issue under, and the time of the decision.
    pub(crate) async fn standing(
        &self,
        subject: &str,
        client: &str,
    ) -> Result<(StandingEpochs, Timestamp)> {
        let standing = self.store.epochs(subject, client).await?;
        Ok((standing, self.store.now()))
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
