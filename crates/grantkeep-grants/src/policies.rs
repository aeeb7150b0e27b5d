//! Policies by client: which policy the grants of a client are under.
//!
//! The server registers named policies beside the one that it starts with, and a client's record
//! names one of them or none. The record carries a name rather than lifetimes of its own, for three
//! reasons:
//!
//! 1. A policy is not stored, so it may change between two runs and is checked as a whole whenever
//!    the server starts ([`Policy::check`]). Lifetimes in a record would be checked once, when they
//!    were written, and would outlive a policy that is made stricter.
//! 2. The fields of a policy depend on each other (an access token lives no longer than its family
//!    does unused). A record with a few of them could contradict the rest.
//! 3. Many clients share a few policies. A name is one text, and no field that a policy gains
//!    changes the format of stored records.
//!
//! The price: a record may name a policy that the server does not know any more. That is an error
//! wherever the policy is needed, never the default one: it may be laxer.

use crate::clients::ClientInfo;
use crate::grants::Grants;
use crate::policy::{Policy, Refreshing};
use grantkeep::backend::Backend;
use grantkeep::{Client, Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The policies that clients name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies(BTreeMap<String, Arc<Policy>>);

impl Policies {
    /// The policy of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for a name that none has.
    fn named(&self, name: &str) -> Result<&Arc<Policy>> {
        self.0.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let known =
                if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            let way_out = "register it by `Grants::with_policy`, or name another";
            let message = format!("no policy is registered as {name:?} ({known}): {way_out}");
            Error::new(ErrorKind::Missing, message)
        })
    }
}

impl<B: Backend> Grants<B> {
    /// The same grants, with a policy that clients may name
    /// ([`NewClient::policy`](crate::NewClient::policy)); it replaces one of the same name. Call
    /// this before the grants are cloned: a clone that was made before knows nothing of it.
    ///
    /// ```
    /// use grantkeep::{Store, SystemClock, Wait};
    /// use grantkeep_grants::{Creation, Grants, NewClient, Policy};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let store = Store::in_memory(Arc::new(SystemClock::new()))?;
    /// let kiosk = Policy { access_lifetime: Duration::from_secs(60), ..Policy::default() };
    /// let grants = Grants::new(store, Policy::default())?.with_policy("kiosk", kiosk)?;
    /// let new = NewClient::confidential("lobby").policy("kiosk");
    /// let Creation::Created(made) = grants.create_client(new).wait()? else { panic!("taken") };
    /// assert_eq!(grants.policy_of(&made.client)?.access_lifetime, Duration::from_secs(60));
    /// # Ok::<(), grantkeep::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for an empty name; [`ErrorKind::Lifetime`] or [`ErrorKind::Limit`] for
    /// a policy out of bounds, as [`Grants::new`].
    pub fn with_policy(mut self, name: impl Into<String>, policy: Policy) -> Result<Self> {
        let name = name.into();
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Limit, "the name of a policy is empty: name it"));
        }
        policy.check(self.store.lifetime_max()).map_err(|cause| {
            let message = format!("the policy {name:?}: {cause}");
            Error::new(cause.kind(), message).with_source(cause)
        })?;
        Arc::make_mut(&mut self.policies).0.insert(name, Arc::new(policy));
        Ok(self)
    }

    /// The policy that the grants of this client are under: the one that its record names, or the
    /// one that the grants were made with.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the record names one that is not registered. Nothing is issued
    /// then; it is the server that is to be set right, so a client is told `server_error`.
    pub fn policy_of(&self, client: &ClientInfo) -> Result<&Policy> {
        self.policy_named(client.policy.as_deref())
    }

    /// As [`Grants::policy_of`], for the record of a client as a flow has read it; `None` for a
    /// client that is not registered in the store.
    pub(crate) fn policy_for(&self, client: Option<&Client>) -> Result<&Policy> {
        self.policy_named(client.and_then(|client| client.policy.as_deref()))
    }

    /// The policy of this name, or the one that the grants were made with.
    pub(crate) fn policy_named(&self, name: Option<&str>) -> Result<&Policy> {
        name.map_or(Ok(&*self.policy), |name| self.policies.named(name).map(|named| &**named))
    }

    /// What becomes of the refresh tokens of the client of this id.
    pub(crate) async fn refreshing_of(&self, client: &str) -> Result<Refreshing> {
        let client = self.store.client(client).await?;
        Ok(self.policy_for(client.as_ref().map(|held| &held.record))?.refreshing)
    }

    /// These grants under the policy of this name: what a client that names it is granted by.
    pub(crate) fn under(&self, name: &str) -> Result<Self> {
        let mut own = self.clone();
        own.policy = Arc::clone(self.policies.named(name)?);
        Ok(own)
    }
}

/// Refuses an authorization request without a challenge where PKCE is demanded: see
/// [`Policy::demands_pkce`].
///
/// # Errors
/// [`ErrorKind::Limit`], told as `invalid_request` (RFC 7636 section 4.4.1).
pub(crate) fn check_pkce(demanded: bool, challenged: bool) -> Result<()> {
    if challenged || !demanded {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Limit,
        "the client must use PKCE, and the request has no code challenge (RFC 7636)",
    ))
}
