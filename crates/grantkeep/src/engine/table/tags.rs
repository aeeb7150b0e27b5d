//! The tags of a block: for each of its rows what an open needs of it, so that it reads a few bytes
//! instead of the row.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!    n w     12  hash of the key of row n; w is 13, and 21 where rows are later versions
//! n w + 12     1  its kind
//! n w + 13     8  its version, and in the last bit whether it is a deletion; not of first versions
//!     ..      8  check of the key and all before
//! ```

use super::{BlockKey, TABLE_FILE, entry_check};
use crate::backend::{Kind, Row, Version};
use crate::engine::tag::KeyHash;
use crate::error::Error;

/// What an open knows of a row in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) hash: KeyHash,
    pub(crate) kind: Kind,
    /// Its version, and whether it is a deletion; `None` for the first version under its key.
    pub(crate) later: Option<(Version, bool)>,
}

impl Tag {
    /// The tag of a row whose key has this hash.
    pub(crate) fn of(hash: KeyHash, row: &Row) -> Self {
        let later = (!row.is_first()).then(|| (row.version(), row.is_tombstone()));
        Self { hash, kind: row.key().kind, later }
    }
}

/// The value for a block with these rows.
pub(crate) fn encode(key: &BlockKey, rows: impl Iterator<Item = Tag>) -> Vec<u8> {
    let mut value = Vec::new();
    for Tag { hash, kind, later } in rows {
        value.extend_from_slice(&hash.to_bytes());
        value.push(kind.as_byte());
        if let Some((Version(version), is_tombstone)) = later {
            let word = version << 1 | u64::from(is_tombstone);
            value.extend_from_slice(&word.to_le_bytes());
        }
    }
    let check = entry_check(key, &value);
    value.extend_from_slice(&check.to_le_bytes());
    value
}

/// The rows of a block, all of them first versions or none; `None` for a value that is damaged.
pub(crate) fn decode(key: &BlockKey, value: &[u8], first: bool) -> Option<Vec<Tag>> {
    let (rows, check) = value.split_last_chunk()?;
    let whole = u64::from_le_bytes(*check) == entry_check(key, rows);
    let bytes = KeyHash::BYTES + if first { 1 } else { 9 };
    (whole && rows.len() % bytes == 0).then_some(())?;
    let rows = rows.chunks(bytes).map(|row| {
        let hash = KeyHash::read(row)?;
        let (kind, rest) = row.get(KeyHash::BYTES..)?.split_first()?;
        let later = |word| (Version(word >> 1), word & 1 == 1);
        let later = rest.first_chunk().map(|word| later(u64::from_le_bytes(*word)));
        Some(Tag { hash, kind: Kind::from_byte(*kind), later })
    });
    rows.collect()
}

/// The error for tags that are not as they were written.
pub(crate) fn damaged() -> Error {
    Error::corrupt(format!("an index entry in {TABLE_FILE} is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Key;
    use crate::engine::tag::Tags;

    // Goal: tags are read back, and a damaged value is refused. Method: three rows of each kind of
    // block, flip every bit, take another key.
    #[test]
    fn tags_are_read_back_and_damage_is_seen() {
        let (key, kind) = ([7; 14], Kind::write_once(1));
        let tags = Tags::new(&[1; 16], 64);
        for first in [true, false] {
            let later = |version| (!first).then_some((Version(version), version == 8));
            let rows = [(Key::MIN, 1), (Key::MAX, 8), (Key::MIN, (1 << 62) - 1)]
                .map(|(key, version)| Tag { hash: tags.hash(&key), kind, later: later(version) });
            let value = encode(&key, rows.into_iter());
            assert_eq!(decode(&key, &value, first).unwrap(), rows);
            assert!(decode(&[8; 14], &value, first).is_none());
            for bit in 0..value.len() * 8 {
                let mut damaged = value.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&key, &damaged, first).is_none(), "bit {bit}");
            }
        }
    }
}
