//! Reading the log back: every whole frame in order, up to where the last crash tore it.

use super::frame::{self, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Frame};
use super::segment::{SEGMENT_DATA, Segment};
use crate::backend::record::u64_at;
use crate::engine::backup::ADVICE;
use crate::engine::place::RECORD_ALIGN;
use crate::engine::table::TABLE_FILE;
use crate::error::{Error, Result};
use crate::sync::Arc;

const READ_BYTES: usize = 4 << 20;

/// Segments that come from the disk while one is gone through, or the table before them.
const SEGMENTS_AHEAD: usize = 4;

/// Has the first segments fetched, which [`replay`] goes on with.
pub(crate) fn read_ahead(segments: &[Arc<Segment>]) {
    segments.iter().take(SEGMENTS_AHEAD).for_each(|segment| segment.file.read_ahead());
}

/// Where the log ends.
#[derive(Debug)]
pub(crate) struct LogEnd {
    /// The last segment that holds a frame, and the offset behind its last one.
    pub(crate) segment: Option<(Arc<Segment>, u32)>,
    /// The sequence number of the last frame.
    pub(crate) sequence: u64,
    /// True if the last frame is that of an orderly close.
    pub(crate) closed: bool,
}

/// Reads frames one after the other.
pub(crate) struct FrameReader<'a> {
    segment: &'a Segment,
    buffer: Arc<[u8]>,
    buffer_at: u32,
    offset: u32,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(segment: &'a Segment, offset: u32) -> Self {
        Self { segment, buffer: Arc::default(), buffer_at: 0, offset: offset.max(SEGMENT_DATA) }
    }

    /// The offset of the next frame.
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }

    /// The next frame and its offset; `None` where there is no whole one.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Frame)>> {
        let (at, nonce) = (self.offset, self.segment.nonce);
        let start = self.fetch(at, FRAME_BYTES_MAX)?;
        let Some(frame) = frame::read(&self.buffer, start, nonce) else { return Ok(None) };
        self.offset = at.saturating_add(u32::try_from(frame.bytes).unwrap_or(u32::MAX));
        Ok(Some((at, frame)))
    }

    /// Where the bytes at `at` are in the buffer, which holds `len` of them, or all there are.
    fn fetch(&mut self, at: u32, len: usize) -> Result<usize> {
        let end = usize::try_from(self.segment.bytes.saturating_sub(at)).unwrap_or(0).min(len);
        let start = usize::try_from(at.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX);
        if at >= self.buffer_at && self.buffer.get(start..start.saturating_add(end)).is_some() {
            return Ok(start);
        }
        self.buffer = self.segment.read(at, READ_BYTES.max(len))?;
        self.buffer_at = at;
        Ok(0)
    }
}

/// True if the frame of this number goes on where `expected` was to come. Of segments that were
/// carried some may be used again, removed, or damaged: a gap up to there is none.
pub(crate) fn goes_on(expected: Option<u64>, sequence: u64, carried: u64) -> bool {
    let behind_a_gap = carried + 1 >= sequence && expected.is_none_or(|at| at < sequence);
    expected == Some(sequence) || behind_a_gap
}

/// Reads every frame after `carried` in order and hands it on, then finds the log's end.
///
/// Frames end at the first that is not whole. That is where a crash tore the last write, unless
/// a later frame proves that the missing one was durable: then it is damage, and is refused.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for damage.
pub(crate) fn replay(
    segments: &[Arc<Segment>],
    carried: u64,
    mut apply: impl FnMut(&Segment, u32, Frame),
) -> Result<LogEnd> {
    let mut end = LogEnd { segment: None, sequence: carried, closed: false };
    let mut expected = None;
    for (at, segment) in segments.iter().enumerate() {
        segments.get(at + SEGMENTS_AHEAD).into_iter().for_each(|next| next.file.read_ahead());
        let mut reader = FrameReader::new(segment, SEGMENT_DATA);
        while let Some((offset, frame)) = reader.next()? {
            let sequence = frame.header.sequence;
            if !goes_on(expected, sequence, carried) {
                break;
            }
            expected = Some(sequence + 1);
            end.sequence = end.sequence.max(sequence);
            end.closed = frame.header.closed;
            let behind = offset.saturating_add(u32::try_from(frame.bytes).unwrap_or(0));
            end.segment = Some((Arc::clone(segment), behind));
            segment.note_end(behind);
            if sequence > carried {
                apply(segment, offset, frame);
            }
        }
        let missing = expected.unwrap_or(carried + 1).max(carried + 1);
        let follows = |next: &Arc<Segment>| -> Result<bool> {
            let first = FrameReader::new(next, SEGMENT_DATA).next()?;
            Ok(first.is_some_and(|(_, frame)| frame.header.sequence == missing))
        };
        let rest = segments.get(at + 1..).unwrap_or_default();
        if rest.first().map_or(Ok(false), follows)? {
            continue;
        }
        let tail = end
            .segment
            .as_ref()
            .filter(|(last, _)| last.number == segment.number)
            .map_or(SEGMENT_DATA, |(_, behind)| *behind);
        if let Some(proof) = find_proof(segment, tail, missing)? {
            let before = end.segment.as_ref().map(|(last, _)| &**last);
            return Err(damage(before, segment, carried, missing, proof));
        }
    }
    Ok(end)
}

