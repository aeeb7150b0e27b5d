//! The store's own time: two clocks, and what lies between them.
//!
//! *Settled* time is the time that the store never goes back behind; rows expire in it. *Wall* time
//! is the clock of the machine as it is; whoever talks to the store lives in it. The *lead* is how
//! far the time of the store is ahead of the wall clock. It is not there until the wall clock was
//! ahead for a while, and was then corrected.
//!
//! # The rules
//!
//! 1. Settled time advances with the monotonic clock. A wall clock that is ahead of it by up to
//!    [`DRIFT_MAX`] is followed at once.
//! 2. A wall clock that is further ahead is a *leap*. It counts for validity at once: [`now`] is
//!    the later of the two clocks. Settled time follows once the leap has held for [`LEAP_HOLD`],
//!    and only up to what is believed by itself. A leap beyond that refuses issuing until somebody
//!    [accepts] it, or the clock is corrected.
//! 3. A wall clock behind settled time changes nothing: what is between them is the lead. A wall
//!    clock that comes forward again consumes the lead first. So a wall clock that runs faster than
//!    the monotonic one, and is set back every day, gains one day's drift and no more. Where both
//!    run fast, the lead grows by each day's drift, since settled time does not slow down.
//! 4. The lead is *noted* with settled time in every frame of the log and in the table ([`Mark`]).
//!    A step of the wall clock back by more than is believed is left out: a board whose clock
//!    starts in 1970 has no lead of 50 years. While a leap is held there is no lead.
//! 5. An open has the mark of the last close or crash. While the store was closed no monotonic
//!    clock ran, so the passing of time is that of the wall clock: until rule 2 has settled it, the
//!    store is *opening*, and the wall clock plus the lead of the mark takes the place of the wall
//!    clock in rules 1 and 2. That lead goes on being noted, so a crash on the way takes nothing
//!    back. An open whose wall clock is behind that of the mark stops opening once that has held as
//!    well; one that is further behind than is believed goes on opening.
//! 6. The *shown* lead, by which times are converted, follows the lead in steps of more than
//!    [`DRIFT_MAX`], so that two looks at one row agree.
//! 7. *Paced* time is settled time less the *slow* lead. That one grows at once, and by each leap
//!    that settles; it shrinks by more than drift only once it was smaller for [`PACE_HOLD`]. So
//!    paced time is never ahead of the wall clock, nor of the one that a leap replaced within the
//!    last day. Rows of the kind [`Kind::REMEMBERED`](crate::backend::Kind::REMEMBERED) are removed
//!    by it: they stand for values whose end is a wall time, and a leap that is taken back must not
//!    have them forgotten.
//!
//! # Invariants
//!
//! - Settled time never decreases, and [`now`] is never before it (P5). A restore alone sets it
//!   back ([`Timekeeper::restored`]): the layer above admits nothing from before.
//! - No lead is negative; the slow lead is at least the lead.
//! - Paced time is never after settled time, nor after the wall clock.
//! - A mark read between the two writes of a settling leap has the former settled time with the
//!   latter lead, so an open judges the leap anew. (The other way round it would be counted twice.)
//!
//! # Locks
//!
//! Every look at the time is a few atomic loads, unless a step of the clock is being judged. What
//! is being judged is behind `judged`, the innermost lock of the store.
//!
//! # What it does not do
//!
//! - A machine that is suspended has a monotonic clock that stands still. Then rule 3 counts the
//!   passing of time against a lead first.
//! - The slow lead is not stored: after a restart the noted lead takes its place.
//!
//! [`now`]: Timekeeper::now
//! [accepts]: Timekeeper::accept

mod held;

use crate::clock::{Clock, Timestamp, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, AtomicI64, AtomicU64, Mutex, Ordering};
use held::Shrinking;
use std::time::Duration;

/// A step of the wall clock up to this size is ordinary drift and is followed at once.
pub const DRIFT_MAX: Duration = Duration::from_secs(2);

/// A larger step counts for validity at once, and for what cannot be undone (cutting windows,
/// storing the high-water mark) once it has held for this long.
pub const LEAP_HOLD: Duration = Duration::from_secs(30);

/// A leap is believed by itself up to the longest lifetime in use, but at least this far, so that
/// a store of short tokens may be closed over a long holiday.
pub const LEAP_BELIEVED_MIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// Burnt values are not forgotten because of a leap that was taken back within this long.
pub const PACE_HOLD: Duration = Duration::from_secs(24 * 3600);

