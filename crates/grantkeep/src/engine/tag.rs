//! Hashes and tags: what stands for a key where the key itself would take too much room.
//!
//! A hash has 96 bits, keyed by the store's id. Two rows with equal hashes are taken for versions
//! of one key: the odds that any two of n keys meet are n^2 / 2^97, 6 in 10^12 for 10^9 keys.
//! Nobody who does not know the store's id can choose keys that meet, though some keys are digests
//! of names that users choose.
//!
//! A tag is 34 bits of the hash, and what the index files by: ten choose a shard, and its table
//! (`lines.rs`) keeps the rest. Tags do meet, one row in 430 in a store of 4 * 10^7, and are told
//! apart where the rows are read.

use super::lines::REST_BITS;
use crate::backend::Key;
use crate::sync::{Arc, scaled};
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// Parts of the index that have a lock each: so many that none holds anybody up when it grows, and
/// so few that the row cache of each has room for chunks of some windows.
pub(crate) const SHARDS: usize = scaled(1_024, 4);

const SHARD_BITS: u32 = SHARDS.ilog2();
const TAG_BITS: u32 = SHARD_BITS + REST_BITS;
/// As much as the hash function can use.
const SECRET_BYTES: usize = 192;
const CONTEXT: &str = "grantkeep 2026-11 hashes of keys in one store";

/// The hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash {
    high: u64,
    low: u32,
}

impl KeyHash {
    pub(crate) const BYTES: usize = 12;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (high, low) = bytes.split_at_mut(8);
        high.copy_from_slice(&self.high.to_le_bytes());
        low.copy_from_slice(&self.low.to_le_bytes());
        bytes
    }

    /// The hash that `bytes` start with.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (high, rest) = bytes.split_first_chunk()?;
        let low = rest.first_chunk()?;
        Some(Self { high: u64::from_le_bytes(*high), low: u32::from_le_bytes(*low) })
    }

    /// 64 of its bits.
    pub(crate) fn high(self) -> u64 {
        self.high
    }
}

/// How one store hashes its keys.
#[derive(Debug, Clone)]
pub(crate) struct Tags {
    secret: Arc<[u8; SECRET_BYTES]>,
    mask: u64,
}

impl Tags {
    /// Those of the store with this id; `tag_bits` below 64 provoke tags that meet.
    pub(crate) fn new(store: &[u8; 16], tag_bits: u32) -> Self {
        let mut secret = [0; SECRET_BYTES];
        blake3::Hasher::new_derive_key(CONTEXT).update(store).finalize_xof().fill(&mut secret);
        Self { secret: Arc::new(secret), mask: u64::MAX >> (64 - tag_bits.clamp(1, 64)) }
    }

    /// The hash of a key.
    pub(crate) fn hash(&self, key: &Key) -> KeyHash {
        let whole = xxh3_128_with_secret(&key.to_bytes(), &*self.secret);
        let part = |shift: u32| u64::try_from(whole >> shift & u128::from(u64::MAX)).unwrap_or(0);
        KeyHash { high: part(64), low: u32::try_from(part(0) >> 32).unwrap_or(0) }
    }

    /// The tag of a key.
    pub(crate) fn of(&self, key: &Key) -> u64 {
        self.of_hash(self.hash(key))
    }

    /// The tag of a key that has this hash.
    pub(crate) fn of_hash(&self, hash: KeyHash) -> u64 {
        // Spreads short tags over all bits again; the identity for whole ones would do as well.
        let spread = (hash.high & self.mask).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        spread >> (64 - TAG_BITS) << (64 - TAG_BITS)
    }

    /// The number of the shard that `tag` belongs to.
    pub(crate) fn shard(tag: u64) -> usize {
        usize::try_from(tag >> (64 - SHARD_BITS)).unwrap_or(0)
    }

    /// What the shard keeps of a tag.
    pub(crate) fn rest(tag: u64) -> u32 {
        u32::try_from(tag >> (64 - TAG_BITS) & ((1 << REST_BITS) - 1)).unwrap_or(0)
    }

    /// What the tags of a shard have in common.
    pub(crate) fn of_shard(shard: usize) -> u64 {
        (shard as u64) << (64 - SHARD_BITS)
    }

    /// A tag without its shard.
    pub(crate) fn below_shard(rest: u32) -> u64 {
        u64::from(rest) << (64 - TAG_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Kind;
    use crate::digest::Digest;

    // Goal: hashes differ with the key, its kind, and the store, and are written as they are read.
    // Method: a few of each.
    #[test]
    fn hashes_differ_with_key_kind_and_store() {
        let mut seen = std::collections::HashSet::new();
        for store in [[1; 16], [2; 16]] {
            let tags = Tags::new(&store, 64);
            for kind in [Kind::write_once(1), Kind::revised(1)] {
                for number in 0..100_u8 {
                    let hash = tags.hash(&Key::new(kind, Digest::from_bytes([number; 32])));
                    assert_eq!(KeyHash::read(&hash.to_bytes()), Some(hash));
                    assert!(seen.insert(hash));
                }
            }
        }
    }
}
