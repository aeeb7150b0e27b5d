//! Codes: what a front channel carries once (RFC 6749 section 4.1, RFC 9126). A device code is
//! none: it is presented again and again, and its record is [`Device`](super::Device).

use super::bytes;
use super::confirmation::Confirmation;
use super::epoch::Epochs;
use super::family::FamilyId;
use super::origin::Origin;
use super::record::{ROOM_OF_A_FAMILY_BYTES, Record, check_optional, check_text};
use super::seal::Payload;
use crate::backend::Kind;
use crate::clock::Timestamp;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// An authorization code, RFC 6749 section 4.1.2.
    Authorization,
    /// A pushed authorization request, RFC 9126 section 2.2: no subject, and the request's
    /// parameters as the payload, sealed.
    PushedRequest,
}

/// A PKCE challenge, RFC 7636 section 4.2.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// The SHA-256 of the verifier.
    S256(#[serde(with = "bytes::fixed")] [u8; 32]),
    /// The verifier itself; only where a policy allows it.
    Plain(String),
}

impl fmt::Debug for Challenge {
    /// Without the verifier that a plain one is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S256(_) => "Challenge::S256",
            Self::Plain(_) => "Challenge::Plain",
        })
    }
}

/// Whether a code was presented already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeState {
    /// Not yet.
    Fresh,
    /// It was; nothing undoes that.
    Spent {
        /// When.
        at: Timestamp,
        /// The family that the redemption opened, to be revoked by a replay.
        family: Option<FamilyId>,
    },
}

/// A single-use code and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// What it is for.
    pub purpose: Purpose,
    /// The client it is bound to.
    pub client: String,
    /// Who granted it.
    pub subject: String,
    /// Granted scopes, separated by spaces.
    pub scopes: String,
    /// The audience of its access tokens, separated by spaces; empty for any (RFC 8707).
    pub audience: String,
    /// The redirect URI of the request, to be presented again (RFC 6749 section 4.1.3).
    pub redirect_uri: Option<String>,
    /// The PKCE challenge of the request.
    pub challenge: Option<Challenge>,
    /// The thumbprint that the redemption must prove, `dpop_jkt` of RFC 9449 section 10.
    pub confirmation: Option<Confirmation>,
    /// The nonce of an `OpenID` Connect request, handed back on redemption.
    pub nonce: Option<String>,
    /// What its family is told of where it was granted.
    pub origin: Origin,
    /// The epochs it was issued under.
    pub epochs: Epochs,
    /// Fresh or spent.
    pub state: CodeState,
    /// What the server attached.
    pub payload: Option<Payload>,
}

impl Record for Code {
    const KIND: Kind = Kind::write_once(1);
    const NAME: &'static str = "code";
    const ROOM_BYTES: usize = ROOM_OF_A_FAMILY_BYTES;
    const RESTS_ON_PAIR: bool = true;

    fn check(&self) -> Result<()> {
        check_text("a client id", &self.client)?;
        check_text("a subject", &self.subject)?;
        check_text("a list of scopes", &self.scopes)?;
        check_text("an audience", &self.audience)?;
        check_optional("a redirect URI", self.redirect_uri.as_ref())?;
        check_optional("a nonce", self.nonce.as_ref())?;
        if let Some(Challenge::Plain(verifier)) = &self.challenge {
            check_text("a code challenge", verifier)?;
        }
        self.origin.check()?;
        self.payload.as_ref().map_or(Ok(()), Payload::check)
    }
}
