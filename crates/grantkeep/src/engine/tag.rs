//! Tags: what the index files keys by.
//!
//! A tag is 34 bits of a hash: ten choose a shard, and its table (`lines.rs`) keeps the rest. The odds
//! that a key meets another of its tag are n / 2^34 among n rows: one in 430 in a store of 4 * 10^7.

use super::lines::REST_BITS;
use crate::backend::Key;
use crate::sync::scaled;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Parts of the index that have a lock each: so many that none holds anybody up when it grows, and
/// so few that the row cache of each has room for chunks of some windows.
pub(crate) const SHARDS: usize = scaled(1_024, 4);
/// The tags of one store's keys: the top bits of a hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tags {
    seed: u64,
    mask: u64,
}

impl Tags {
    const SHARD_BITS: u32 = SHARDS.ilog2();
    const BITS: u32 = Self::SHARD_BITS + REST_BITS;

    /// The tags of the store with this seed; `tag_bits` below 64 provoke tags that meet.
    pub(crate) fn new(seed: u64, tag_bits: u32) -> Self {
        Self { seed, mask: u64::MAX >> (64 - tag_bits.clamp(1, 64)) }
    }

    /// The tag of a key.
    pub(crate) fn of(self, key: &Key) -> u64 {
        Self::of_filed(self.filed(key))
    }

    /// The tag of a key whose hash is filed in the table.
    pub(crate) fn of_filed(filed: u64) -> u64 {
        filed >> (64 - Self::BITS) << (64 - Self::BITS)
    }

    /// The hash of a key as it is filed in the table.
    pub(crate) fn filed(self, key: &Key) -> u64 {
        // Spreads short tags over all bits again; the identity for whole ones would do as well.
        (self.hash(key) & self.mask).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// All 64 bits, however many of them tags have.
    pub(crate) fn hash(self, key: &Key) -> u64 {
        xxh3_64_with_seed(&key.to_bytes(), self.seed)
    }

    /// The number of the shard that `tag` belongs to.
    pub(crate) fn shard(tag: u64) -> usize {
        part(tag >> (64 - Self::SHARD_BITS), Self::SHARD_BITS)
    }

    /// What a shard keeps of a tag.
    pub(crate) fn rest(tag: u64) -> u32 {
        u32::try_from(tag >> (64 - Self::BITS) & ((1 << REST_BITS) - 1)).unwrap_or(0)
    }

    /// What the tags of a shard have in common.
    pub(crate) fn of_shard(shard: usize) -> u64 {
        (shard as u64) << (64 - Self::SHARD_BITS)
    }

    /// A tag without its shard.
    pub(crate) fn below_shard(rest: u32) -> u64 {
        u64::from(rest) << (64 - Self::BITS)
    }
}

fn part(value: u64, bits: u32) -> usize {
    usize::try_from(value & ((1 << bits) - 1)).unwrap_or(0)
}
