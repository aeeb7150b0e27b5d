//! What it takes to give an answer again whose first copy was lost: filed under the id of the spent
//! code or device code, and only for as long as it may be asked for again.

use super::bytes;
use super::code::Challenge;
use super::confirmation::Confirmation;
use super::record::{Record, check_optional, check_text};
use crate::backend::Kind;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// What the redemption of a code, or the poll of a device, came with and was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// The redirect URI of the authorization request; `None` for a device.
    pub redirect_uri: Option<String>,
    /// Its PKCE challenge.
    pub challenge: Option<Challenge>,
    /// The key whose possession was proven.
    pub confirmation: Option<Confirmation>,
    /// The nonce that was handed back.
    pub nonce: Option<String>,
    /// The audience of the access token, separated by spaces; empty for any.
    pub audience: String,
    /// The id of the access token: another takes its place.
    #[serde(with = "bytes::fixed")]
    pub access: [u8; 32],
}

impl Record for Repeat {
    const KIND: Kind = Kind::write_once(16);
    const NAME: &'static str = "answer to be repeated";

    fn check(&self) -> Result<()> {
        check_optional("a redirect URI", self.redirect_uri.as_ref())?;
        check_optional("a nonce", self.nonce.as_ref())?;
        check_text("an audience", &self.audience)
    }
}
