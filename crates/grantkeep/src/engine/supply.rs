//! Supplying the log with segments: a thread of its own, so that no commit waits behind a job.
//!
//! 1. Two spare segments are kept ready. Issuing uses one of them, revoking the other as well
//!    (`line.rs`).
//! 2. A spare is a segment that was carried, used again; or a new one, while the log is within its
//!    budget and two segments more. If nothing of the log can be carried, a spare is made whatever
//!    the budget: no commit waits for supply that nobody will make. Sizes found on disk are taken
//!    as they are.
//! 3. On a full disk a new segment is only as long as there is room for, and is made only if no
//!    other spare is left and nothing can be carried.
//! 4. `LOCK` notes a segment before it is offered, and soon after the log has gone on in it: from
//!    then on an open misses it.
//! 5. What fails is tried again at the next tick. Nothing was promised of a segment that was not
//!    offered, so its file is removed and another is made.
//!
//! Locks: `Supply::state` is taken after the writer's lock and never held across I/O. Only the
//! supplier makes, numbers, and removes segments; the keeper hands over those that it has carried.

use super::core::Core;
use super::line::Class;
use super::lock::{Lock, Reached};
use super::log::LOG_DIR;
use super::log::frame::FRAME_BYTES_MAX;
use super::log::segment::{SEGMENT_BYTES_LEAST, Segment};
use super::logger::PoisonGuard;
use super::place::{SEGMENTS_MAX, told_apart};
use super::space::is_full;
use super::trouble::{Part, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::foreign::AtWork;
use crate::sync::{Arc, Condvar, Instant, Mutex};
use std::io;
use std::time::Duration;

/// How often the supplier looks around by itself.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Segments that are kept ready.
const SPARES: usize = 2;
/// Segments kept for reuse beyond those that are ready.
const RETIRED_MAX: usize = 4;
/// Ticks between two tries at most of what finds a full disk, unless the disk tells of more room.
pub(crate) const TICKS_MAX: u32 = 32;

/// What the supplier, the keeper, and commits share.
#[derive(Debug)]
pub(crate) struct Supply {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Segments that were carried.
    retired: Vec<Arc<Segment>>,
    /// True if the supplier is to look around before its tick.
    rung: bool,
    /// True if its last look has left fewer spares than there should be.
    short: bool,
    closed: bool,
}

impl Supply {
    pub(crate) fn new(retired: Vec<Arc<Segment>>) -> Self {
        let state = Mutex::new(State { retired, ..State::default() });
        Self { state, bell: Condvar::new() }
    }

    /// Has the supplier look around now.
    pub(crate) fn ring(&self) {
        let mut state = self.state.lock();
        state.rung = true;
        // What was short may not be once it has looked.
        state.short = false;
        drop(state);
        self.bell.notify_all();
    }

    /// Hands over segments that were carried.
    pub(crate) fn retire(&self, segments: impl Iterator<Item = Arc<Segment>>) {
        self.state.lock().retired.extend(segments);
        self.ring();
    }

    /// Ends the supplier.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.bell.notify_all();
    }

    /// The bytes of the segments that are kept to be used again.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.state.lock().retired.iter().map(|segment| u64::from(segment.bytes)).sum()
    }

    /// True if the last look has left the log short of spares, and no other is due.
    pub(crate) fn is_short(&self) -> bool {
        self.state.lock().short
    }

    /// Waits until it is rung for, or a tick is over; false once it is to end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        if !state.rung && !state.closed {
            self.bell.wait_for(&mut state, TICK);
        }
        state.rung = false;
        !state.closed
    }

    /// Takes a retired segment: the first that `wanted` says yes to.
    fn take(&self, wanted: impl Fn(&Segment) -> bool) -> Option<Arc<Segment>> {
        let mut state = self.state.lock();
        let at = state.retired.iter().position(|held| wanted(held))?;
        Some(state.retired.remove(at))
    }
}

/// The thread that supplies segments and keeps the reserve.
#[derive(Debug)]
pub(crate) struct Supplier {
    core: Arc<Core>,
    lock: Arc<Lock>,
    next_number: u64,
    /// A segment that is made, and could not be noted so far.
    made: Option<Segment>,
    /// Ticks that are left before the next try to end a full disk's state, and the last pause.
    pause: (u32, u32),
}

impl Supplier {
    pub(crate) fn new(core: Arc<Core>, lock: Arc<Lock>, next_number: u64) -> Self {
        Self { core, lock, next_number, made: None, pause: (0, 1) }
    }

