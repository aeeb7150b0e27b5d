//! Refresh tokens whose text the server made: a family recognizes those that it derives by
//! itself, these take a row each.

use super::family::FamilyId;
use super::record::Record;
use super::seal::Payload;
use crate::backend::Kind;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Which generation of which family a refresh token is, filed under the token's look-up id for as
/// long as the family may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshText {
    /// The family.
    pub family: FamilyId,
    /// The generation.
    pub generation: u32,
}

impl Record for RefreshText {
    const KIND: Kind = Kind::write_once(11);
    const NAME: &'static str = "refresh token";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The refresh token that came after another, filed under the other's look-up id and sealed for
/// whoever presents that, for as long as a lost response may be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// The text.
    pub text: Payload,
}

impl Record for Successor {
    const KIND: Kind = Kind::write_once(12);
    const NAME: &'static str = "successor of a refresh token";

    fn check(&self) -> Result<()> {
        self.text.check()
    }
}
