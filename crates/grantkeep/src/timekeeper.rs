//! The store's own time: the wall clock forward, never backward.

use crate::clock::{Clock, Timestamp, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, AtomicI64, AtomicU64, Mutex, Ordering};
use std::time::Duration;

/// A step of the wall clock up to this size is ordinary drift and is followed at once.
pub const DRIFT_MAX: Duration = Duration::from_secs(2);

/// A larger step counts for validity at once, and for what cannot be undone (cutting windows,
/// storing the high-water mark) once it has held for this long.
pub const LEAP_HOLD: Duration = Duration::from_secs(30);

/// A leap is believed by itself up to the longest lifetime in use, but at least this far, so that
/// a store of short tokens may be closed over a long holiday.
pub const LEAP_BELIEVED_MIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// A row that lives longer than this is kept for good: its lifetime says nothing of how long the
/// store may have been closed, so no leap is believed for it.
const LIFETIME_BELIEVED_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Keeps the store's time.
///
/// *Settled* time is what the store will never go back behind: it starts at the stored high-water
/// mark, advances with the monotonic clock, and follows the wall clock forward. [`now`](Self::now)
/// is the later of settled time and the wall clock, so a leap forward expires at once, and a leap
/// that is taken back before it has held for [`LEAP_HOLD`] costs nothing.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    clock: Arc<dyn Clock>,
    /// Settled time minus monotonic time, milliseconds. Only ever grows.
    offset_ms: AtomicI64,
    /// True while the wall clock is further ahead than drift explains.
    leaping: AtomicBool,
    /// The monotonic time at which the present leap was first seen.
    leap_seen_at: Mutex<Option<Duration>>,
    /// The longest lifetime in use, milliseconds.
    lifetime_longest_ms: AtomicU64,
}

impl Timekeeper {
    /// `high_water` is the largest time the store has reached, or `None` for a new store.
    pub(crate) fn new(clock: Arc<dyn Clock>, high_water: Option<Timestamp>) -> Self {
        let start = high_water.unwrap_or_else(|| clock.wall().into());
        let offset = signed(start.as_millis()).saturating_sub(signed(millis(clock.monotonic())));
        Self {
            clock,
            offset_ms: AtomicI64::new(offset),
            leaping: AtomicBool::new(false),
            leap_seen_at: Mutex::new(None),
            lifetime_longest_ms: AtomicU64::new(0),
        }
    }

    /// The time by which validity is judged.
    pub(crate) fn now(&self) -> Timestamp {
        let monotonic = self.clock.monotonic();
        let wall_ms = Timestamp::from(self.clock.wall()).as_millis();
        let settled_ms = self.settled_at(monotonic).as_millis();
        let ahead_ms = wall_ms.saturating_sub(settled_ms);
        if ahead_ms <= millis(DRIFT_MAX) {
            if ahead_ms > 0 {
                self.settle(wall_ms, monotonic);
            }
            if self.leaping.load(Ordering::Relaxed) {
                self.end_leap();
            }
        } else {
            self.leap(ahead_ms, wall_ms, monotonic);
        }
        Timestamp::from_millis(wall_ms.max(settled_ms))
    }

    /// The time that may be acted on for good: windows before it may be cut.
    pub(crate) fn settled(&self) -> Timestamp {
        self.now();
        self.settled_at(self.clock.monotonic())
    }

