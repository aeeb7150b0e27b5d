//! What is presented by another, or with something else, than it was issued for.

/// What does not match what a code or a family is bound to. For the log: a client is told
/// `invalid_grant`, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It was issued to another client.
    Client,
    /// The redirect URI is another, or missing.
    RedirectUri,
    /// The verifier does not match, is missing, or is there without a challenge (a downgrade, RFC
    /// 9700 section 4.8.2).
    Verifier,
    /// The proven key is another, or missing.
    Confirmation,
}
