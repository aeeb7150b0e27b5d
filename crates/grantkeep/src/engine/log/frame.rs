//! Frames: what one batch is in the log.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!      0      8  check: xxh3-64, seeded with the segment's nonce, of the header and the checks
//!                of the records, which cover every other byte
//!      8      4  length of the payload
//!     12      2  number of records
//!     14      2  flags: 1 = the store was closed after this frame
//!     16      8  sequence number
//!     24      8  base: everything up to this sequence number was durable before this frame was
//!                written
//!     32      8  settled time, milliseconds since the Unix epoch
//!     40      8  its lead over the wall clock, milliseconds
//!     48         payload: the records, each padded with zeros to a multiple of 8 bytes
//! ```

use crate::backend::{BATCH_BYTES_MAX, BATCH_STEPS_MAX, Row, record};
use crate::clock::{Timestamp, millis};
use crate::engine::place::RECORD_ALIGN;
use crate::sabotage::{self, Flaw};
use crate::sync::Arc;
use crate::timekeeper::Mark;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) const FRAME_HEADER_BYTES: usize = 48;

/// The longest frame: its values, and the header and padding of every record.
pub(crate) const FRAME_BYTES_MAX: usize = FRAME_HEADER_BYTES
    + BATCH_BYTES_MAX
    + BATCH_STEPS_MAX * (record::RECORD_HEADER_BYTES + record::TERMS_BYTES_MAX + RECORD_ALIGN);

const CLOSED: u16 = 1;

/// What a frame says beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The batch's place in the order of all commits.
    pub(crate) sequence: u64,
    /// Everything up to here was durable before the frame was written.
    pub(crate) base: u64,
    /// The store's settled time, and its lead over the wall clock.
    pub(crate) mark: Mark,
    /// True for the last frame of an orderly close.
    pub(crate) closed: bool,
}

/// A frame as it was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    /// Each record with its offset from the start of the frame.
    pub(crate) records: Vec<(usize, Row)>,
    /// The length of the frame.
    pub(crate) bytes: usize,
}

/// The length that `rows` make a frame.
fn frame_bytes<'a>(rows: impl Iterator<Item = &'a Row>) -> usize {
    FRAME_HEADER_BYTES + rows.map(|row| padded(row.as_record().len())).sum::<usize>()
}

/// Appends a frame to `out`, and calls `placed` with each record's offset in `out`.
pub(crate) fn append<'a>(
    out: &mut Vec<u8>,
    nonce: u64,
    header: &FrameHeader,
    rows: impl Iterator<Item = &'a Row> + Clone,
    mut placed: impl FnMut(usize),
) {
    let start = out.len();
    let count = u16::try_from(rows.clone().count()).unwrap_or(u16::MAX);
    let payload = frame_bytes(rows.clone()) - FRAME_HEADER_BYTES;
    let mut covered = Vec::with_capacity(FRAME_HEADER_BYTES + 8 * usize::from(count));
    covered.extend_from_slice(&u32::try_from(payload).unwrap_or(u32::MAX).to_le_bytes());
    covered.extend_from_slice(&count.to_le_bytes());
    covered.extend_from_slice(&(if header.closed { CLOSED } else { 0 }).to_le_bytes());
    covered.extend_from_slice(&header.sequence.to_le_bytes());
    covered.extend_from_slice(&header.base.to_le_bytes());
    covered.extend_from_slice(&header.mark.settled.as_millis().to_le_bytes());
    covered.extend_from_slice(&millis(header.mark.lead).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&covered);
    for row in rows {
        covered.extend_from_slice(&row.check().to_le_bytes());
        placed(out.len());
        out.extend_from_slice(row.as_record());
        out.resize(start + padded(out.len() - start), 0);
    }
    let check = check(&covered, nonce).to_le_bytes();
    if let Some(field) = out.get_mut(start..start + 8) {
        field.copy_from_slice(&check);
    }
}

/// Reads the frame at `start` in `shared`, which its rows go on sharing; `None` unless every byte
/// of it is as it was written.
pub(crate) fn read(shared: &Arc<[u8]>, start: usize, nonce: u64) -> Option<Frame> {
    let bytes = shared.get(start..)?;
    let header = bytes.get(..FRAME_HEADER_BYTES)?;
    let payload_bytes = usize::try_from(record::u32_at(header, 8)?).ok()?;
    let count = usize::from(u16::from_le_bytes(*header.get(12..)?.first_chunk()?));
    let flags = u16::from_le_bytes(*header.get(14..)?.first_chunk()?);
    let frame_bytes = FRAME_HEADER_BYTES + payload_bytes;
    if frame_bytes > FRAME_BYTES_MAX || count > BATCH_STEPS_MAX || flags > CLOSED {
        return None;
    }
    let payload = bytes.get(FRAME_HEADER_BYTES..frame_bytes)?;
    let mut covered = Vec::with_capacity(FRAME_HEADER_BYTES + 8 * count);
    covered.extend_from_slice(header.get(8..)?);
    let mut records = Vec::with_capacity(count);
    let mut at = 0;
    for _ in 0..count {
        let row = Row::read_in(shared, start + FRAME_HEADER_BYTES + at)?;
        covered.extend_from_slice(&row.check().to_le_bytes());
        let end = at + row.as_record().len();
        let next = padded(end);
        if payload.get(end..next)?.iter().any(|byte| *byte != 0) {
            return None;
        }
        records.push((FRAME_HEADER_BYTES + at, row));
        at = next;
    }
    let whole = at == payload_bytes;
    let header = FrameHeader {
        sequence: record::u64_at(header, 16)?,
        base: record::u64_at(header, 24)?,
        mark: Mark {
            settled: Timestamp::from_millis(record::u64_at(header, 32)?),
            lead: Duration::from_millis(record::u64_at(header, 40)?),
        },
        closed: flags == CLOSED,
    };
    (whole && record::u64_at(bytes, 0)? == check(&covered, nonce)).then_some(Frame {
        header,
        records,
        bytes: frame_bytes,
    })
}

