//! What a client is handed at the token endpoint, RFC 6749 section 5.1.

use crate::request::scope::Scopes;
use crate::text::secret::Secret;
use grantkeep::FamilyId;
use std::fmt;
use std::time::Duration;

/// What a client is handed: an access token, and the refresh token of its family, where it has one.
/// With the feature `serde` it serializes as the response of RFC 6749 section 5.1.
#[non_exhaustive]
pub struct Issued {
    /// The access token.
    pub access: Secret,
    /// The refresh token; `None` where the policy issues none, and for a client itself (RFC 6749
    /// section 4.4.3).
    pub refresh: Option<Secret>,
    /// How long the access token lives, whole seconds.
    pub expires_in: Duration,
    /// `DPoP` where the access token is bound to the key of a proof (RFC 9449 section 5), else
    /// `Bearer`.
    pub token_type: &'static str,
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// Who granted it; `None` for a client itself, unless it asked with a subject.
    pub subject: Option<String>,
    /// The nonce of the authorization request; only when a code is redeemed.
    pub nonce: Option<String>,
    /// What the server attached to the grant.
    pub payload: Option<Vec<u8>>,
    /// The family, to be listed and revoked by; `None` for a client itself.
    pub family: Option<FamilyId>,
}

impl fmt::Debug for Issued {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("access", &self.access)
            .field("refresh", &self.refresh)
            .field("expires_in", &self.expires_in)
            .field("scopes", &self.scopes)
            .field("subject", &self.subject)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}
