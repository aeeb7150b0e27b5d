//! Records as `docs/format.md` draws them, read, changed, and written without the engine.

use crate::input::Input;
use grantkeep::Digest;
use grantkeep::backend::{Key, Kind, Row};
use xxhash_rust::xxh3::xxh3_64;

const HEADER_BYTES: usize = 80;
const TERM_BYTES: usize = 16;
const VALUE_BYTES_MAX: usize = 32_768;
const TOMBSTONE: u8 = 1;

/// The numbers of a record's header: offset and length of each.
const FIELDS: [(usize, usize); 7] = [(8, 8), (16, 8), (24, 8), (40, 1), (41, 1), (42, 1), (44, 4)];

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    let taken = bytes.get(at..).unwrap_or_default();
    let len = taken.len().min(8);
    number[..len].copy_from_slice(&taken[..len]);
    u64::from_le_bytes(number)
}

/// The check that a record of these bytes should have.
fn check(record: &[u8]) -> u64 {
    let mixed = xxh3_64(&record[16..]) ^ u64_at(record, 8);
    mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// The whole record that `bytes` start with.
pub(crate) fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let header = bytes.get(..HEADER_BYTES)?;
    let terms = usize::from(header[42]);
    let value = u32::from_le_bytes(header[44..48].try_into().expect("four bytes")) as usize;
    if terms > 4 || value > VALUE_BYTES_MAX || header[43] != 0 {
        return None;
    }
    let record = bytes.get(..HEADER_BYTES + TERM_BYTES * terms + value)?;
    (check(record) == u64_at(record, 0)).then_some(record)
}

/// Changes a field, some bytes behind the header, or the length, and mostly makes the check hold
/// again.
pub(crate) fn change(record: &mut Vec<u8>, input: &mut Input<'_>) {
    let choices = input.byte();
    let (at, len) = FIELDS[usize::from(choices & 7).min(FIELDS.len() - 1)];
    match choices >> 3 & 7 {
        0..=3 => {
            let number = input.number(u64_at(record, at) & u64::MAX >> (64 - 8 * len));
            if let Some(field) = record.get_mut(at..at + len) {
                field.copy_from_slice(&number.to_le_bytes()[..len]);
            }
        }
        4 | 5 => {
            let at = 48 + input.below(record.len().saturating_sub(48));
            if let Some(byte) = record.get_mut(at) {
                *byte = input.byte();
            }
        }
        6 => {
            // A value of another length, which the header says.
            let bytes = input.below(2_048);
            let front = HEADER_BYTES + TERM_BYTES * usize::from(record[42].min(2));
            record.resize(front + bytes, record[16]);
            let bytes = u32::try_from(bytes).expect("a short value");
            record[44..48].copy_from_slice(&bytes.to_le_bytes());
        }
        _ => {
            let len = input.below(record.len() + 1).max(HEADER_BYTES);
            record.truncate(len);
        }
    }
    if choices >> 6 != 3 && record.len() >= HEADER_BYTES {
        let check = check(record).to_le_bytes();
        record[..8].copy_from_slice(&check);
    }
}

/// What a row says: what an answer can be held against a record by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    pub(crate) key: Key,
    pub(crate) version: u64,
    expires_ms: u64,
    value: Vec<u8>,
}

impl Said {
    /// What a whole record says; `None` for a mark of deletion.
    pub(crate) fn by(record: &[u8]) -> Option<Self> {
        let value = HEADER_BYTES + TERM_BYTES * usize::from(record[42]);
        (record[41] & TOMBSTONE == 0).then(|| Self {
            key: key(record),
            version: u64_at(record, 8),
            expires_ms: u64_at(record, 16),
            value: record[value..].to_vec(),
        })
    }

    pub(crate) fn by_row(row: &Row) -> Self {
        Self {
            key: row.key(),
            version: row.version().0,
            expires_ms: row.expires_at().as_millis(),
            value: row.value().to_vec(),
        }
    }
}

/// The key of a record.
pub(crate) fn key(record: &[u8]) -> Key {
    let id = record[48..HEADER_BYTES].try_into().expect("32 bytes");
    Key::new(Kind::from_byte(record[40]), Digest::from_bytes(id))
}
