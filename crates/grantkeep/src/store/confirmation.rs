//! What a token is bound to: a key whose possession its user proves.

use super::bytes;
use serde::{Deserialize, Serialize};

/// The SHA-256 thumbprint of a key, by which a token is bound to it (`cnf`, RFC 7800 section 3.1).
/// It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Confirmation {
    /// `jkt`: of the public key of a proof of possession (RFC 9449 section 6.1, RFC 7638).
    Jkt(#[serde(with = "bytes::fixed")] [u8; 32]),
    /// `x5t#S256`: of the client's certificate (RFC 8705 section 3.1).
    X5tS256(#[serde(with = "bytes::fixed")] [u8; 32]),
}
