//! How an opened store goes on with the segments it has found.

use super::replay::{FrameReader, LogEnd};
use super::segment::{SEGMENT_BYTES_LEAST, SEGMENT_DATA, Segment};
use crate::disk::Disk;
use crate::engine::line::OWNER_ROOM_BYTES;
use crate::engine::options::Options;
use crate::engine::place::{SEGMENTS_MAX, told_apart};
use crate::engine::space::{Space, is_full};
use crate::error::{Error, Result};
use crate::sync::Arc;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;

/// A new store starts with a short segment: it opens at once, and many never need more.
const FIRST_SEGMENT_BYTES: u32 = 4 << 20;

/// After a crash on a full disk it goes on with as much as the room kept for revoking owners.
const LAST_SEGMENT_BYTES: u32 = 152 << 10;
const _: () = assert!(LAST_SEGMENT_BYTES >= SEGMENT_BYTES_LEAST);
const _: () = assert!(LAST_SEGMENT_BYTES as u64 + (4 << 10) <= OWNER_ROOM_BYTES);

/// The log as a store goes on with it.
pub(crate) struct Plan {
    /// The segment to be written to, and where.
    pub(crate) active: Arc<Segment>,
    pub(crate) tail: u32,
    /// The segments that hold rows, the active one last.
    pub(crate) held: Vec<Arc<Segment>>,
    /// Segments ready to be written to.
    pub(crate) spares: VecDeque<Arc<Segment>>,
    /// Segments whose files may be used again.
    pub(crate) retired: Vec<Arc<Segment>>,
    pub(crate) next_number: u64,
}

pub(crate) struct Planner<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) store: &'a [u8; 16],
    pub(crate) options: &'a Options,
}

impl Planner<'_> {
    /// After an orderly close the log goes on where it ended. Otherwise behind its end may lie
    /// pieces of a group that was never acknowledged: it goes on in a segment of its own, whose
    /// nonce makes those pieces worthless, the torn one is cut, and segments of pieces alone go.
    ///
    /// # Durability
    /// On success the active segment is durable, and what is forgotten is gone for good.
    pub(crate) fn plan(
        &self,
        space: &Space,
        segments: &[Arc<Segment>],
        needed: &BTreeSet<u64>,
        end: &LogEnd,
        goes_on: bool,
    ) -> Result<Plan> {
        let planned = space.write(|| self.lay_out(segments, needed, end, goes_on));
        let failed = |cause| Error::file("prepare the log in", self.dir.display(), cause);
        let mut plan = planned.map_err(failed)?;
        if !goes_on {
            self.forget(&mut plan, end)?;
        }
        Ok(plan)
    }

    fn lay_out(
        &self,
        segments: &[Arc<Segment>],
        needed: &BTreeSet<u64>,
        end: &LogEnd,
        goes_on: bool,
    ) -> io::Result<Plan> {
        let numbers: Vec<u64> = segments.iter().map(|segment| segment.number).collect();
        let next = numbers.last().map_or(1, |last| last + 1);
        let next_number = told_apart(next, &numbers).ok_or_else(|| {
            io::Error::other(format!("{SEGMENTS_MAX} segments are there already"))
        })?;
        let (mut held, mut free): (Vec<_>, Vec<_>) =
            segments.iter().cloned().partition(|segment| needed.contains(&segment.number));
        if goes_on && let Some((active, tail)) = &end.segment {
            held.retain(|segment| segment.number != active.number);
            held.push(Arc::clone(active));
            free.retain(|segment| segment.number != active.number);
            // Whatever their length: it was the right one when they were made.
            let (spares, retired): (Vec<_>, Vec<_>) = free.into_iter().partition(|segment| {
                segment.number > active.number && segment.bytes >= SEGMENT_BYTES_LEAST
            });
            let (active, tail, spares) = (Arc::clone(active), *tail, spares.into());
            return Ok(Plan { active, tail, held, spares, retired, next_number });
        }
        if let Some((torn, tail)) = &end.segment
            && let Some(last) = held.last_mut().filter(|last| last.number == torn.number)
        {
            *last = Arc::new(cut(torn, *tail)?);
        }
        let mut retired = free;
        let active = Arc::new(self.fresh(&mut retired, next_number)?);
        held.push(Arc::clone(&active));
        Ok(Plan {
            active,
            tail: SEGMENT_DATA,
            held,
            spares: VecDeque::new(),
            retired,
            next_number: next_number + 1,
        })
    }

    /// Removes the files of segments that begin with a commit behind the log's end: pieces of
    /// groups that were never acknowledged, whose beginning is lost. Left as they are, an open some
    /// time later, when the log has come as far, would take them for what was committed then.
    ///
    /// To be called before the first commit, and once a segment with a larger number is durable:
    /// from then on none of these is missed.
    fn forget(&self, plan: &mut Plan, end: &LogEnd) -> Result<()> {
        let failed = |cause| Error::file("forget a segment of", self.dir.display(), cause);
        let mut forgotten = Vec::new();
        for segment in &plan.retired {
            let first = FrameReader::new(segment, SEGMENT_DATA).next()?;
            if first.is_some_and(|(_, frame)| frame.header.sequence > end.sequence) {
                forgotten.push(segment.number);
                self.disk.remove(&segment.path).map_err(failed)?;
            }
        }
        if !forgotten.is_empty() {
            self.disk.sync_dir(self.dir).map_err(failed)?;
            plan.retired.retain(|segment| !forgotten.contains(&segment.number));
        }
        Ok(())
    }

    /// A segment that nothing was written to: of the usual length if one can be had, or else of
    /// any.
    fn fresh(&self, retired: &mut Vec<Arc<Segment>>, number: u64) -> io::Result<Segment> {
        let full = self.options.segment_bytes();
        let usual = retired.iter().position(|segment| segment.bytes == full);
        let any = retired.iter().position(|segment| segment.bytes >= SEGMENT_BYTES_LEAST);
        // Tried once more on a full disk, so nothing is taken out before it has worked.
        let mut reuse = |at: usize| {
            let found = retired.get(at).ok_or(io::ErrorKind::NotFound)?;
            let reused = found.reuse(self.store, number)?;
            retired.swap_remove(at);
            Ok(reused)
        };
        if let Some(at) = usual {
            return reuse(at);
        }
        let bytes = full.min(FIRST_SEGMENT_BYTES);
        match (Segment::create(self.disk, self.dir, self.store, number, bytes), any) {
            (Err(cause), Some(at)) if is_full(&cause) => reuse(at),
            // What was cut off the torn segment is at least what revoking owners was left.
            (Err(cause), None) if is_full(&cause) && bytes > LAST_SEGMENT_BYTES => {
                Segment::create(self.disk, self.dir, self.store, number, LAST_SEGMENT_BYTES)
            }
            (made, _) => made,
        }
    }
}