fn check(covered: &[u8], nonce: u64) -> u64 {
    let nonce = if sabotage::is(Flaw::ChecksumWithoutSegment) { 0 } else { nonce };
    xxh3_64_with_seed(covered, nonce)
}

/// The length of a record with its padding.
pub(crate) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(RECORD_ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Key, Kind, NewRow, Op, Term, Terms, Version};
    use crate::digest::Digest;

    fn row(number: u8, len: usize, terms: Terms) -> Row {
        let kind = if terms.is_empty() { Kind::write_once(1) } else { Kind::revised(1) };
        let key = Key::new(kind, Digest::from_bytes([number; 32]));
        let value = vec![number; len];
        let new = NewRow { value, expires_at: Timestamp::from_millis(9), terms };
        Row::new(key, &new, Version(7), Op(1)).unwrap()
    }

    fn frame_of(nonce: u64, rows: &[Row]) -> Vec<u8> {
        let mark = Mark { settled: Timestamp::from_millis(3), lead: Duration::from_millis(4) };
        let header = FrameHeader { sequence: 7, base: 5, mark, closed: false };
        let mut bytes = Vec::new();
        append(&mut bytes, nonce, &header, rows.iter(), |_| {});
        bytes
    }

    fn read(bytes: &[u8], nonce: u64) -> Option<Frame> {
        super::read(&bytes.into(), 0, nonce)
    }

    fn frame(nonce: u64) -> Vec<u8> {
        frame_of(nonce, &[row(1, 13, Terms::NONE), row(2, 0, Terms::NONE)])
    }

    // Goal: a frame is read back as written, and no damaged or foreign one is. Method: flip every
    // bit, cut every length, take another segment's nonce.
    #[test]
    fn frame_round_trips_and_every_flipped_bit_is_seen() {
        let bytes = frame(42);
        let read_back = read(&bytes, 42).unwrap();
        assert_eq!((read_back.bytes, read_back.records.len()), (bytes.len(), 2));
        assert_eq!((read_back.header.sequence, read_back.header.base), (7, 5));
        let mark = Mark { settled: Timestamp::from_millis(3), lead: Duration::from_millis(4) };
        assert_eq!(read_back.header.mark, mark);
        assert!(read(&bytes, 43).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged, 42).is_none(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len], 42).is_none(), "length {len}");
        }
    }

    // Goal: P7, the longest batch makes a frame that is read back, and the bound on frames is no
    // longer than that and its padding. Method: as many rows, terms, and bytes as a batch may have.
    #[test]
    fn longest_frame_is_read_back_and_bounds_are_tight() {
        let terms = Terms::of([1, 2, 3, 4].map(|number| Some(Term([number; 16]))));
        let len = BATCH_BYTES_MAX / BATCH_STEPS_MAX - 7;
        let mut rows: Vec<Row> = (1..64).map(|number| row(number, len, terms)).collect();
        rows.push(row(64, BATCH_BYTES_MAX - 63 * len, terms));
        assert_eq!(rows.len(), BATCH_STEPS_MAX);
        let bytes = frame_of(42, &rows);
        assert_eq!(read(&bytes, 42).map(|frame| frame.records.len()), Some(BATCH_STEPS_MAX));
        assert!(bytes.len() <= FRAME_BYTES_MAX);
        assert!(FRAME_BYTES_MAX - bytes.len() <= BATCH_STEPS_MAX * RECORD_ALIGN, "{}", bytes.len());
    }

    // Goal: what no batch makes is no frame, though its check holds. Method: one record more than
    // there may be, more bytes, and a flag that there is not.
    #[test]
    fn frames_out_of_their_limits_are_none() {
        let many: Vec<Row> = (0..65).map(|number| row(number, 0, Terms::NONE)).collect();
        assert!(read(&frame_of(42, &many[..64]), 42).is_some());
        assert!(read(&frame_of(42, &many), 42).is_none());
        let long: Vec<Row> = (0..4).map(|number| row(number, 32_768, Terms::NONE)).collect();
        assert!(read(&frame_of(42, &long[..3]), 42).is_some());
        assert!(read(&frame_of(42, &long), 42).is_none());
        for (flags, known) in [(0_u16, true), (1, true), (2, false), (3, false)] {
            let mut bytes = frame_of(42, &many[..1]);
            bytes[14..16].copy_from_slice(&flags.to_le_bytes());
            let check = many[0].check().to_le_bytes();
            let covered = [&bytes[8..FRAME_HEADER_BYTES], &check[..]].concat();
            bytes[..8].copy_from_slice(&xxh3_64_with_seed(&covered, 42).to_le_bytes());
            let found = read(&bytes, 42).map(|frame| frame.header.closed);
            assert_eq!(found, known.then_some(flags == CLOSED), "flags {flags}");
        }
    }
}
