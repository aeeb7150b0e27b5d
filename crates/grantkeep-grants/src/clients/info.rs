//! A registered client as a server sees it, and what it may ask for.

use super::authenticate::SecretId;
use super::grant_type::{GrantType, read_grant_types};
use super::redirect;
use crate::request::scope::Scopes;
use grantkeep::backend::Backend;
use grantkeep::{Client, Store, Timestamp};
use std::borrow::Borrow;
use std::fmt;
use std::time::SystemTime;

/// Whether a client may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// It may: it authenticates, and is issued to.
    Enabled,
    /// Somebody disabled it.
    Disabled {
        /// Since when.
        at: SystemTime,
    },
    /// The store was restored from a backup, and nobody has said since that this client is still to
    /// be trusted: it may have been disabled, or may have lost a secret, after the backup was made.
    /// [`Grants::enable_client`](crate::Grants::enable_client) says so;
    /// [`Grants::disable_client`](crate::Grants::disable_client) says the reverse.
    AwaitsReview {
        /// When the store was restored.
        since: SystemTime,
    },
}

impl From<grantkeep::ClientState> for ClientState {
    fn from(state: grantkeep::ClientState) -> Self {
        match state {
            grantkeep::ClientState::Enabled => Self::Enabled,
            grantkeep::ClientState::Disabled { at } => Self::Disabled { at: at.into() },
            grantkeep::ClientState::AwaitsReview { since } => {
                Self::AwaitsReview { since: since.into() }
            }
        }
    }
}

/// One of a client's secrets, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretInfo {
    /// By what it is removed.
    pub id: SecretId,
    /// When it was added.
    pub created_at: SystemTime,
    /// When it stops being accepted, if it does by itself.
    pub expires_at: Option<SystemTime>,
}

/// A registered client.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientInfo {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it authenticates with a secret.
    pub confidential: bool,
    /// Its secrets, expired ones among them; nothing here presents any.
    pub secrets: Vec<SecretInfo>,
    /// Where it may be redirected to.
    pub redirect_uris: Vec<String>,
    /// The grants it may use.
    pub grants: Vec<GrantType>,
    /// The scopes it may be granted.
    pub scopes: Scopes,
    /// Whether it may be redirected to `localhost` under any port.
    pub loopback: bool,
    /// Whether its record demands PKCE; [`Policy::demands_pkce`](crate::Policy::demands_pkce) says
    /// whether anything does.
    pub require_pkce: bool,
    /// The name of the policy that its grants are under;
    /// [`Grants::policy_of`](crate::Grants::policy_of) finds it.
    pub policy: Option<String>,
    /// When it was created.
    pub created_at: SystemTime,
    /// Whether it may act.
    pub state: ClientState,
}

impl fmt::Debug for ClientInfo {
    /// How many secrets and redirect URIs there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientInfo")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("secrets", &self.secrets.len())
            .field("redirect_uris", &self.redirect_uris.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Why a client may not have what it asks for; `oauth_error` says what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientRefusal {
    /// It is disabled, or waits for a review after a restore.
    Disabled,
    /// The grant is not among those it may use.
    GrantType,
    /// The scopes are malformed or none at all, or not all among those it may be granted.
    Scope,
    /// It named no redirect URI, and has not exactly one. It must not be redirected.
    RedirectUriMissing,
    /// The redirect URI is none of its own. It must not be redirected.
    RedirectUri,
}

impl ClientInfo {
    pub(super) fn of<B: Backend>(client: Client, store: &Store<B>) -> Self {
        let expires =
            |at: Timestamp| (at != Timestamp::NEVER).then(|| store.on_the_wall(at).into());
        let secrets = client.secrets.iter().map(|secret| SecretInfo {
            id: SecretId(secret.id),
            created_at: secret.created_at.into(),
            expires_at: expires(secret.expires_at),
        });
        Self {
            secrets: secrets.collect(),
            id: client.id,
            name: client.name,
            confidential: client.confidential,
            redirect_uris: client.redirect_uris,
            grants: read_grant_types(&client.grant_types),
            scopes: Scopes::stored(client.scopes),
            loopback: client.loopback,
            require_pkce: client.require_pkce,
            policy: client.policy,
            created_at: client.created_at.into(),
            state: client.state.into(),
        }
    }

    /// True if it may act: it is neither disabled, nor does it wait for a review.
    pub fn is_enabled(&self) -> bool {
        self.state == ClientState::Enabled
    }

    /// Where to redirect to, for the `redirect_uri` parameter of an authorization request: a
    /// registered one, exact to the byte (RFC 9700 section 2.1), but for the port of `127.0.0.1`
    /// and `[::1]` (RFC 8252 section 7.3), and of `localhost` where the client's record says
    /// loopback. It may be left out, or empty (RFC 6749 section 3.1), where exactly one is
    /// registered; where there are several, leaving it out is an error (section 3.1.2.3).
    ///
    /// # Errors
    /// [`ClientRefusal::RedirectUriMissing`] or [`ClientRefusal::RedirectUri`]: answer the user,
    /// and redirect nowhere.
    pub fn redirect<'a>(&'a self, presented: Option<&'a str>) -> Result<&'a str, ClientRefusal> {
        match (presented.filter(|uri| !uri.is_empty()), self.redirect_uris.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(ClientRefusal::RedirectUriMissing),
            (Some(uri), registered) => {
                let is_known = |each: &String| redirect::matches(each, uri, self.loopback);
                let known = registered.iter().any(is_known);
                if known { Ok(uri) } else { Err(ClientRefusal::RedirectUri) }
            }
        }
    }

    /// Whether the client may use this grant.
    ///
    /// # Errors
    /// [`ClientRefusal::Disabled`] or [`ClientRefusal::GrantType`].
    pub fn permits(&self, grant: impl Borrow<GrantType>) -> Result<(), ClientRefusal> {
        if !self.is_enabled() {
            return Err(ClientRefusal::Disabled);
        }
        if self.grants.contains(grant.borrow()) { Ok(()) } else { Err(ClientRefusal::GrantType) }
    }

    /// The scopes to ask consent for, for the `scope` parameter: those it names, or all that the
    /// client may have if it is left out or empty (RFC 6749 sections 3.1 and 3.3). Blanks alone
    /// name none, and are refused.
    ///
    /// # Errors
    /// [`ClientRefusal::Scope`].
    pub fn narrow(&self, asked: Option<&str>) -> Result<Scopes, ClientRefusal> {
        match asked.filter(|asked| !asked.is_empty()).map(Scopes::read) {
            None => Ok(self.scopes.clone()),
            Some(Ok(asked)) if asked.iter().next().is_some() && asked.is_subset(&self.scopes) => {
                Ok(asked)
            }
            Some(_) => Err(ClientRefusal::Scope),
        }
    }
}
