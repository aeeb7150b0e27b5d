//! The one table from outcomes to the error codes of RFC 6749.

use crate::clients::{Authenticated, ClientRefusal};
use crate::redeem::Redeemed;
use crate::refresh::Refreshed;
use grantkeep::{Error, ErrorKind};
use std::fmt;

/// An `error` code that a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthError {
    /// RFC 6749 section 5.2: a parameter is malformed.
    InvalidRequest,
    /// RFC 6749 section 5.2: whatever is wrong with a code or a refresh token, it is this, and the
    /// client is not told what.
    InvalidGrant,
    /// RFC 6749 section 5.2: the client did not authenticate; at the token endpoint, status 401.
    InvalidClient,
    /// RFC 6749 section 5.2: the client may not use this grant.
    UnauthorizedClient,
    /// RFC 6749 section 5.2.
    InvalidScope,
    /// RFC 8707 section 2: an audience that was not granted.
    InvalidTarget,
    /// RFC 6749 section 4.1.2.1; at the token endpoint, status 500.
    ServerError,
    /// RFC 6749 section 4.1.2.1; at the token endpoint, status 503.
    TemporarilyUnavailable,
}

impl OAuthError {
    /// The text of the `error` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Redeemed {
    /// What the client is told; `None` if it is granted.
    pub fn oauth_error(&self) -> Option<OAuthError> {
        match self {
            Self::Granted(_) => None,
            Self::InvalidTarget => Some(OAuthError::InvalidTarget),
            Self::Replayed { .. }
            | Self::Expired
            | Self::Mismatch(_)
            | Self::Revoked
            | Self::Unknown => Some(OAuthError::InvalidGrant),
        }
    }
}

impl Refreshed {
    /// What the client is told; `None` if it is given a pair.
    pub fn oauth_error(&self) -> Option<OAuthError> {
        match self {
            Self::Rotated(_) | Self::Retried(_) => None,
            Self::InvalidScope => Some(OAuthError::InvalidScope),
            Self::InvalidTarget => Some(OAuthError::InvalidTarget),
            Self::Reused { .. }
            | Self::Expired
            | Self::Revoked
            | Self::Mismatch(_)
            | Self::Unknown => Some(OAuthError::InvalidGrant),
        }
    }
}

impl Authenticated {
    /// What the client is told; `None` if it is who it says.
    pub fn oauth_error(&self) -> Option<OAuthError> {
        match self {
            Self::Client(_) => None,
            Self::Refused => Some(OAuthError::InvalidClient),
        }
    }
}

impl ClientRefusal {
    /// What the client is told; for a redirect URI, the user.
    pub fn oauth_error(self) -> OAuthError {
        match self {
            Self::Disabled | Self::GrantType => OAuthError::UnauthorizedClient,
            Self::Scope => OAuthError::InvalidScope,
            Self::RedirectUriMissing | Self::RedirectUri => OAuthError::InvalidRequest,
        }
    }
}

impl From<&Error> for OAuthError {
    /// What the client is told when the store could not decide.
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Limit | ErrorKind::Lifetime => Self::InvalidRequest,
            ErrorKind::Disabled => Self::UnauthorizedClient,
            ErrorKind::Full
            | ErrorKind::Clock
            | ErrorKind::Locked
            | ErrorKind::Unknown
            | ErrorKind::Unavailable => Self::TemporarilyUnavailable,
            _ => Self::ServerError,
        }
    }
}
