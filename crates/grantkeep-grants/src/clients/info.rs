//! A registered client as a server sees it, and what it may ask for.

use super::authenticate::SecretId;
use super::redirect;
use crate::scope::Scopes;
use grantkeep::backend::Backend;
use grantkeep::{Client, Store, Timestamp};
use std::fmt;
use std::time::SystemTime;

/// A way to be granted something: the `grant_type`s of the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantType {
    /// `authorization_code`, RFC 6749 section 4.1.
    AuthorizationCode,
    /// `refresh_token`, RFC 6749 section 6.
    RefreshToken,
    /// `client_credentials`, RFC 6749 section 4.4; confidential clients only.
    ClientCredentials,
    /// `password`, RFC 6749 section 4.3.
    Password,
    /// `urn:ietf:params:oauth:grant-type:device_code`, RFC 8628 section 3.4.
    DeviceCode,
}

impl GrantType {
    const ALL: [Self; 5] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::Password,
        Self::DeviceCode,
    ];

    /// The text of the `grant_type` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// The grant type that a `grant_type` parameter names.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Grant types as they are stored: each once, in a fixed order.
pub(super) fn grant_types(grants: &[GrantType]) -> String {
    let known = GrantType::ALL.into_iter().filter(|grant| grants.contains(grant));
    crate::scope::join(known.map(GrantType::as_str))
}

/// What is stored; grant types that this version does not know are nothing to it.
pub(super) fn read_grant_types(text: &str) -> Vec<GrantType> {
    text.split(' ').filter_map(GrantType::read).collect()
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
    /// When it was created.
    pub created_at: SystemTime,
    /// When it was disabled, if it is.
    pub disabled_at: Option<SystemTime>,
}

impl fmt::Debug for ClientInfo {
    /// How many secrets and redirect URIs there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientInfo")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("secrets", &self.secrets.len())
            .field("redirect_uris", &self.redirect_uris.len())
            .field("disabled_at", &self.disabled_at)
            .finish_non_exhaustive()
    }
}

/// Why a client may not have what it asks for; `oauth_error` says what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientRefusal {
    /// It is disabled.
    Disabled,
    /// The grant is not among those it may use.
    GrantType,
    /// The scopes are malformed, or not all among those it may be granted.
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
            created_at: client.created_at.into(),
            disabled_at: client.disabled_at.map(SystemTime::from),
        }
    }

    /// Where to redirect to, for the `redirect_uri` parameter of an authorization request: a
    /// registered one, exact to the byte (RFC 9700 section 2.1), but for the port of `127.0.0.1`
    /// and `[::1]` (RFC 8252 section 7.3). It may be left out where exactly one is registered
    /// (RFC 6749 section 3.1.2.3).
    ///
    /// # Errors
    /// [`ClientRefusal::RedirectUriMissing`] or [`ClientRefusal::RedirectUri`]: answer the user,
    /// and redirect nowhere.
    pub fn redirect<'a>(&'a self, presented: Option<&'a str>) -> Result<&'a str, ClientRefusal> {
        match (presented, self.redirect_uris.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(ClientRefusal::RedirectUriMissing),
            (Some(uri), registered) => {
                let known = registered.iter().any(|each| redirect::matches(each, uri));
                if known { Ok(uri) } else { Err(ClientRefusal::RedirectUri) }
            }
        }
    }

    /// Whether the client may use this grant.
    ///
    /// # Errors
    /// [`ClientRefusal::Disabled`] or [`ClientRefusal::GrantType`].
    pub fn permits(&self, grant: GrantType) -> Result<(), ClientRefusal> {
        if self.disabled_at.is_some() {
            return Err(ClientRefusal::Disabled);
        }
        if self.grants.contains(&grant) { Ok(()) } else { Err(ClientRefusal::GrantType) }
    }

    /// The scopes to ask consent for, for the `scope` parameter: those it names, or all that the
    /// client may have without it (RFC 6749 section 3.3).
    ///
    /// # Errors
    /// [`ClientRefusal::Scope`].
    pub fn narrow(&self, asked: Option<&str>) -> Result<Scopes, ClientRefusal> {
        match asked.map(Scopes::read) {
            None => Ok(self.scopes.clone()),
            Some(Ok(asked)) if asked.is_subset(&self.scopes) => Ok(asked),
            Some(_) => Err(ClientRefusal::Scope),
        }
    }
}
