//! Rows, and the record: the one byte layout that a row has in memory, in the log, and in the
//! table (`docs/format.md` draws it).

use super::key::{Key, Kind, TERMS_MAX, Term, Terms};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::sabotage::{self, Flaw};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A row's value holds at most this many bytes.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a record before its terms and value.
pub(crate) const RECORD_HEADER_BYTES: usize = 80;
/// Bytes of one term.
pub(crate) const TERM_BYTES: usize = 16;
/// Bytes of as many terms as a record may have.
pub(crate) const TERMS_BYTES_MAX: usize = TERMS_MAX * TERM_BYTES;
/// The longest record of a deletion.
pub(crate) const TOMBSTONE_BYTES_MAX: usize = RECORD_HEADER_BYTES + TERMS_BYTES_MAX;

const TOMBSTONE: u8 = 1;
const FIRST: u8 = 2;
const HAD_AN_END: u8 = 4;

/// Which write a row is the result of: opaque, larger for later writes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// 128 random bits that name one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Op(pub u128);

/// A row to be put.
#[derive(Clone)]
pub struct NewRow {
    /// The value, at most [`VALUE_BYTES_MAX`] bytes.
    pub value: Vec<u8>,
    /// When the row stops being valid. Engines sweep it some time after.
    pub expires_at: Timestamp,
    /// What the row is listed by.
    pub terms: Terms,
}

impl fmt::Debug for NewRow {
    /// Without the value, which may hold secrets (P9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRow")
            .field("value_bytes", &self.value.len())
            .field("expires_at", &self.expires_at)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// A stored row. Cloning one shares its bytes; one that comes from a frame of the log shares all
/// that was read together with it, megabytes, and is not to be kept for long.
///
/// ```text
/// offset  bytes  field (little-endian)
///      0      8  check: xxh3-64 of all that follows the version, mixed with the version
///      8      8  version
///     16      8  expires_at, milliseconds since the Unix epoch
///     24     16  op
///     40      1  kind
///     41      1  flags: 1 = tombstone, 2 = nothing was stored under the key before, 4 = something
///                that expires was
///     42      1  number of terms, 0 to 4
///     43      1  zero
///     44      4  length of the value
///     48     32  id
///     80   16 n  terms
///            ..  value
/// ```
#[derive(Clone)]
pub struct Row {
    bytes: Arc<[u8]>,
    /// Where the record is in them.
    start: u32,
    end: u32,
}

impl Row {
    /// The row that `batch op` put under `key`, as `version`.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) if the value is too long.
    pub fn new(key: Key, row: &NewRow, version: Version, op: Op) -> Result<Self> {
        Self::encode(key, 0, row.expires_at, row.terms, &row.value, op).map(|mut new| {
            new.set_version(version);
            new
        })
    }

    /// A mark that `key` was deleted; it outlives the row it deletes.
    pub(crate) fn tombstone(key: Key, expires_at: Timestamp, terms: Terms, op: Op) -> Result<Self> {
        Self::encode(key, TOMBSTONE, expires_at, terms, &[], op)
    }

    fn encode(
        key: Key,
        flags: u8,
        expires_at: Timestamp,
        terms: Terms,
        value: &[u8],
        op: Op,
    ) -> Result<Self> {
        let value_bytes = u32::try_from(value.len())
            .ok()
            .filter(|_| value.len() <= VALUE_BYTES_MAX)
            .ok_or_else(|| Error::limit("a row's value", value.len(), VALUE_BYTES_MAX, "bytes"))?;
        let terms_count = terms.count();
        let head_bytes = RECORD_HEADER_BYTES + TERM_BYTES * terms_count;
        let mut record = Vec::with_capacity(head_bytes + value.len());
        record.extend_from_slice(&[0; 16]);
        record.extend_from_slice(&expires_at.as_millis().to_le_bytes());
        record.extend_from_slice(&op.0.to_le_bytes());
        // At most `TERMS_MAX`.
        let terms_byte = u8::try_from(terms_count).unwrap_or(u8::MAX);
        record.extend_from_slice(&[key.kind.as_byte(), flags, terms_byte, 0]);
        record.extend_from_slice(&value_bytes.to_le_bytes());
        record.extend_from_slice(key.id.as_bytes());
        for term in terms.iter() {
            record.extend_from_slice(&term.0);
        }
        record.extend_from_slice(value);
        Ok(Self::of(record.into()))
    }

