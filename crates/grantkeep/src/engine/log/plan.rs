//! How an opened store goes on with the segments it has found.

use super::replay::LogEnd;
use super::segment::{SEGMENT_DATA, Segment};
use crate::disk::Disk;
use crate::engine::options::Options;
use crate::sync::Arc;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;

/// A new store starts with a short segment: it opens at once, and many never need more.
const FIRST_SEGMENT_BYTES: u32 = 4 << 20;

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
    /// nonce makes those pieces worthless, and the torn one is cut.
    ///
    /// # Durability
    /// On success the active segment is durable.
    pub(crate) fn plan(
        &self,
        segments: &[Arc<Segment>],
        needed: &BTreeSet<u64>,
        end: &LogEnd,
        goes_on: bool,
    ) -> io::Result<Plan> {
        let next_number = segments.last().map_or(1, |last| last.number + 1);
        let (mut held, free): (Vec<_>, Vec<_>) =
            segments.iter().cloned().partition(|segment| needed.contains(&segment.number));
        if goes_on && let Some((active, tail)) = &end.segment {
            held.retain(|segment| segment.number != active.number);
            held.push(Arc::clone(active));
            let (spares, retired) = free.into_iter().partition(|segment| {
                segment.number > active.number && segment.bytes == self.options.segment_bytes()
            });
            let retired = Vec::from_iter(retired)
                .into_iter()
                .filter(|segment: &Arc<Segment>| segment.number != active.number)
                .collect();
            let (active, tail) = (Arc::clone(active), *tail);
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

    fn fresh(&self, retired: &mut Vec<Arc<Segment>>, number: u64) -> io::Result<Segment> {
        let full = self.options.segment_bytes();
        // Tried once more on a full disk, so nothing is taken out before it has worked.
        if let Some(at) = retired.iter().position(|segment| segment.bytes == full)
            && let Some(found) = retired.get(at)
        {
            let reused = found.reuse(self.store, number)?;
            retired.swap_remove(at);
            return Ok(reused);
        }
        let bytes = full.min(FIRST_SEGMENT_BYTES);
        Segment::create(self.disk, self.dir, self.store, number, bytes)
    }
}

/// Cuts off what lies behind the last frame: the room is needed more than the bytes.
fn cut(torn: &Segment, tail: u32) -> io::Result<Segment> {
    torn.file.set_len(u64::from(tail))?;
    torn.file.sync_data()?;
    Ok(Segment {
        file: Arc::clone(&torn.file),
        path: torn.path.clone(),
        number: torn.number,
        nonce: torn.nonce,
        bytes: tail,
    })
}
