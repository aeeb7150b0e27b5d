//! What a token is.

use grantkeep::TokenKind;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimsKind {
    /// An access token on behalf of a subject.
    Access,
    /// An access token for the client itself.
    ClientCredential,
    /// A personal access token.
    Personal,
    /// A refresh token: not to be accepted by a resource server.
    Refresh,
}

impl From<TokenKind> for ClaimsKind {
    fn from(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Access => Self::Access,
            TokenKind::ClientCredential => Self::ClientCredential,
        }
    }
}