    /// Runs until the store is closed or poisoned.
    pub(crate) fn run(mut self) {
        let core = Arc::clone(&self.core);
        let _at_work = AtWork::begin();
        let guard = PoisonGuard::new(&core, "supply");
        let mut last_tick = Instant::now();
        self.look();
        while core.supply.wait() && core.writer.lock().check_open().is_ok() {
            self.look();
            if last_tick.elapsed() >= TICK {
                last_tick = Instant::now();
                self.tick();
            }
        }
        guard.disarm();
    }

    /// Makes what is missing and removes what is too much.
    fn look(&mut self) {
        let filled = self.fill();
        self.note_written();
        let short = self.missing() > 0;
        self.core.supply.state.lock().short = short;
        self.core.note_trouble(Part::Segments, filled.as_ref().copied());
        let removed = self.remove_surplus();
        self.core.note_trouble(Part::Surplus, removed.as_ref().copied());
        if short {
            // Carrying frees segments.
            self.core.requests.ring();
            if self.core.waits_in_vain().is_some() {
                // Whoever waits is to be told.
                self.core.look_again();
            }
        }
    }

    fn tick(&mut self) {
        // Here and not elsewhere: nobody else removes segments while their names are looked up.
        if let Err(cause) = self.core.check_names() {
            return self.core.poison(&cause.to_string());
        }
        // What is missing of it is a help alone: the next tick tries again.
        let _ = self.lock.renew(self.core.durable.value());
        if self.core.options.is_by_itself() {
            self.core.note_time();
        }
        if self.core.space.is_full() {
            let ended = self.end_full();
            self.core.note_trouble(Part::Reserve, ended.as_ref().copied());
        } else if self.core.troubles.of(Part::Reserve).is_some() {
            let taken = self.take_reserve().map(|_| ());
            self.core.note_trouble(Part::Reserve, taken.as_ref().copied());
        }
        self.core.tell_health();
    }

    /// Takes the reserve again, if there is room for it and for the segments that are missing.
    fn end_full(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        let segment = u64::from(core.options.segment_bytes());
        let wanted = core.options.reserve_bytes + segment * (self.missing() as u64).max(1);
        match core.space.room_bytes() {
            Some(room) if room < wanted => return Ok(()),
            Some(_) => {}
            None => {
                let (left, last) = self.pause;
                if left > 0 {
                    self.pause = (left - 1, last);
                    return Ok(());
                }
                self.pause = (last, (2 * last).min(TICKS_MAX));
            }
        }
        if !self.take_reserve()? {
            return Ok(());
        }
        while self.missing() > 0 {
            match self.supply_one(true) {
                Ok(true) => {}
                // The next try has room for the reserve again, or the table has.
                other => {
                    core.space.give_up();
                    return other.map(|_| ());
                }
            }
        }
        self.pause = (0, 1);
        core.space.end_full();
        core.look_again();
        Ok(())
    }

    fn take_reserve(&self) -> Result<bool> {
        let failed = |cause| Error::file("take the reserve in", self.core.dir.display(), cause);
        self.core.space.take().map_err(failed)
    }

    /// How many spares are missing. Short ones may be too little for issuing, however many.
    fn missing(&self) -> usize {
        let writer = self.core.writer.lock();
        let roomy = writer.room_bytes_for(Class::Issue) >= FRAME_BYTES_MAX as u64;
        let wanted = match (self.core.options.is_in_passing(), writer.line.len()) {
            (false, _) => SPARES,
            // A command that looks at a store leaves it as it was, unless a commit needs a segment.
            (true, 0) => 0,
            (true, _) => 1,
        };
        let missing = wanted.saturating_sub(writer.spares.len());
        missing.max(usize::from(wanted > 0 && !roomy))
    }

    /// Makes the spares that are missing.
    fn fill(&mut self) -> Result<()> {
        while self.missing() > 0 && self.supply_one(false)? {}
        Ok(())
    }

    /// Makes a spare and offers it, or one that could not be noted before; false if there is to be
    /// no other. As to `anew` see [`Supplier::make`].
    fn supply_one(&mut self, anew: bool) -> Result<bool> {
        let made = match self.made.take() {
            Some(made) => Some(made),
            None => self.make(anew)?,
        };
        self.offer(made)
    }

    /// Notes a segment and offers it to the log; false if there is none.
    fn offer(&mut self, made: Option<Segment>) -> Result<bool> {
        let Some(segment) = made else { return Ok(false) };
        // Before a commit is written to it: from then on it is missed.
        if let Err(cause) = self.note_newest(segment.number) {
            self.made = Some(segment);
            return Err(cause);
        }
        let mut writer = self.core.writer.lock();
        let ascends = writer.spares.back().is_none_or(|last| last.number < segment.number);
        assert!(ascends, "an open reads the segments in the order of their numbers");
        writer.spares.push_back(Arc::new(segment));
        let called = writer.call_line();
        drop(writer);
        super::signal::wake_all(called);
        Ok(true)
    }

