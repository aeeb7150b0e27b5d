//! The tags of a block: for each of its rows what an open needs of it, so that it reads nine bytes
//! instead of the row.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!    9 n      8  tag of row n
//!  9 n + 8    1  its kind
//!     ..      8  check of the key and all before
//! ```
//!
//! A row that a later version has replaced is struck out, with a tag of ones and a kind of zero.

use super::{BlockKey, TABLE_FILE, entry_check};
use crate::backend::Kind;
use crate::error::Error;

const TAG_BYTES: usize = 9;
const STRUCK: [u8; TAG_BYTES] = [255, 255, 255, 255, 255, 255, 255, 255, 0];

/// The value for a block with these rows.
pub(crate) fn encode(key: &BlockKey, rows: impl Iterator<Item = (u64, Kind)>) -> Vec<u8> {
    let mut value = Vec::new();
    for (tag, kind) in rows {
        value.extend_from_slice(&tag.to_le_bytes());
        value.push(kind.as_byte());
    }
    sealed(key, value)
}

/// The rows of a block, `None` for those struck out; `None` for a value that is damaged.
pub(crate) fn decode(key: &BlockKey, value: &[u8]) -> Option<Vec<Option<(u64, Kind)>>> {
    let rows = checked(key, value)?.chunks(TAG_BYTES).map(|row| {
        let (tag, kind) = row.split_first_chunk()?;
        let entry = (u64::from_le_bytes(*tag), Kind::from_byte(*kind.first()?));
        Some((row != STRUCK).then_some(entry))
    });
    rows.collect()
}

/// The same value with some rows struck out; `None` for one that is damaged.
pub(crate) fn strike(key: &BlockKey, value: &[u8], rows: &[u16]) -> Option<Vec<u8>> {
    let mut value = checked(key, value)?.to_vec();
    for row in rows {
        let at = TAG_BYTES * usize::from(*row);
        value.get_mut(at..at + TAG_BYTES)?.copy_from_slice(&STRUCK);
    }
    Some(sealed(key, value))
}

/// The error for tags that are not as they were written.
pub(crate) fn damaged() -> Error {
    Error::corrupt(format!("an index entry in {TABLE_FILE} is damaged"))
}

fn sealed(key: &BlockKey, mut value: Vec<u8>) -> Vec<u8> {
    let check = entry_check(key, &value);
    value.extend_from_slice(&check.to_le_bytes());
    value
}

fn checked<'a>(key: &BlockKey, value: &'a [u8]) -> Option<&'a [u8]> {
    let (rows, check) = value.split_last_chunk()?;
    let whole = u64::from_le_bytes(*check) == entry_check(key, rows);
    (whole && rows.len() % TAG_BYTES == 0).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: tags are read back, a struck one is not, and a damaged value is refused. Method: three
    // rows, strike one, flip every bit, take another key.
    #[test]
    fn struck_rows_are_left_out_and_damage_is_seen() {
        let (key, kind) = ([7; 14], Kind::write_once(1));
        let value = encode(&key, [(1, kind), (2, kind), (3, kind)].into_iter());
        let struck = strike(&key, &value, &[1]).unwrap();
        assert_eq!(decode(&key, &struck).unwrap(), [Some((1, kind)), None, Some((3, kind))]);
        assert!(strike(&key, &value, &[3]).is_none());
        assert!(decode(&[8; 14], &value).is_none());
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&key, &damaged).is_none(), "bit {bit}");
        }
    }
}
