//! When a personal access token was last used: a row of its own, so that writing it never undoes a
//! revocation of the token. It dies with the token
//! ([`Change::put_beside`](super::Change::put_beside)).

use super::record::Record;
use crate::backend::Kind;
use crate::clock::Timestamp;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// When a token was last used, filed under the token's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// When, by the wall clock.
    pub at: Timestamp,
}

impl Record for LastUse {
    const KIND: Kind = Kind::revised(13);
    const NAME: &'static str = "last use";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}