    /// How far the wall clock is ahead of settled time, if further than is believed by itself.
    pub(crate) fn disbelieved(&self) -> Option<Duration> {
        // A leap is only noted when the time is asked for, and this may be the first to ask.
        self.now();
        if !self.leaping.load(Ordering::Relaxed) {
            return None;
        }
        let wall = Timestamp::from(self.clock.wall());
        let ahead = wall.since(self.settled_at(self.clock.monotonic()));
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

    /// Believes the wall clock as it is now, whatever the leap.
    pub(crate) fn accept(&self) {
        let wall_ms = Timestamp::from(self.clock.wall()).as_millis();
        self.settle(wall_ms, self.clock.monotonic());
        self.end_leap();
    }

    /// Notes that rows of this lifetime are in use.
    pub(crate) fn note_lifetime(&self, lifetime: Duration) {
        if lifetime <= LIFETIME_BELIEVED_MAX {
            self.lifetime_longest_ms.fetch_max(millis(lifetime), Ordering::Relaxed);
        }
    }

    fn settled_at(&self, monotonic: Duration) -> Timestamp {
        let ms = self.offset_ms.load(Ordering::Acquire).saturating_add(signed(millis(monotonic)));
        Timestamp::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    fn settle(&self, time_ms: u64, monotonic: Duration) {
        let offset = signed(time_ms).saturating_sub(signed(millis(monotonic)));
        self.offset_ms.fetch_max(offset, Ordering::AcqRel);
    }

    fn leap(&self, ahead_ms: u64, wall_ms: u64, monotonic: Duration) {
        let mut seen_at = self.leap_seen_at.lock();
        self.leaping.store(true, Ordering::Relaxed);
        let since = *seen_at.get_or_insert(monotonic);
        let held = monotonic.saturating_sub(since) >= LEAP_HOLD;
        if held && ahead_ms <= self.believed_ms() {
            self.settle(wall_ms, monotonic);
            *seen_at = None;
            self.leaping.store(false, Ordering::Relaxed);
        }
    }

    fn end_leap(&self) {
        let mut seen_at = self.leap_seen_at.lock();
        *seen_at = None;
        self.leaping.store(false, Ordering::Relaxed);
    }

    fn believed_ms(&self) -> u64 {
        self.lifetime_longest_ms.load(Ordering::Relaxed).max(millis(LEAP_BELIEVED_MIN))
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::{SystemTime, UNIX_EPOCH};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn start() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn keeper() -> (Arc<ManualClock>, Timekeeper) {
        let clock = Arc::new(ManualClock::at(start()));
        let keeper = Timekeeper::new(clock.clone(), None);
        (clock, keeper)
    }

    // Goal: P5, a step back revives nothing. Method: step the wall a year back and let time pass.
    #[test]
    fn time_never_goes_back_behind_settled() {
        let (clock, keeper) = keeper();
        clock.advance(Duration::from_secs(10));
        let before = keeper.now();
        clock.step_to(start() - 365 * DAY);
        assert_eq!(keeper.now(), before);
        clock.advance(Duration::from_secs(5));
        assert_eq!(keeper.now().since(before), Duration::from_secs(5));
    }

    // Goal: P5, a moment's leap costs nothing, a held one settles. Method: leap a day, go back,
    // leap again and hold.
    #[test]
    fn leap_counts_at_once_and_settles_after_the_hold() {
        let (clock, keeper) = keeper();
        let first = keeper.now();
        clock.step_to(start() + DAY);
        assert_eq!(keeper.now().since(first), DAY);
        assert_eq!(keeper.settled(), first);
        clock.step_to(start());
        assert_eq!(keeper.now(), first);
        clock.step_to(start() + DAY);
        keeper.now();
        clock.advance(LEAP_HOLD);
        assert_eq!(keeper.settled().since(first), DAY + LEAP_HOLD);
    }

    // Goal: a leap beyond the longest lifetime is not believed until told. Method: leap a
    // hundred years, hold, accept.
    #[test]
    fn leap_beyond_the_longest_lifetime_waits_to_be_told() {
        let (clock, keeper) = keeper();
        let first = keeper.now();
        clock.step_to(start() + 36_500 * DAY);
        keeper.now();
        clock.advance(LEAP_HOLD * 10);
        assert_eq!(keeper.settled().since(first), LEAP_HOLD * 10);
        assert_eq!(keeper.check_believed().map_err(|e| e.kind()), Err(ErrorKind::Clock));
        keeper.accept();
        assert!(keeper.check_believed().is_ok());
        assert!(keeper.settled().since(first) >= 36_500 * DAY);
    }

    // Goal: a leap is refused by whoever meets it first, and no row kept for good hides it.
    // Method: note such a lifetime, leap a hundred years and a day, and ask nothing else before.
    #[test]
    fn leap_is_refused_before_anyone_asked_for_the_time() {
        let (clock, keeper) = keeper();
        keeper.note_lifetime(Duration::from_millis(u64::MAX / 4));
        assert!(keeper.check_believed().is_ok());
        clock.step_to(start() + 36_501 * DAY);
        assert_eq!(keeper.check_believed().map_err(|e| e.kind()), Err(ErrorKind::Clock));
        clock.step_to(start());
        assert!(keeper.check_believed().is_ok());
    }

    // Goal: P5, a restart revives nothing. Method: open with a high-water mark ahead of the wall.
    #[test]
    fn high_water_mark_outlives_a_restart() {
        let clock = Arc::new(ManualClock::at(start()));
        let mark = Timestamp::from(start() + DAY);
        let keeper = Timekeeper::new(clock, Some(mark));
        assert_eq!(keeper.now(), mark);
    }

    // Goal: the bounds of drift, hold, and belief are exact. Method: each, and a millisecond more
    // or less.
    #[test]
    fn bounds_of_a_leap_are_exact() {
        let millisecond = Duration::from_millis(1);
        let settled_after = |step, hold| {
            let (clock, keeper) = keeper();
            let first = keeper.now();
            clock.step_to(start() + step);
            keeper.now();
            clock.advance(hold);
            keeper.settled().since(first)
        };
        assert_eq!(settled_after(DRIFT_MAX, Duration::ZERO), DRIFT_MAX);
        assert_eq!(settled_after(DRIFT_MAX + millisecond, Duration::ZERO), Duration::ZERO);
        let nearly = LEAP_HOLD.saturating_sub(millisecond);
        assert_eq!(settled_after(DAY, nearly), nearly);
        assert_eq!(settled_after(DAY, LEAP_HOLD), DAY + LEAP_HOLD);

        let (clock, keeper) = keeper();
        for (longest, believed) in [(DAY, LEAP_BELIEVED_MIN), (400 * DAY, 400 * DAY)] {
            keeper.note_lifetime(longest);
            clock.step_to(start() + believed);
            assert!(keeper.check_believed().is_ok());
            clock.step_to(start() + believed + millisecond);
            assert_eq!(keeper.check_believed().map_err(|e| e.kind()), Err(ErrorKind::Clock));
        }
    }
}
