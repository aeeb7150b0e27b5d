//! The store's time as the documents say it is kept (`docs/design.md`, `docs/operating.md`),
//! written a second time.

use grantkeep::{Clock as _, DRIFT_MAX, LEAP_HOLD, ManualClock};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is expected of the store's time. Everything is in milliseconds.
#[derive(Debug)]
pub struct StoreTime {
    pub clock: Arc<ManualClock>,
    /// Steps up to its start are believed, those from its end on are not.
    believed: RangeInclusive<u64>,
    /// Time that is not gone back behind.
    settled: u64,
    looked_at: u64,
    leap_since: Option<u64>,
    /// The lead that the store was opened with, until that has passed.
    opening: Option<u64>,
    behind_since: Option<u64>,
    /// The lead as it is stored.
    noted: u64,
    /// The lead as it is shown.
    shown: u64,
    /// The largest settled time ever: what dies later is not removed.
    pub peak: u64,
    /// The largest lead that was ever noted.
    pub lead_peak: u64,
}

impl StoreTime {
    /// The time of a new store on this clock.
    pub fn new(clock: Arc<ManualClock>, believed: RangeInclusive<u64>) -> Self {
        let mut time = Self {
            clock,
            believed,
            settled: 0,
            looked_at: 0,
            leap_since: None,
            opening: None,
            behind_since: None,
            noted: 0,
            shown: 0,
            peak: 0,
            lead_peak: 0,
        };
        (time.settled, time.looked_at) = (time.wall(), time.monotonic());
        time.now();
        time
    }

    /// The time by which validity is judged, once the store has looked at its clock.
    pub fn now(&mut self) -> u64 {
        let (wall, monotonic) = (self.wall(), self.monotonic());
        self.settled += monotonic - self.looked_at;
        self.looked_at = monotonic;
        let target = wall + self.opening.unwrap_or(0);
        if target > self.settled + ms(DRIFT_MAX) {
            (self.noted, self.behind_since) = (self.opening.unwrap_or(0), None);
            let since = *self.leap_since.get_or_insert(monotonic);
            if monotonic - since >= ms(LEAP_HOLD) && self.is_believed(target - self.settled) {
                self.settle_on(target);
            }
        } else {
            self.leap_since = None;
            self.settled = self.settled.max(target);
            self.follow(self.settled.saturating_sub(wall), monotonic);
        }
        self.peak = self.peak.max(self.settled);
        self.lead_peak = self.lead_peak.max(self.noted);
        let now = target.max(self.settled);
        if (now - wall).abs_diff(self.shown) > ms(DRIFT_MAX) {
            self.shown = now - wall;
        }
        now
    }

    /// What is stored of the lead, and whether the store has caught up with its close.
    fn follow(&mut self, lead: u64, monotonic: u64) {
        let before = self.opening.unwrap_or(self.noted);
        let believed = self.is_believed(lead.saturating_sub(before));
        self.noted = if believed { lead.max(self.opening.unwrap_or(0)) } else { before };
        match self.opening {
            Some(opened) if lead <= opened + ms(DRIFT_MAX) => {
                (self.opening, self.behind_since) = (None, None);
            }
            Some(_) if believed => {
                let since = *self.behind_since.get_or_insert(monotonic);
                if monotonic - since >= ms(LEAP_HOLD) {
                    (self.opening, self.behind_since) = (None, None);
                }
            }
            _ => self.behind_since = None,
        }
    }

    fn settle_on(&mut self, target: u64) {
        self.settled = self.settled.max(target);
        self.noted = self.settled - self.wall();
        (self.leap_since, self.opening, self.behind_since) = (None, None, None);
    }

    /// The time that may be acted on for good.
    pub fn settled(&mut self) -> u64 {
        self.now();
        self.settled
    }

    /// The lead as it is shown.
    pub fn lead(&mut self) -> u64 {
        self.now();
        self.shown
    }

    /// The lead as it is stored.
    pub fn noted(&mut self) -> u64 {
        self.now();
        self.noted
    }

    /// True while a store that was opened has not caught up.
    pub fn is_opening(&mut self) -> bool {
        self.now();
        self.opening.is_some()
    }

    /// How far the clock is ahead of what is believed, if that is too far to issue.
    pub fn disbelieved(&mut self) -> Option<u64> {
        let ahead = self.now() - self.settled;
        (!self.is_believed(ahead)).then_some(ahead)
    }

    /// The clock is accepted as it is.
    pub fn accept(&mut self) {
        let target = self.wall() + self.opening.unwrap_or(0);
        self.settled += self.monotonic() - self.looked_at;
        self.looked_at = self.monotonic();
        self.settle_on(target);
        self.now();
    }

    /// The store is opened again, with what it has stored of its time.
    pub fn reopened(&mut self, settled: u64, lead: u64) {
        (self.settled, self.looked_at) = (settled, self.monotonic());
        (self.noted, self.shown) = (lead, 0);
        self.opening = (lead > 0).then_some(lead);
        (self.leap_since, self.behind_since) = (None, None);
    }

    pub fn advance(&self, by: u64) {
        self.clock.advance(Duration::from_millis(by));
    }

    pub fn step_to(&self, wall: u64) {
        self.clock.step_to(time(wall));
    }

    pub fn wall(&self) -> u64 {
        ms(self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    pub fn monotonic(&self) -> u64 {
        ms(self.clock.monotonic())
    }

    /// The clock is stepped so far ahead of where it is expected at most.
    pub fn step_ahead(&mut self, by: u64) {
        let to = self.settled() + by;
        self.step_to(to - self.opening.unwrap_or(0));
    }

    /// The clock is stepped so far behind settled time: as far as it is told whether that makes a
    /// lead.
    pub fn step_behind(&mut self, by: u64) {
        let (settled, noted) = (self.settled(), self.noted);
        let more = by.saturating_sub(noted);
        let told = if self.between(more) { *self.believed.start() } else { more };
        self.step_to(settled - if more > 0 { noted + told } else { by });
    }

    fn is_believed(&self, step: u64) -> bool {
        assert!(!self.between(step), "a step of {step} ms is of no use in a test");
        step <= *self.believed.start()
    }

    fn between(&self, step: u64) -> bool {
        step > *self.believed.start() && step < *self.believed.end()
    }
}

/// The time so many milliseconds after 1970.
pub fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

/// A duration in milliseconds.
///
/// # Panics
/// If there are too many.
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("milliseconds")
}