    /// Notes where the log has gone on since a spare was noted; what fails is tried again.
    fn note_written(&self) {
        if self.core.writer.lock().segment.number != self.lock.written() {
            let _ = self.note_newest(self.lock.newest());
        }
    }

    fn note_newest(&self, newest: u64) -> Result<()> {
        let written = self.core.writer.lock().segment.number;
        let reached = Reached { newest, written, commit: self.core.durable.value() };
        match self.lock.note(reached) {
            // It is a help, not a promise: revoking on a full disk goes before.
            Err(cause) if !is_full(&cause) => {
                Err(Error::file("note the newest segment in", self.core.dir.display(), cause))
            }
            _ => Ok(()),
        }
    }

    /// Makes a segment ready, out of one that was carried or a new one; `None` if there is to be no
    /// other. `anew` makes one of the full length even if the disk was full a moment ago.
    fn make(&mut self, anew: bool) -> Result<Option<Segment>> {
        let core = Arc::clone(&self.core);
        let full_bytes = core.options.segment_bytes();
        let carriable = core.is_carriable();
        let alone = core.writer.lock().spares.is_empty();
        let scarce = core.space.is_full() && !anew;
        let usual = core.supply.take(|held| held.bytes == full_bytes);
        // A longer or shorter one is another day's choice, and better than none.
        let any = || core.supply.take(|held| held.bytes >= SEGMENT_BYTES_LEAST);
        let any_will_do = scarce || alone || !carriable;
        if let Some(retired) = usual.or_else(|| any_will_do.then(any).flatten()) {
            return self.reuse(&retired).map(Some);
        }
        let may_grow = match (scarce, carriable) {
            (false, true) => core.has_budget_left(),
            // Both of them: issuing leaves the last one to revoking.
            (false, false) => true,
            (true, carriable) => alone && !carriable,
        };
        if may_grow { self.create(scarce, alone) } else { Ok(None) }
    }

    /// True for a retired segment that an open would not miss. Any may be used again: its new
    /// number is noted before it is written to.
    fn is_free(&self, segment: &Segment) -> bool {
        segment.number != self.lock.newest() && segment.number != self.lock.written()
    }

    /// A number that no segment had. One that was tried is not tried again: it may be on the device
    /// already.
    fn number(&mut self) -> Result<u64> {
        let core = &self.core;
        let mut taken: Vec<u64> = core.segments.all().iter().map(|held| held.number).collect();
        taken.extend(core.supply.state.lock().retired.iter().map(|held| held.number));
        taken.extend(core.writer.lock().spares.iter().map(|spare| spare.number));
        let number = told_apart(self.next_number, &taken).ok_or_else(|| {
            let most =
                format!("the log has {SEGMENTS_MAX} segments, which is as many as there can");
            Error::new(ErrorKind::Unavailable, most + " be: set a smaller budget of the log")
        })?;
        self.next_number = number + 1;
        Ok(number)
    }

    fn reuse(&mut self, retired: &Arc<Segment>) -> Result<Segment> {
        let number = self.number()?;
        let core = &self.core;
        retired.reuse(&core.store, number).map_err(|cause| {
            // Whether its header is on the device is not known, so it is not used any more. What
            // `LOCK` says was written to is missed without its file, so another is named first.
            if !self.is_free(retired) {
                let _ = self.note_newest(self.lock.newest());
            }
            if self.is_free(retired) {
                let _ = core.disk.remove(&retired.path);
            }
            Error::file("reuse the log segment", retired.path.display(), cause)
        })
    }

