//! The keeper: the thread that supplies segments, carries, sweeps, and keeps the reserve. It is
//! the only one that writes to the table.

use super::checkpoint::{Progress, Slice};
use super::core::Core;
use super::courtesy;
use super::lock::{Lock, Reached};
use super::log::LOG_DIR;
use super::log::frame::FRAME_HEADER_BYTES;
use super::log::segment::Segment;
use super::logger::PoisonGuard;
use super::table::set_high_water;
use super::work::Work;
use super::writer::Mode;
use crate::backend::Budget;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::sabotage::{self, Flaw};
use crate::sync::{Arc, Instant, Ordering, Receiver, RecvTimeoutError};
use crate::wait::Wait as _;
use futures_channel::oneshot;
use std::time::Duration;

/// How often the keeper looks around by itself.
const TICK: Duration = Duration::from_millis(100);
/// Rows that one tick sweeps at most: it stays off the request path.
const SWEEP_ROWS: u64 = 20_000;
/// How often an idle store notes its time in the log.
const NOTE_TIME_S: u64 = 60;
/// Segments kept for reuse beyond the one that is ready.
const RETIRED_MAX: usize = 4;
/// Frames that one table commit carries at most, in bytes: a longer one would hold up the log's
/// syncs, a shorter one pays for more of its own, since rows that are filed by key touch a page
/// each.
const SLICE_BYTES: u64 = 8 << 20;
const SLICE_BYTES_MIN: u64 = 256 << 10;
/// What a checkpoint frees beyond what is over the log's budget.
const SURPLUS_BYTES: u64 = 8 << 20;

/// With less room than this left in the log, commits wait for the table soon, if not already: a
/// thousand callers write as much while a slice or two are carried.
const SCARCE_BYTES: u64 = 2 * SLICE_BYTES;

/// What the keeper holds.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) core: Arc<Core>,
    pub(crate) lock: Arc<Lock>,
    pub(crate) retired: Vec<Arc<Segment>>,
    pub(crate) next_number: u64,
    pub(crate) carrying: Option<(Arc<Segment>, Progress)>,
}

