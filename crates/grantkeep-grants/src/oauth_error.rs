//! The one table from outcomes to the error codes of RFC 6749, 6750, 7009, 8628, 8707, 9101, 9126,
//! and 9449, and from those to statuses.

use crate::clients::{Authenticated, ClientRefusal};
use crate::code::claim::Completed;
use crate::code::push::Taken;
use crate::code::redeem::Redeemed;
use crate::device::Polled;
use crate::family::refresh::Refreshed;
use crate::request::audience::Malformed;
use crate::token::revoke::RevokedBy;
use grantkeep::{Error, ErrorKind};
use std::fmt;

/// An `error` code that a client is told. With the feature `serde` it serializes as the response of
/// RFC 6749 section 5.2.
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
    /// RFC 6749 section 5.2: the token endpoint does not know the grant type.
    UnsupportedGrantType,
    /// RFC 6749 section 4.1.2.1: the authorization endpoint does not know the response type.
    UnsupportedResponseType,
    /// RFC 6749 section 5.2.
    InvalidScope,
    /// RFC 6750 section 3.1: whatever is wrong with an access token, it is this; status 401.
    InvalidToken,
    /// RFC 6750 section 3.1: the token has not every scope that is demanded; status 403.
    InsufficientScope,
    /// RFC 7009 section 2.2.1: tokens of this kind cannot be revoked.
    UnsupportedTokenType,
    /// RFC 8707 section 2: an audience that was not granted.
    InvalidTarget,
    /// RFC 8628 section 3.5: poll on.
    AuthorizationPending,
    /// RFC 8628 section 3.5: poll on, 5 s slower.
    SlowDown,
    /// RFC 8628 section 3.5; RFC 6749 section 4.1.2.1.
    AccessDenied,
    /// RFC 8628 section 3.5: the device code is too old.
    ExpiredToken,
    /// RFC 9101 section 7: whatever is wrong with a `request_uri`, it is this.
    InvalidRequestUri,
    /// RFC 9101 section 7: whatever is wrong with a request object, it is this.
    InvalidRequestObject,
    /// RFC 9101 section 7: no request objects by value.
    RequestNotSupported,
    /// RFC 9101 section 7; RFC 9126 section 5: no requests by reference.
    RequestUriNotSupported,
    /// RFC 9449 section 5: whatever is wrong with a `DPoP` proof, it is this.
    InvalidDpopProof,
    /// RFC 9449 section 8: the proof must carry the nonce that comes with the response.
    UseDpopNonce,
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
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::InvalidTarget => "invalid_target",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl OAuthError {
    /// The status of a response that tells it in its body, as at the token endpoint (RFC 6749
    /// section 5.2). At a resource, `invalid_dpop_proof` and `use_dpop_nonce` are 401 (RFC 9449
    /// sections 7.1 and 9).
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken => 401,
            Self::InsufficientScope => 403,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
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
            Self::Unauthorized => Some(OAuthError::UnauthorizedClient),
            Self::Replayed { .. }
            | Self::Expired
            | Self::Mismatch(_)
            | Self::Revoked
            | Self::Unknown => Some(OAuthError::InvalidGrant),
        }
    }
}

impl Completed {
    /// What the client is told; `None` if it is granted.
    pub fn oauth_error(&self) -> Option<OAuthError> {
        match self {
            Self::Granted(_) => None,
            Self::InvalidScope => Some(OAuthError::InvalidScope),
            Self::Unauthorized => Some(OAuthError::UnauthorizedClient),
            Self::Revoked | Self::Already | Self::Mismatch(_) | Self::Unknown => {
                Some(OAuthError::InvalidGrant)
            }
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
            Self::Unauthorized => Some(OAuthError::UnauthorizedClient),
            Self::Reused { .. }
            | Self::RetriedTooOften
            | Self::Expired
            | Self::Revoked
            | Self::Mismatch(_)
            | Self::Unknown => Some(OAuthError::InvalidGrant),
        }
    }
}

impl RevokedBy {
    /// What the client is told; `None` for success (RFC 7009 section 2.1 leaves the code open).
    pub fn oauth_error(self) -> Option<OAuthError> {
        match self {
            Self::Done | Self::Unknown => None,
            Self::NotYours => Some(OAuthError::UnauthorizedClient),
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

impl Polled {
    /// What the device is told; `None` if it is granted.
    pub fn oauth_error(&self) -> Option<OAuthError> {
        match self {
            Self::Granted(_) => None,
            Self::Pending => Some(OAuthError::AuthorizationPending),
            Self::SlowDown => Some(OAuthError::SlowDown),
            Self::Denied => Some(OAuthError::AccessDenied),
            Self::Expired => Some(OAuthError::ExpiredToken),
            Self::InvalidTarget => Some(OAuthError::InvalidTarget),
            Self::Unauthorized => Some(OAuthError::UnauthorizedClient),
            Self::Mismatch(_) | Self::Replayed { .. } | Self::Revoked | Self::Unknown => {
                Some(OAuthError::InvalidGrant)
            }
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

impl Taken {
    /// What the authorization endpoint answers, without a redirect, since none was verified (RFC
    /// 9126 section 4); `None` if it goes on.
    pub fn oauth_error(&self) -> Option<OAuthError> {
        match self {
            Self::Request(_) => None,
            Self::Used | Self::Expired | Self::Mismatch | Self::Revoked | Self::Unknown => {
                Some(OAuthError::InvalidRequestUri)
            }
        }
    }
}

impl From<&Error> for OAuthError {
    /// What the client is told when the store could not decide, or the request asks for too much. A
    /// malformed `resource` is `invalid_target` (RFC 8707 section 2).
    fn from(error: &Error) -> Self {
        let is_of_resource = |source: &(dyn std::error::Error + 'static)| source.is::<Malformed>();
        if std::error::Error::source(error).is_some_and(is_of_resource) {
            return Self::InvalidTarget;
        }
        match error.kind() {
            ErrorKind::Limit | ErrorKind::Lifetime => Self::InvalidRequest,
            ErrorKind::Disabled | ErrorKind::Unauthorized => Self::UnauthorizedClient,
            ErrorKind::Full
            | ErrorKind::Clock
            | ErrorKind::Locked
            | ErrorKind::ReadOnly
            | ErrorKind::Unknown
            | ErrorKind::Unavailable => Self::TemporarilyUnavailable,
            _ => Self::ServerError,
        }
    }
}