    /// Makes a new file. On a full disk, or as the only spare there can be, of the room that is
    /// left.
    fn create(&mut self, scarce: bool, alone: bool) -> Result<Option<Segment>> {
        let number = self.number()?;
        let core = &self.core;
        let dir = core.dir.join(LOG_DIR);
        let full_bytes = core.options.segment_bytes();
        let create = |bytes: u32| Segment::create(&*core.disk, &dir, &core.store, number, bytes);
        let failed =
            |cause: io::Error| Error::file("create a log segment in", dir.display(), cause);
        if !scarce {
            match create(full_bytes) {
                Ok(segment) => return Ok(Some(segment)),
                Err(cause) if is_full(&cause) => core.space.give_up(),
                Err(cause) => return Err(failed(cause)),
            }
            if !alone || core.is_carriable() {
                return Ok(None);
            }
        }
        let room = core.space.room_bytes().unwrap_or(u64::MAX) / 2;
        let mut bytes = full_bytes.min(u32::try_from(room).unwrap_or(u32::MAX));
        bytes -= bytes % SEGMENT_BYTES_LEAST;
        let mut made = Err(io::ErrorKind::StorageFull.into());
        while bytes >= SEGMENT_BYTES_LEAST {
            made = create(bytes);
            match &made {
                Err(cause) if is_full(cause) => bytes = bytes / 2 - bytes / 2 % SEGMENT_BYTES_LEAST,
                _ => break,
            }
        }
        made.map(Some).map_err(failed)
    }

    /// Removes retired segments that will not be used again: odd ones, too many, and on a full disk
    /// all that are not needed now. What an open would miss stays.
    fn remove_surplus(&self) -> Result<()> {
        let core = &self.core;
        let full_bytes = core.options.segment_bytes();
        let most = if core.space.is_full() { 0 } else { RETIRED_MAX };
        let keep_all = core.options.is_in_passing() || self.missing() > 0;
        let mut surplus = Vec::new();
        {
            let mut state = core.supply.state.lock();
            let mut kept = Vec::new();
            let mut usual = 0;
            for segment in std::mem::take(&mut state.retired) {
                usual += usize::from(segment.bytes == full_bytes);
                let wanted = segment.bytes == full_bytes && usual <= most;
                let of_use = segment.bytes >= SEGMENT_BYTES_LEAST || core.options.is_in_passing();
                if keep_all && of_use || wanted || !self.is_free(&segment) {
                    kept.push(segment);
                } else {
                    surplus.push(segment);
                }
            }
            state.retired = kept;
        }
        let removed = self.remove(&mut surplus);
        // What could not be removed is tried again.
        let mut state = core.supply.state.lock();
        state.retired.append(&mut surplus);
        removed
    }

    fn remove(&self, surplus: &mut Vec<Arc<Segment>>) -> Result<()> {
        let core = &self.core;
        if surplus.is_empty() {
            return Ok(());
        }
        while let Some(segment) = surplus.pop() {
            match core.disk.remove(&segment.path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    let shown = segment.path.display().to_string();
                    surplus.push(segment);
                    return Err(Error::file("remove the log segment", shown, cause));
                }
                _ => {}
            }
        }
        let dir = core.dir.join(LOG_DIR);
        let synced = core.disk.sync_dir(&dir);
        synced.map_err(|cause| Error::file("sync the directory", dir.display(), cause))
    }
}

/// What keeps the log without room.
enum InVain {
    /// The disk is full, and nothing can be carried.
    Full,
    Trouble(Trouble),
}

impl Core {
    /// True if rows of a segment that is not written to any more can be carried, which frees it.
    pub(crate) fn is_carriable(&self) -> bool {
        let active = self.writer.lock().segment.number;
        self.segments.next_between(0, active).is_some()
    }

    /// True if the log may have another segment.
    fn has_budget_left(&self) -> bool {
        let spares: u64 =
            self.writer.lock().spares.iter().map(|spare| u64::from(spare.bytes)).sum();
        let segment = u64::from(self.options.segment_bytes());
        let most = self.options.log_budget_bytes + SPARES as u64 * segment;
        self.segments.bytes() + spares + segment <= most
    }

    /// The error for a commit that would wait for room in vain, if it would.
    pub(crate) fn no_supply(&self) -> Option<Error> {
        Some(match self.waits_in_vain()? {
            InVain::Full => self.space.refuse("there is no room in the log"),
            InVain::Trouble(trouble) => trouble.error(),
        })
    }

    /// Why a commit waits for room in vain, if it does.
    fn waits_in_vain(&self) -> Option<InVain> {
        // The supplier may be about to make room.
        if !self.supply.is_short() {
            return None;
        }
        // Rows that are carried make room as well.
        let carriable = self.is_carriable();
        let part = if carriable { Part::Table } else { Part::Segments };
        match self.troubles.of(part) {
            Some(trouble) if trouble.kind == ErrorKind::Full => Some(InVain::Full),
            Some(trouble) => Some(InVain::Trouble(trouble)),
            None => (!carriable && self.space.is_full()).then_some(InVain::Full),
        }
    }

    /// Has everybody who waits for room look again.
    pub(crate) fn look_again(&self) {
        let called = self.writer.lock().line.call_all();
        super::signal::wake_all(called);
    }
}