/// Cuts off what lies behind the last frame: the room is needed more than the bytes.
fn cut(torn: &Segment, tail: u32) -> io::Result<Segment> {
    torn.file.set_len(u64::from(tail))?;
    torn.file.sync_data()?;
    let (file, path) = (Arc::clone(&torn.file), torn.path.clone());
    Ok(Segment::new(file, path, (torn.number, torn.nonce), tail, tail))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{self, FrameHeader};
    use super::super::replay::replay;
    use super::*;
    use crate::backend::Row;
    use crate::disk::OsDisk;
    use crate::timekeeper::Mark;
    use std::ops::RangeInclusive;

    const STORE: [u8; 16] = [3; 16];

    /// An empty segment of this number.
    fn segment(dir: &Path, number: u64) -> Arc<Segment> {
        let made = Segment::create(&OsDisk, dir, &STORE, number, SEGMENT_DATA + 4_096);
        Arc::new(made.unwrap())
    }

    /// Writes frames of these sequence numbers, of a group before which `base` was durable.
    fn write(segment: &Segment, base: u64, sequences: RangeInclusive<u64>) {
        let mut bytes = Vec::new();
        for sequence in sequences {
            let mark = Mark::default();
            let header = FrameHeader { sequence, base, mark, closed: false };
            frame::append(&mut bytes, segment.nonce, &header, std::iter::empty::<&Row>(), |_| {});
        }
        segment.file.write_at(&bytes, SEGMENT_DATA.into()).unwrap();
    }

    // Goal: P2, P8, commits that a crash has undone stay undone, though a part of their group has
    // reached a segment of its own. Method: a log that ends at commit 3; of its segments one begins
    // with 7, one is empty, one was carried. After the plan commits 4 to 8 are written, 4 to 6 are
    // carried, and the log is read again.
    #[test]
    fn torn_groups_are_forgotten_in_every_segment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let segments = [1, 2, 3, 4].map(|number| segment(path, number));
        write(&segments[0], 0, 1..=1);
        write(&segments[1], 1, 2..=3);
        write(&segments[2], 3, 7..=9);
        let end = replay(&segments, 1, |_, _, _| ()).unwrap();
        assert_eq!((end.sequence, end.segment.as_ref().map(|(last, _)| last.number)), (3, Some(2)));
        let options = Options::default();
        let planner = Planner { disk: &OsDisk, dir: path, store: &STORE, options: &options };
        let clock = Arc::new(crate::clock::SystemClock::new());
        let space = Space::new(Arc::new(OsDisk), clock, path, 0);
        let plan = planner.plan(&space, &segments, &BTreeSet::from([2]), &end, false).unwrap();
        let retired: Vec<u64> = plan.retired.iter().map(|segment| segment.number).collect();
        assert_eq!(retired, [1, 4]);
        let left: Vec<bool> = segments.iter().map(|segment| segment.path.exists()).collect();
        assert_eq!(left, [true, true, false, true]);
        write(&plan.active, 3, 4..=8);
        let mut reopened: Vec<_> = plan.retired.into_iter().chain(plan.held).collect();
        reopened.sort_unstable_by_key(|segment| segment.number);
        let mut applied = Vec::new();
        let end = replay(&reopened, 6, |segment, _, frame| {
            applied.push((segment.number, frame.header.sequence));
        });
        let active = plan.active.number;
        assert_eq!((end.unwrap().sequence, applied), (8, vec![(active, 7), (active, 8)]));
    }
}
