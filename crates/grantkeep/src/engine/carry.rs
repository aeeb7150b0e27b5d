//! Carrying the log: which segments, how much at a time, and what becomes of them.
//!
//! A step carries the next slice of the oldest segments in one table commit. A segment of which
//! everything was carried is retired, and used again. A checkpoint carries the segment that is
//! written to as well, up to where it ended when it was asked for: nothing has to be rolled for it.

use super::checkpoint::{Progress, Slice};
use super::core::Core;
use super::courtesy;
use super::log::segment::Segment;
use crate::error::Result;
use crate::sabotage::{self, Flaw};
use crate::sync::Arc;
use crate::wait::Wait as _;

/// Frames that one table commit carries at most, in bytes: a longer one would hold up the log's
/// syncs, a shorter one pays for more of its own, since rows that are filed by key touch a page
/// each.
const SLICE_BYTES: u64 = 8 << 20;
const SLICE_BYTES_MIN: u64 = 256 << 10;
/// What carrying frees beyond what is over the log's budget.
const SURPLUS_BYTES: u64 = 8 << 20;
/// With less room than this left in the log, commits wait for the table soon, if not already: a
/// thousand callers write as much while a slice or two are carried.
const SCARCE_BYTES: u64 = 2 * SLICE_BYTES;
/// On a full disk, what of its last room is kept for sweeping: cutting windows takes new pages.
const SWEEP_ROOM_BYTES: u64 = 512 << 10;

/// Everything that was committed up to a moment.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The last commit.
    pub(crate) through: u64,
    /// The number of the segment that was written to, and where its last frame ended.
    pub(crate) segment: u64,
    pub(crate) tail: u32,
}

/// How far the log was carried.
#[derive(Debug)]
pub(crate) struct Carrying {
    /// A segment that was carried in part.
    begun: Option<(Arc<Segment>, Progress)>,
    /// The last commit that is in the table.
    carried: u64,
}

impl Carrying {
    /// A store of which everything up to the commit `carried` is in the table.
    pub(crate) fn after(carried: u64) -> Self {
        Self { begun: None, carried }
    }

    /// Carries the next slice of segments that are not written to any more, but of no more segments
    /// than it takes to free `enough` bytes.
    ///
    /// # Errors
    /// Why nothing was carried.
    pub(crate) fn step(&mut self, core: &Core, enough: u64) -> Result<()> {
        let mut target = core.carry_target();
        // The frames of the segment that is written to stay: it is not freed by carrying them.
        target.segment -= 1;
        target.tail = u32::MAX;
        self.slice(core, &target, enough)
    }

    /// Carries the next slice of what is to be carried; true once all of it is in the table.
    ///
    /// # Errors
    /// Why nothing was carried.
    pub(crate) fn step_to(&mut self, core: &Core, target: &Target) -> Result<bool> {
        if self.carried < target.through && self.has_more(core, target) {
            self.slice(core, target, u64::MAX)?;
        }
        Ok(self.carried >= target.through || !self.has_more(core, target))
    }

    /// True if frames up to the target are not carried.
    fn has_more(&self, core: &Core, target: &Target) -> bool {
        match &self.begun {
            Some((segment, progress)) => {
                segment.number < target.segment
                    || segment.number == target.segment && progress.offset() < target.tail
            }
            None => core.segments.next_between(0, target.segment + 1).is_some(),
        }
    }

    fn slice(&mut self, core: &Core, target: &Target, enough: u64) -> Result<()> {
        if core.space.is_full()
            && core.space.room_bytes().is_some_and(|room| room < SWEEP_ROOM_BYTES)
        {
            return Err(core.space.refuse("nothing is carried"));
        }
        courtesy::set_awaited(core.writer.lock().room_bytes() <= SCARCE_BYTES);
        let carried = self.gather_and_carry(core, target, enough);
        courtesy::set_awaited(false);
        carried
    }

    fn gather_and_carry(&mut self, core: &Core, target: &Target, enough: u64) -> Result<()> {
        // The last frames may still be on their way.
        if !sabotage::is(Flaw::CarriedEarly) {
            core.wait_durable(target.through).wait()?;
        }
        let mut slice = Slice::new(slice_bytes(core), core.time.settled());
        let mut at = self.begun.clone();
        let mut done: Vec<Arc<Segment>> = Vec::new();
        let mut freed = 0;
        while freed < enough && !slice.is_full() {
            let behind = done.last().map_or(0, |segment| segment.number);
            let next = || core.segments.next_between(behind, target.segment + 1);
            let Some((segment, mut progress)) =
                at.take().or_else(|| next().map(|segment| (segment, Progress::default())))
            else {
                break;
            };
            let last = segment.number == target.segment && target.tail < u32::MAX;
            let until = if last { target.tail } else { segment.end() };
            let whole = core.gather(&segment, &mut progress, until, &mut slice)?;
            if whole && !last {
                freed += u64::from(segment.bytes);
                done.push(segment);
                continue;
            }
            at = Some((segment, progress));
            if last {
                break;
            }
        }
        slice.is_behind(self.carried);
        let through = slice.through();
        {
            let _still = core.table_still.lock();
            core.carry(slice)?;
        }
        self.begun = at;
        self.carried = self.carried.max(through.unwrap_or(0));
        if !done.is_empty() {
            let retired = done.iter().filter_map(|segment| core.segments.retire(segment.number));
            core.supply.retire(retired);
        }
        Ok(())
    }
}

/// Frames that one table commit carries, in bytes: what the table grows by must fit in the reserve
/// if the disk turns out to be full, and in what is left of it once it is.
fn slice_bytes(core: &Core) -> u64 {
    match core.options.reserve_bytes {
        _ if core.space.is_full() => SLICE_BYTES_MIN,
        0 => SLICE_BYTES,
        reserve => (reserve / 2).clamp(SLICE_BYTES_MIN, SLICE_BYTES),
    }
}

impl Core {
    /// Everything that was committed so far.
    pub(crate) fn carry_target(&self) -> Target {
        let writer = self.writer.lock();
        Target {
            through: writer.next_sequence - 1,
            segment: writer.segment.number,
            tail: writer.tail,
        }
    }

    /// How many bytes of segments are to be freed: none while the log is within its budget and has
    /// its spares, or nothing of it can be carried.
    pub(crate) fn to_be_freed(&self) -> u64 {
        let (held, budget) = (self.segments.bytes(), self.options.log_budget_bytes);
        let over = held.saturating_sub(budget);
        if over == 0 && !self.supply.is_short() || !self.is_carriable() {
            return 0;
        }
        if over == 0 {
            return 1;
        }
        // Somewhat more than is over: many rows in one table commit share its pages.
        over + (budget / 2).min(SURPLUS_BYTES)
    }
}
