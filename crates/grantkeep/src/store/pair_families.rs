//! The families of a pair, where their number is bounded: one row for each pair.

use super::family::FamilyId;
use super::owner::Owner;
use super::record::Record;
use crate::backend::Kind;
use crate::digest::Digest;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The row of a pair names at most this many families.
pub const PAIR_FAMILIES_MAX: usize = 100;

/// Which families were opened for a pair, the oldest first. It names those that were in force when
/// the last of them was opened, and it expires no earlier than they do. Where it names none, the
/// families of the pair are to be listed and counted anew: others have come beside them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PairFamilies {
    /// Their ids.
    pub families: Vec<FamilyId>,
}

impl PairFamilies {
    /// The id that the row of this pair is filed under: the term that its families are listed by,
    /// then zeros.
    pub fn row_id(subject: &str, client: &str) -> Digest {
        Owner::Pair { subject, client }.term_digest()
    }
}

impl Record for PairFamilies {
    const KIND: Kind = Kind::revised(17);
    const NAME: &'static str = "list of a pair's families";

    fn check(&self) -> Result<()> {
        let named = self.families.len();
        if named > PAIR_FAMILIES_MAX {
            return Err(Error::limit("the row of a pair", named, PAIR_FAMILIES_MAX, "families"));
        }
        Ok(())
    }
}
