//! The store's time as its documentation says it is kept, written a second time.

use crate::plan::{LEAP_BELIEVED, LEAP_NOT_BELIEVED};
use grantkeep::{Clock as _, DRIFT_MAX, LEAP_HOLD, ManualClock};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

#[derive(Debug)]
pub struct Time {
    pub clock: Arc<ManualClock>,
    settled_ms: u64,
    seen_at_ms: u64,
    leap_since_ms: Option<u64>,
    /// The largest settled time there ever was: rows that die later may not be swept.
    pub peak_ms: u64,
}

impl Time {
    pub fn new(clock: Arc<ManualClock>) -> Self {
        let mut time =
            Self { clock, settled_ms: 0, seen_at_ms: 0, leap_since_ms: None, peak_ms: 0 };
        time.settled_ms = time.wall_ms();
        time.seen_at_ms = time.monotonic_ms();
        time.see();
        time
    }

    /// The time by which validity is judged, once the store has looked at its clock.
    pub fn see(&mut self) -> u64 {
        let (wall, monotonic) = (self.wall_ms(), self.monotonic_ms());
        self.settled_ms += monotonic - self.seen_at_ms;
        self.seen_at_ms = monotonic;
        let ahead = wall.saturating_sub(self.settled_ms);
        if ahead <= ms(DRIFT_MAX) {
            self.settle(wall);
        } else {
            let since = *self.leap_since_ms.get_or_insert(monotonic);
            assert!(
                ahead <= LEAP_BELIEVED || ahead >= LEAP_NOT_BELIEVED,
                "a leap of {ahead} ms is of no use in a test"
            );
            if monotonic - since >= ms(LEAP_HOLD) && ahead <= LEAP_BELIEVED {
                self.settle(wall);
            }
        }
        self.peak_ms = self.peak_ms.max(self.settled_ms);
        wall.max(self.settled_ms)
    }

    /// The time that may be acted on for good.
    pub fn settled_ms(&mut self) -> u64 {
        self.see();
        self.settled_ms
    }

    /// True while nothing is issued.
    pub fn is_disbelieved(&mut self) -> bool {
        self.see() - self.settled_ms >= LEAP_NOT_BELIEVED
    }

    pub fn accept(&mut self) {
        let wall = self.wall_ms();
        self.see();
        self.settle(wall);
        self.see();
    }

    /// A new process opens a store whose stored high-water mark is `stored_ms`.
    pub fn reopened(&mut self, stored_ms: u64) {
        self.settled_ms = stored_ms;
        self.seen_at_ms = self.monotonic_ms();
        self.leap_since_ms = None;
    }

    pub fn advance(&mut self, by_ms: u64) {
        self.clock.advance(Duration::from_millis(by_ms));
    }

    pub fn step_to(&mut self, wall_ms: u64) {
        self.clock.step_to(UNIX_EPOCH + Duration::from_millis(wall_ms));
    }

    pub fn wall_ms(&self) -> u64 {
        ms(self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn monotonic_ms(&self) -> u64 {
        ms(self.clock.monotonic())
    }

    fn settle(&mut self, wall_ms: u64) {
        self.settled_ms = self.settled_ms.max(wall_ms);
        self.leap_since_ms = None;
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