    /// The row of a record that was checked.
    pub(crate) fn of(record: Arc<[u8]>) -> Self {
        let end = u32::try_from(record.len()).unwrap_or(u32::MAX);
        Self { bytes: record, start: 0, end }
    }

    /// Notes of a record that is not shared, and has no version yet, which row it takes the place
    /// of.
    pub(crate) fn note_before(&mut self, before: Option<&Row>) {
        let had_an_end = |row: &Row| row.had_an_end() || row.expires_at() != Timestamp::NEVER;
        let noted = before.map_or(FIRST, |row| if had_an_end(row) { HAD_AN_END } else { 0 });
        if let Some(flags) = Arc::get_mut(&mut self.bytes).and_then(|bytes| bytes.get_mut(41)) {
            *flags |= noted;
        }
    }

    /// Gives a record that is not shared yet its version, and with it its check.
    pub(crate) fn set_version(&mut self, version: Version) {
        let Some(bytes) = Arc::get_mut(&mut self.bytes) else { return };
        let check = check(bytes, version);
        if let Some(head) = bytes.first_chunk_mut::<16>() {
            let (check_bytes, version_bytes) = head.split_at_mut(8);
            check_bytes.copy_from_slice(&check.to_le_bytes());
            version_bytes.copy_from_slice(&version.0.to_le_bytes());
        }
    }

    /// True if nothing was stored under the key when the row was put: the table has no version.
    pub(crate) fn is_first(&self) -> bool {
        self.as_record().get(41).is_some_and(|flags| flags & FIRST != 0)
    }

    /// True if a version before this one was to expire.
    pub(crate) fn had_an_end(&self) -> bool {
        self.as_record().get(41).is_some_and(|flags| flags & HAD_AN_END != 0)
    }

    /// Reads the record that `bytes` start with; `None` unless it is whole and its check holds.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        checked(bytes).map(|record| Self::of(record.into()))
    }

    /// Reads the record at `at` in `bytes`, which the row shares: they stay for as long as it does.
    pub(crate) fn read_in(bytes: &Arc<[u8]>, at: usize) -> Option<Self> {
        let end = at + checked(bytes.get(at..)?)?.len();
        let (start, end) = (u32::try_from(at).ok()?, u32::try_from(end).ok()?);
        Some(Self { bytes: Arc::clone(bytes), start, end })
    }

    /// The record.
    pub(crate) fn as_record(&self) -> &[u8] {
        self.bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The record's check, which stands for all its bytes.
    pub(crate) fn check(&self) -> u64 {
        self.u64_at(0)
    }

    /// True for a mark of deletion.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.as_record().get(41).is_some_and(|flags| flags & TOMBSTONE != 0)
    }

    /// The key the row is filed under.
    pub fn key(&self) -> Key {
        key_of(self.as_record())
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        let terms_bytes = TERM_BYTES * self.terms_count();
        self.as_record().get(RECORD_HEADER_BYTES + terms_bytes..).unwrap_or_default()
    }

    /// When the row stops being valid.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.u64_at(16))
    }

    /// The index terms.
    pub fn terms(&self) -> Terms {
        let bytes = self.as_record().get(RECORD_HEADER_BYTES..).unwrap_or_default();
        let (stored, _) = bytes.as_chunks::<TERM_BYTES>();
        let mut terms = [None; TERMS_MAX];
        for (term, bytes) in terms.iter_mut().zip(stored.iter().take(self.terms_count())) {
            *term = Some(Term(*bytes));
        }
        Terms::of(terms)
    }

    /// Refuses other terms than the row's: they are fixed at its first put, so that an index needs
    /// no second look.
    pub(crate) fn check_terms(&self, terms: Terms) -> Result<()> {
        if self.terms() == terms {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Limit,
            "the index terms of a row are fixed at its first put: delete it and insert another",
        ))
    }

    /// Which write of the key this is.
    pub fn version(&self) -> Version {
        Version(self.u64_at(8))
    }

    /// The batch that wrote the row.
    pub fn op(&self) -> Op {
        let bytes = self.as_record().get(24..).and_then(<[u8]>::first_chunk).copied();
        Op(u128::from_le_bytes(bytes.unwrap_or_default()))
    }

    fn terms_count(&self) -> usize {
        usize::from(self.as_record().get(42).copied().unwrap_or(0))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64_at(self.as_record(), at).unwrap_or(0)
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("key", &self.key())
            .field("version", &self.version())
            .field("expires_at", &self.expires_at())
            .field("value_bytes", &self.value().len())
            .finish_non_exhaustive()
    }
}