/// A row that lives longer than this is kept for good: its lifetime says nothing of how long the
/// store may have been closed, so no leap is believed for it.
const LIFETIME_BELIEVED_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

const DRIFT_MAX_MS: u64 = DRIFT_MAX.as_secs() * 1_000;

/// What is stored of the time: how far it has come, and how far that is ahead of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) settled: Timestamp,
    pub(crate) lead: Duration,
}

impl Mark {
    /// True if the lead is another than `before`, and not by drift alone.
    pub(crate) fn leads_anew(self, before: Self) -> bool {
        self.lead.abs_diff(before.lead) > DRIFT_MAX
    }
}

/// The clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The time by which validity is judged.
    pub(crate) now: Timestamp,
    /// The wall clock.
    pub(crate) wall: Timestamp,
    /// The time that may be acted on for good, and the noted lead.
    pub(crate) mark: Mark,
    monotonic: Duration,
}

impl Moment {
    /// How far the time of the store is ahead of the wall clock.
    pub(crate) fn lead(&self) -> Duration {
        self.now.since(self.wall)
    }
}

/// Keeps the store's time, by the rules at the head of this file.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    clock: Arc<dyn Clock>,
    /// Settled time minus monotonic time, milliseconds. Only ever grows; written by anybody.
    offset_ms: AtomicI64,
    /// The noted lead. Drift is written by anybody, steps under `judged`.
    noted_ms: AtomicU64,
    /// The slow lead. Anybody makes it grow; it shrinks under `judged`.
    slow_ms: AtomicU64,
    /// The shown lead; written by anybody.
    shown_ms: AtomicU64,
    /// True while something is judged; written under `judged`.
    judging: AtomicBool,
    judged: Mutex<Judged>,
    /// The longest lifetime in use, milliseconds.
    lifetime_longest_ms: AtomicU64,
}

/// The steps of the clock that are being judged.
#[derive(Debug, Default)]
struct Judged {
    /// The monotonic time at which the present leap was first seen.
    leap_since: Option<Duration>,
    /// The lead that the store was opened with, while it is opening.
    opening_ms: Option<u64>,
    /// The monotonic time at which an open first saw a wall clock behind that of its mark.
    behind_since: Option<Duration>,
    slow: Shrinking,
}

impl Judged {
    /// Nothing is judged any more. The slow lead goes on shrinking.
    fn settle(&mut self) {
        *self = Self { slow: std::mem::take(&mut self.slow), ..Self::default() };
    }
}

impl Timekeeper {
    /// `mark` is the last one that the store has stored, or `None` for a new store.
    pub(crate) fn new(clock: Arc<dyn Clock>, mark: Option<Mark>) -> Self {
        let new = || Mark { settled: clock.wall().into(), lead: Duration::ZERO };
        let Mark { settled, lead } = mark.unwrap_or_else(new);
        let offset = signed(settled.as_millis()).saturating_sub(signed(millis(clock.monotonic())));
        let lead_ms = millis(lead);
        let opening_ms = Some(lead_ms).filter(|lead_ms| *lead_ms > 0);
        Self {
            clock,
            offset_ms: AtomicI64::new(offset),
            noted_ms: AtomicU64::new(lead_ms),
            slow_ms: AtomicU64::new(lead_ms),
            shown_ms: AtomicU64::new(0),
            judging: AtomicBool::new(opening_ms.is_some()),
            judged: Mutex::new(Judged { opening_ms, ..Judged::default() }),
            lifetime_longest_ms: AtomicU64::new(0),
        }
    }

    /// The time of a store that was restored, and how far it was set back: nothing that was issued
    /// before is admitted, so the lead may be given up. A wall clock that is behind by more than is
    /// believed is taken for a wrong one, and nothing is given up for it.
    pub(crate) fn restored(clock: Arc<dyn Clock>, mark: Option<Mark>) -> (Self, Duration) {
        let Some(mark) = mark else { return (Self::new(clock, None), Duration::ZERO) };
        let wall = Timestamp::from(clock.wall());
        let behind = mark.settled.since(wall);
        if behind.saturating_sub(mark.lead) > LEAP_BELIEVED_MIN {
            return (Self::new(clock, Some(mark)), Duration::ZERO);
        }
        let settled = mark.settled.min(wall);
        let set_back = behind.max(mark.lead);
        (Self::new(clock, Some(Mark { settled, lead: Duration::ZERO })), set_back)
    }

    /// The time by which validity is judged.
    pub(crate) fn now(&self) -> Timestamp {
        self.moment().now
    }