/// A whole frame that was written after one that is missing had become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proof {
    offset: u32,
    sequence: u64,
}

/// What is wrong with a log in which commit `missing` is not there, and this proves that it was.
/// The frames before it end in the segment `before`, if there are any.
fn damage(
    before: Option<&Segment>,
    segment: &Segment,
    carried: u64,
    missing: u64,
    proof: Proof,
) -> Error {
    let path = segment.path.display();
    let Proof { offset, sequence } = proof;
    let gap = format!("commit {missing} is missing before {sequence}, which was written after it");
    // What stands at the very beginning is behind another segment, which must have held the gap.
    let begins_there = offset == SEGMENT_DATA;
    let what = match before {
        Some(last) if begins_there && last.number + 1 == segment.number => {
            format!("the end of the log segment {} is damaged: {gap}", last.path.display())
        }
        Some(last) if begins_there && last.number < segment.number => {
            let (first, last) = (last.number + 1, segment.number - 1);
            let which = if first == last {
                format!("the log segment with number {first} is")
            } else {
                format!("the log segments with numbers {first} to {last} are")
            };
            format!("{which} missing before {path}: {gap}; put the file back")
        }
        None if begins_there => format!(
            "the log segment before {path} is missing, or {TABLE_FILE} is an older copy that ends \
             at commit {carried}: {gap}; put the right file back"
        ),
        _ => format!("the log segment {path} is damaged: {gap}"),
    };
    Error::corrupt(format!("{what}, or {ADVICE}"))
}

/// Looks for a whole frame behind `from` that was written after `missing` had become durable.
fn find_proof(segment: &Segment, from: u32, missing: u64) -> Result<Option<Proof>> {
    let mut at = from;
    while at < segment.bytes {
        let overlap = FRAME_BYTES_MAX;
        let bytes = segment.read(at, READ_BYTES + overlap)?;
        let mut offset = 0;
        while offset < READ_BYTES && offset + FRAME_HEADER_BYTES <= bytes.len() {
            let candidate = bytes.get(offset..).unwrap_or_default();
            // Cheap tests first: almost every offset holds zeros or an earlier use's bytes.
            let later = u64_at(candidate, 16).is_some_and(|sequence| sequence > missing)
                && u64_at(candidate, 24).is_some_and(|base| base >= missing);
            if later && let Some(frame) = frame::read(&bytes, offset, segment.nonce) {
                let offset = at.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
                return Ok(Some(Proof { offset, sequence: frame.header.sequence }));
            }
            offset += RECORD_ALIGN;
        }
        at = at.saturating_add(u32::try_from(READ_BYTES).unwrap_or(u32::MAX));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::frame::{self, FrameHeader};
    use super::*;
    use crate::backend::Row;
    use crate::disk::OsDisk;
    use crate::timekeeper::Mark;

    // Goal: P1, damage is refused wherever behind it the frame lies that proves it. Method: one
    // such frame in a segment as long as several reads, before, across, and behind their ends.
    #[test]
    fn proof_is_found_wherever_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let read = u32::try_from(READ_BYTES).unwrap();
        let bytes = SEGMENT_DATA + 2 * read + 4_096;
        let segment = Segment::create(&OsDisk, dir.path(), &[1; 16], 1, bytes).unwrap();
        let mark = Mark::default();
        let header = FrameHeader { sequence: 9, base: 8, mark, closed: false };
        let mut frame = Vec::new();
        frame::append(&mut frame, segment.nonce, &header, std::iter::empty::<&Row>(), |_| {});
        let from = |at: u32| SEGMENT_DATA + at;
        for at in [0, read / 4, read / 4 * 3, read - 8, read, 2 * read - 16, 2 * read + 4_000] {
            segment.file.write_at(&frame, from(at).into()).unwrap();
            let found = find_proof(&segment, SEGMENT_DATA, 8).unwrap();
            assert_eq!(found, Some(Proof { offset: from(at), sequence: 9 }));
            assert_eq!(find_proof(&segment, SEGMENT_DATA, 9).unwrap(), None, "{at}");
            segment.file.write_at(&vec![0; frame.len()], from(at).into()).unwrap();
        }
        assert_eq!(find_proof(&segment, SEGMENT_DATA, 8).unwrap(), None);
    }
}