impl Keeper {
    /// Runs until told to stop, or an error poisons the store.
    pub(crate) fn run(mut self, work: &Receiver<Work>) {
        let core = Arc::clone(&self.core);
        let guard = PoisonGuard::new(&core, "keeper");
        let mut last_tick = Instant::now();
        loop {
            let enough = self.to_be_freed();
            let patience = if enough > 0 { Duration::ZERO } else { TICK };
            let done = match work.recv_timeout(patience) {
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Work::Supply) | Err(RecvTimeoutError::Timeout) => Ok(()),
                Ok(Work::Checkpoint(reply)) => self.reply(reply, Self::checkpoint),
                Ok(Work::Verify(mut progress, reply)) => {
                    self.reply(reply, |keeper| keeper.verify(&mut progress))
                }
                Ok(Work::Backup(to, reply)) => self.reply(reply, |keeper| keeper.backup(&to)),
                Ok(Work::Sweep(budget, reply)) => {
                    self.answer(reply, |keeper| keeper.core.sweep(budget))
                }
            };
            let done = done
                .and_then(|()| self.supply())
                .and_then(|()| if enough > 0 { self.carry_step(enough) } else { Ok(()) });
            let ticked = done.and_then(|()| {
                if last_tick.elapsed() < TICK {
                    return Ok(());
                }
                last_tick = Instant::now();
                self.tick()
            });
            if let Err(cause) = ticked {
                self.core.poison(&format!("keeping the store failed: {}", chain(&cause)));
                break;
            }
        }
        guard.disarm();
    }

    /// Does some work for a caller; its error is the caller's, and poisons the store as well.
    fn answer<T>(
        &mut self,
        reply: oneshot::Sender<Result<T>>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<()> {
        let done = work(self);
        let failed = done.as_ref().err().map(|cause| Error::new(cause.kind(), chain(cause)));
        if let Some(cause) = &failed {
            // Before the caller knows: nothing is acknowledged after a failure.
            self.core.poison(&format!("keeping the store failed: {cause}"));
        }
        // A caller that has gone away does not want to know.
        let _ = reply.send(done);
        failed.map_or(Ok(()), Err)
    }

    /// The same for work whose inner error is its caller's trouble alone.
    fn reply<T>(
        &mut self,
        reply: oneshot::Sender<Result<T>>,
        work: impl FnOnce(&mut Self) -> Result<Result<T>>,
    ) -> Result<()> {
        match work(self) {
            Ok(done) => {
                let _ = reply.send(done);
                Ok(())
            }
            Err(cause) => self.answer(reply, |_| Err(cause)),
        }
    }

    fn tick(&mut self) -> Result<()> {
        if self.core.space.is_full() {
            self.core.space.take().map_err(|cause| {
                Error::file("take the reserve in", self.core.dir.display(), cause)
            })?;
        }
        if self.core.options.by_itself {
            self.core.note_time();
            self.core.sweep(Budget::rows(SWEEP_ROWS))?;
        }
        Ok(())
    }

    /// Carries everything that was committed before the call. On a full disk it ends early, with
    /// the inner error: what is left of the reserve is for revoking and sweeping.
    pub(crate) fn checkpoint(&mut self) -> Result<Result<()>> {
        if let Err(full) = self.core.space.check() {
            return Ok(Err(full));
        }
        self.supply()?;
        if !self.core.roll_log()? {
            // What is carried makes room for the segment that is missing.
            if let Err(full) = self.carry_all()? {
                return Ok(Err(full));
            }
            if !self.core.roll_log()? {
                return Ok(self.core.space.check());
            }
        }
        self.supply()?;
        self.carry_all()
    }

    /// Carries all segments but the one that is written to, unless the disk is full.
    fn carry_all(&mut self) -> Result<Result<()>> {
        let until = self.core.writer.lock().segment.number;
        while self.core.segments.next_between(0, until).is_some() {
            if let Err(full) = self.core.space.check() {
                return Ok(Err(full));
            }
            self.carry_step(u64::MAX)?;
        }
        self.supply()?;
        Ok(Ok(()))
    }

    /// How many bytes of segments are to be freed: none while the log is within its budget, or
    /// nothing of it can be carried.
    fn to_be_freed(&self) -> u64 {
        let (held, budget) = (self.core.segments.bytes(), self.core.options.log_budget_bytes);
        if held <= budget {
            return 0;
        }
        let active = self.core.writer.lock().segment.number;
        if self.core.segments.next_between(0, active).is_none() {
            return 0;
        }
        // Somewhat more than is over: many rows in one table commit share its pages.
        held - budget + (budget / 2).min(SURPLUS_BYTES)
    }

    /// Carries the next slice of the oldest segments that are not written to any more, but of no
    /// more segments than it takes to free `enough` bytes.
    fn carry_step(&mut self, enough: u64) -> Result<()> {
        let (active, last) = {
            let writer = self.core.writer.lock();
            courtesy::set_awaited(writer.room_bytes() <= SCARCE_BYTES);
            (writer.segment.number, writer.next_sequence - 1)
        };
        // The last frames of a segment may still be on their way.
        if !sabotage::is(Flaw::CarriedEarly) {
            self.core.wait_durable(last).wait()?;
        }
        let mut slice = Slice::new(self.slice_bytes(), self.core.time.settled());
        let mut done: Vec<Arc<Segment>> = Vec::new();
        let mut freed = 0;
        while freed < enough && !slice.is_full() {
            let behind = done.last().map_or(0, |segment| segment.number);
            let next = || self.core.segments.next_between(behind, active);
            let begun = self.carrying.take();
            let Some((segment, mut progress)) =
                begun.or_else(|| next().map(|segment| (segment, Progress::default())))
            else {
                break;
            };
            if self.core.gather(&segment, &mut progress, &mut slice)? {
                freed += u64::from(segment.bytes);
                done.push(segment);
            } else {
                self.carrying = Some((segment, progress));
            }
        }
        self.core.carry(slice)?;
        courtesy::set_awaited(false);
        for segment in done {
            self.retired.extend(self.core.segments.retire(segment.number));
        }
        self.supply()
    }

    /// Frames that one table commit carries, in bytes: what the table grows by must fit in the
    /// reserve if the disk turns out to be full, and in what is left of it once it is.
    fn slice_bytes(&self) -> u64 {
        match self.core.options.reserve_bytes {
            _ if self.core.space.is_full() => SLICE_BYTES_MIN,
            0 => SLICE_BYTES,
            reserve => (reserve / 2).clamp(SLICE_BYTES_MIN, SLICE_BYTES),
        }
    }

    /// Makes sure that a segment is ready for when the present one is full.
    pub(crate) fn supply(&mut self) -> Result<()> {
        let spares = self.core.writer.lock().spares.len();
        if spares == 0 {
            let full = self.core.options.segment_bytes();
            let reusable = self.retired.iter().position(|segment| segment.bytes == full);
            let made = match reusable {
                Some(at) => {
                    let retired = self.retired.swap_remove(at);
                    let reused = retired.reuse(&self.core.store, self.next_number);
                    reused.map(Some).map_err(|cause| {
                        Error::file("reuse the log segment", retired.path.display(), cause)
                    })?
                }
                None if self.may_grow() => self.create()?,
                None => None,
            };
            if let Some(segment) = made {
                self.next_number = segment.number + 1;
                // Before a commit is written to it: from then on it is missed.
                self.note_newest(segment.number)?;
                let mut writer = self.core.writer.lock();
                writer.spares.push_back(Arc::new(segment));
                drop(writer);
                self.core.supplied.advance(self.core.supplied.value() + 1);
            }
        }
        self.remove_surplus()
    }

    fn note_newest(&self, newest: u64) -> Result<()> {
        let written = self.core.writer.lock().segment.number;
        let reached = Reached { newest, written, commit: self.core.durable.value() };
        match self.lock.note(reached) {
            Err(cause) if !super::space::is_full(&cause) => {
                Err(Error::file("note the newest segment in", self.core.dir.display(), cause))
            }
            _ => Ok(()),
        }
    }

    fn may_grow(&self) -> bool {
        let bytes = self.core.segments.bytes();
        let segment = u64::from(self.core.options.segment_bytes());
        bytes < self.core.options.log_budget_bytes + 2 * segment && !self.core.space.is_full()
    }

    fn create(&self) -> Result<Option<Segment>> {
        let core = &self.core;
        let bytes = core.options.segment_bytes();
        let dir = core.dir.join(LOG_DIR);
        match Segment::create(&*core.disk, &dir, &core.store, self.next_number, bytes) {
            Ok(segment) => Ok(Some(segment)),
            Err(cause) if super::space::is_full(&cause) => {
                core.space.give_up();
                Ok(None)
            }
            Err(cause) => Err(Error::file("create a log segment in", dir.display(), cause)),
        }
    }

    /// Removes retired segments that will not be used again: short ones, and too many. What an open
    /// would miss stays.
    fn remove_surplus(&mut self) -> Result<()> {
        let full = self.core.options.segment_bytes();
        let mut kept = Vec::new();
        let mut removed = false;
        for segment in std::mem::take(&mut self.retired) {
            let missed =
                segment.number + 1 == self.next_number || segment.number == self.lock.written();
            if missed || (segment.bytes == full && kept.len() < RETIRED_MAX) {
                kept.push(segment);
                continue;
            }
            self.core.disk.remove(&segment.path).map_err(|cause| {
                Error::file("remove the log segment", segment.path.display(), cause)
            })?;
            removed = true;
        }
        let free = kept.iter().map(|segment| u64::from(segment.bytes)).sum();
        self.core.counters.free_log_bytes.store(free, Ordering::Relaxed);
        self.retired = kept;
        if removed {
            let dir = self.core.dir.join(LOG_DIR);
            self.core
                .disk
                .sync_dir(&dir)
                .map_err(|cause| Error::file("sync the directory", dir.display(), cause))?;
        }
        Ok(())
    }
}