    /// The time that may be acted on for good: windows before it may be cut.
    pub(crate) fn settled(&self) -> Timestamp {
        self.moment().mark.settled
    }

    /// The wall clock.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall().into()
    }

    /// What is to be stored of the time.
    pub(crate) fn mark(&self) -> Mark {
        self.moment().mark
    }

    /// The shown lead.
    pub(crate) fn lead(&self) -> Duration {
        self.moment();
        Duration::from_millis(self.shown_ms.load(Ordering::Relaxed))
    }

    /// The time by which remembered rows may be removed: never after settled time.
    pub(crate) fn paced(&self) -> Timestamp {
        let moment = self.moment();
        let settled_ms = moment.mark.settled.as_millis();
        let lead_ms = settled_ms.saturating_sub(moment.wall.as_millis());
        let mut judged = self.judged.lock();
        let slow_ms = self.slow_ms.load(Ordering::Relaxed);
        if let Some(lower_ms) =
            judged.slow.follow(slow_ms, lead_ms, moment.monotonic, PACE_HOLD, DRIFT_MAX_MS)
        {
            // Not if it has grown meanwhile.
            let _ = self.slow_ms.compare_exchange(
                slow_ms,
                lower_ms,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        let paced_ms = settled_ms.saturating_sub(self.slow_ms.load(Ordering::Relaxed));
        debug_assert!(paced_ms <= settled_ms, "paced time is not after settled time");
        Timestamp::from_millis(paced_ms)
    }

    /// Looks at the clocks.
    pub(crate) fn moment(&self) -> Moment {
        let monotonic = self.clock.monotonic();
        let wall_ms = Timestamp::from(self.clock.wall()).as_millis();
        let settled_ms = self.settled_at(monotonic).as_millis();
        let (ahead_ms, lead_ms) =
            (wall_ms.saturating_sub(settled_ms), settled_ms.saturating_sub(wall_ms));
        let noted_ms = self.noted_ms.load(Ordering::Relaxed);
        let calm = !self.judging.load(Ordering::Relaxed)
            && ahead_ms <= DRIFT_MAX_MS
            && lead_ms.abs_diff(noted_ms) <= DRIFT_MAX_MS;
        let target_ms = if calm {
            if lead_ms != noted_ms {
                self.noted_ms.store(lead_ms, Ordering::Relaxed);
            }
            if ahead_ms > 0 {
                self.settle(wall_ms, monotonic);
            }
            wall_ms
        } else {
            self.judge(wall_ms, monotonic)
        };
        if lead_ms > self.slow_ms.load(Ordering::Relaxed) {
            self.slow_ms.fetch_max(lead_ms, Ordering::Relaxed);
        }
        let settled = self.settled_at(monotonic);
        debug_assert!(settled.as_millis() >= settled_ms, "settled time never goes back");
        let now_ms = target_ms.max(settled_ms).max(settled.as_millis());
        self.show(now_ms.saturating_sub(wall_ms));
        let lead = Duration::from_millis(self.noted_ms.load(Ordering::Relaxed));
        Moment {
            now: Timestamp::from_millis(now_ms),
            wall: Timestamp::from_millis(wall_ms),
            mark: Mark { settled, lead },
            monotonic,
        }
    }

    /// How far the wall clock is ahead of settled time, if further than is believed by itself.
    pub(crate) fn disbelieved(&self) -> Option<Duration> {
        let moment = self.moment();
        let ahead = moment.now.since(moment.mark.settled);
        (millis(ahead) > self.believed_ms()).then_some(ahead)
    }

    /// Refuses with [`ErrorKind::Clock`] while the clock is not believed.
    pub(crate) fn check_believed(&self) -> Result<()> {
        match self.disbelieved() {
            None => Ok(()),
            Some(ahead) => Err(Error::new(
                ErrorKind::Clock,
                format!(
                    "the clock is {} s ahead of the largest time this store has seen, more than \
                     the {} s it believes by itself: correct the clock, or accept it with \
                     `grantkeep accept-clock` or `Store::accept_clock`",
                    ahead.as_secs(),
                    self.believed_ms() / 1000
                ),
            )),
        }
    }

    /// Believes the wall clock as it is now, whatever the leap, and whatever the lead.
    pub(crate) fn accept(&self) {
        let monotonic = self.clock.monotonic();
        let wall_ms = Timestamp::from(self.clock.wall()).as_millis();
        let mut judged = self.judged.lock();
        let target_ms = wall_ms.saturating_add(judged.opening_ms.unwrap_or(0));
        let settled_ms = self.settled_at(monotonic).as_millis().max(target_ms);
        self.noted_ms.store(settled_ms.saturating_sub(wall_ms), Ordering::Relaxed);
        self.push(target_ms, monotonic);
        judged.settle();
        self.judging.store(false, Ordering::Relaxed);
    }

    /// Notes that rows of this lifetime are in use.
    pub(crate) fn note_lifetime(&self, lifetime: Duration) {
        if lifetime <= LIFETIME_BELIEVED_MAX {
            self.lifetime_longest_ms.fetch_max(millis(lifetime), Ordering::Relaxed);
        }
    }

    fn settled_at(&self, monotonic: Duration) -> Timestamp {
        let ms = self.offset_ms.load(Ordering::Acquire).saturating_add(signed(millis(monotonic)));
        // A clock before 1970 is the epoch, as for every other timestamp.
        Timestamp::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    fn settle(&self, time_ms: u64, monotonic: Duration) {
        let offset = signed(time_ms).saturating_sub(signed(millis(monotonic)));
        self.offset_ms.fetch_max(offset, Ordering::AcqRel);
    }

    /// Settles on a leap. Paced time does not follow it yet.
    fn push(&self, time_ms: u64, monotonic: Duration) {
        let ahead_ms = time_ms.saturating_sub(self.settled_at(monotonic).as_millis());
        if ahead_ms > 0 {
            self.slow_ms.fetch_add(ahead_ms, Ordering::Relaxed);
            self.settle(time_ms, monotonic);
        }
    }

    /// Judges a wall clock that is not where it is expected. Answers the time that counts for
    /// validity, if it is later than settled time.
    fn judge(&self, wall_ms: u64, monotonic: Duration) -> u64 {
        let judged = &mut *self.judged.lock();
        // Another caller may have settled it since this one looked.
        let settled_ms = self.settled_at(monotonic).as_millis();
        let lead_ms = settled_ms.saturating_sub(wall_ms);
        let target_ms = wall_ms.saturating_add(judged.opening_ms.unwrap_or(0));
        let ahead_ms = target_ms.saturating_sub(settled_ms);
        if ahead_ms > DRIFT_MAX_MS {
            self.noted_ms.store(judged.opening_ms.unwrap_or(0), Ordering::Relaxed);
            judged.behind_since = None;
            let since = *judged.leap_since.get_or_insert(monotonic);
            let held = monotonic.saturating_sub(since) >= LEAP_HOLD;
            if held && ahead_ms <= self.believed_ms() {
                self.push(target_ms, monotonic);
                judged.settle();
            }
        } else {
            judged.leap_since = None;
            if ahead_ms > 0 {
                self.settle(target_ms, monotonic);
            }
            let lead_ms = if ahead_ms > 0 { target_ms - wall_ms } else { lead_ms };
            self.follow_lead(judged, lead_ms, monotonic);
        }
        let judging = judged.leap_since.is_some() || judged.opening_ms.is_some();
        self.judging.store(judging, Ordering::Relaxed);
        target_ms
    }

    /// Notes the lead, and ends an opening that has caught up.
    fn follow_lead(&self, judged: &mut Judged, lead_ms: u64, monotonic: Duration) {
        let opening_ms = judged.opening_ms;
        let before_ms = opening_ms.unwrap_or_else(|| self.noted_ms.load(Ordering::Relaxed));
        let credible = lead_ms.saturating_sub(before_ms) <= self.believed_ms();
        let noted_ms = if credible { lead_ms } else { before_ms };
        self.noted_ms.store(noted_ms.max(opening_ms.unwrap_or(0)), Ordering::Relaxed);
        let Some(opening_ms) = opening_ms else { return };
        let caught_up = lead_ms.saturating_sub(opening_ms) <= DRIFT_MAX_MS;
        if !caught_up && !credible {
            judged.behind_since = None;
            return;
        }
        let since = *judged.behind_since.get_or_insert(monotonic);
        if caught_up || monotonic.saturating_sub(since) >= LEAP_HOLD {
            judged.opening_ms = None;
            judged.behind_since = None;
        }
    }

    fn show(&self, lead_ms: u64) {
        if lead_ms.abs_diff(self.shown_ms.load(Ordering::Relaxed)) > DRIFT_MAX_MS {
            self.shown_ms.store(lead_ms, Ordering::Relaxed);
        }
    }

    fn believed_ms(&self) -> u64 {
        self.lifetime_longest_ms.load(Ordering::Relaxed).max(millis(LEAP_BELIEVED_MIN))
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