/// The key of a record.
pub(crate) fn key_of(record: &[u8]) -> Key {
    let kind = record.get(40).copied().unwrap_or(0);
    let id = record.get(48..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    Key::new(Kind::from_byte(kind), Digest::from_bytes(id))
}

/// The record that `bytes` start with, if it is whole and its check holds.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let record = bytes.get(..record_bytes(bytes)?)?;
    let version = Version(u64_at(record, 8)?);
    let whole = u64_at(record, 0)? == check(record, version);
    (whole || sabotage::is(Flaw::RowChecksumIgnored)).then_some(record)
}

/// The length of the record that `bytes` start with, if its header is within the limits.
pub(crate) fn record_bytes(bytes: &[u8]) -> Option<usize> {
    let terms = usize::from(*bytes.get(42)?);
    let value: [u8; 4] = *bytes.get(44..)?.first_chunk()?;
    let value = usize::try_from(u32::from_le_bytes(value)).ok()?;
    (terms <= TERMS_MAX && value <= VALUE_BYTES_MAX && bytes.get(43) == Some(&0))
        .then_some(RECORD_HEADER_BYTES + TERM_BYTES * terms + value)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn check(record: &[u8], version: Version) -> u64 {
    let body = xxh3_64(record.get(16..).unwrap_or_default());
    // Odd multiplier (2^64 / golden ratio): a bijection, so no version hides a changed one.
    (body ^ version.0).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: P7, a record is read back as written, and no damaged one is. Method: encode with 0 to 4
    // terms, read; then flip every bit and cut every length.
    #[test]
    fn record_round_trips_and_every_flipped_bit_is_seen() {
        for count in 0..=4 {
            let term = |at: u8| (at < count).then_some(Term([at; 16]));
            let terms = Terms::of([0, 1, 2, 3].map(term));
            let key = Key::new(Kind::revised(3), Digest::from_bytes([7; 32]));
            let new = NewRow { value: vec![9; 50], expires_at: Timestamp::from_millis(5), terms };
            let row = Row::new(key, &new, Version(11), Op(13)).unwrap();
            let read = Row::read(row.as_record()).unwrap();
            assert_eq!((read.key(), read.version(), read.op()), (key, Version(11), Op(13)));
            assert_eq!((read.value(), read.terms()), (&[9; 50][..], terms));
            assert_eq!(read.expires_at(), new.expires_at);
            for bit in 0..row.as_record().len() * 8 {
                let mut bytes = row.as_record().to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Row::read(&bytes).is_none(), "bit {bit}");
            }
            for len in 0..row.as_record().len() {
                assert!(Row::read(&row.as_record()[..len]).is_none(), "length {len}");
            }
        }
    }

    // Goal: the value limit is exact. Method: a value at the limit and one byte over.
    #[test]
    fn value_limit_is_exact() {
        let key = Key::new(Kind::write_once(1), Digest::from_bytes([0; 32]));
        let row = |len| {
            let new = NewRow {
                value: vec![0; len],
                expires_at: Timestamp::from_millis(1),
                terms: Terms::NONE,
            };
            Row::new(key, &new, Version(1), Op(1))
        };
        assert!(row(VALUE_BYTES_MAX).is_ok());
        assert!(row(VALUE_BYTES_MAX + 1).is_err());
    }
}