impl Core {
    /// Appends an empty frame once the store comes to rest, and every minute from then on: it
    /// proves the frames before it, and keeps the high-water mark of time.
    fn note_time(&self) {
        let mark = self.time.mark();
        let mut writer = self.writer.lock();
        let rested = writer.group.chunks.is_empty() && writer.base == writer.next_sequence - 1;
        let noted_for = mark.settled.since(writer.noted_at.settled).as_secs();
        let due = noted_for >= NOTE_TIME_S || mark.leads_anew(writer.noted_at);
        if !matches!(writer.mode, Mode::Open) || !rested || !writer.has_room(FRAME_HEADER_BYTES) {
            return;
        }
        if writer.noted == writer.base && !due {
            return;
        }
        let sequence = writer.append(mark, false, [].iter(), |_| {});
        writer.noted = sequence;
        writer.noted_at = mark;
        self.hand_over(writer);
    }

    /// Makes sure that the time `until` has passed for good: neither a restart nor a step back
    /// revives what is cut after this (P5).
    ///
    /// # Durability
    /// On success a time not before `until` is durable.
    pub(crate) fn keep_time(&self, until: Timestamp) -> Result<()> {
        if sabotage::is(Flaw::SweepWithoutHighWater) {
            return Ok(());
        }
        let mark = self.time.mark();
        let mut writer = self.writer.lock();
        writer.check_open()?;
        if writer.framed_at < until {
            if !writer.has_room(FRAME_HEADER_BYTES) {
                drop(writer);
                return self.table.write(|transaction| set_high_water(transaction, mark));
            }
            writer.append(mark, false, [].iter(), |_| {});
        }
        let last = writer.next_sequence - 1;
        self.hand_over(writer);
        self.wait_durable(last).wait()
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}
