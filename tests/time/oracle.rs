//! The store's time as `docs/guarantees.md` (P5), `docs/limits.md`, and `docs/operating.md` say it
//! is kept, and what follows for rows: never in force once dead, never removed before.

use grantkeep::{Clock as _, DRIFT_MAX, LEAP_BELIEVED_MIN, LEAP_HOLD, ManualClock};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is expected of the store's time.
#[derive(Debug)]
pub struct Oracle {
    pub clock: Arc<ManualClock>,
    /// Time that is not gone back behind.
    settled_ms: u64,
    looked_at_ms: u64,
    leap_since_ms: Option<u64>,
    /// The largest settled time ever: what dies later is not removed.
    pub peak_ms: u64,
    /// Settled time that a commit has made durable.
    pub noted_ms: u64,
}

impl Oracle {
    pub fn new(clock: Arc<ManualClock>) -> Self {
        let mut oracle = Self {
            clock,
            settled_ms: 0,
            looked_at_ms: 0,
            leap_since_ms: None,
            peak_ms: 0,
            noted_ms: 0,
        };
        oracle.settled_ms = oracle.wall_ms();
        oracle.looked_at_ms = oracle.monotonic_ms();
        oracle.now_ms();
        oracle
    }

    /// The time by which validity is judged, once the store has looked at its clock.
    pub fn now_ms(&mut self) -> u64 {
        let (wall, monotonic) = (self.wall_ms(), self.monotonic_ms());
        self.settled_ms += monotonic - self.looked_at_ms;
        self.looked_at_ms = monotonic;
        let ahead = wall.saturating_sub(self.settled_ms);
        if ahead <= ms(DRIFT_MAX) {
            self.settle(wall);
        } else {
            let since = *self.leap_since_ms.get_or_insert(monotonic);
            if monotonic - since >= ms(LEAP_HOLD) && ahead <= ms(LEAP_BELIEVED_MIN) {
                self.settle(wall);
            }
        }
        self.peak_ms = self.peak_ms.max(self.settled_ms);
        wall.max(self.settled_ms)
    }

    pub fn settled_ms(&mut self) -> u64 {
        self.now_ms();
        self.settled_ms
    }

    /// How far the clock is ahead of what is believed, if that is too far to issue.
    pub fn disbelieved_ms(&mut self) -> Option<u64> {
        let ahead = self.now_ms() - self.settled_ms;
        (ahead > ms(LEAP_BELIEVED_MIN)).then_some(ahead)
    }

    pub fn accept(&mut self) {
        let wall = self.wall_ms();
        self.now_ms();
        self.settle(wall);
        self.now_ms();
    }

    /// The store was closed in order and opened again.
    pub fn reopened(&mut self) {
        self.looked_at_ms = self.monotonic_ms();
        self.leap_since_ms = None;
    }

    /// The store was killed and opened again, and says that it is `now_ms`: not before what was
    /// durable, not before the wall clock, and not ahead of both clocks.
    pub fn killed(&mut self, now_ms: u64) {
        let (wall, before) = (self.wall_ms(), self.settled_ms);
        assert!(now_ms >= wall && now_ms >= self.noted_ms, "went back behind what is durable");
        assert!(now_ms <= wall.max(before), "went ahead of both clocks");
        self.settled_ms = if now_ms > wall { now_ms } else { self.noted_ms };
        self.reopened();
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub fn step_to(&self, wall_ms: u64) {
        self.clock.step_to(time(wall_ms));
    }

    pub fn wall_ms(&self) -> u64 {
        ms(self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    pub fn monotonic_ms(&self) -> u64 {
        ms(self.clock.monotonic())
    }

    fn settle(&mut self, wall_ms: u64) {
        self.settled_ms = self.settled_ms.max(wall_ms);
        self.leap_since_ms = None;
    }
}

pub fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
