//! How often a device polls, RFC 8628 section 3.5. Kept in memory only: a poll writes nothing, and
//! a restart forgets pace, never a decision.
//!
//! 1. A device waits for the interval of the policy, and for 5 s more for each time that it polled
//!    too soon.
//! 2. Its clock is imprecise, and so is the way to here: a poll that is early by up to 1 s, or a
//!    tenth of what it waits, whichever is larger, is on time. That is never more than half of what
//!    it waits, so that an interval of 1 s remains one.
//! 3. Each poll is held against the one before, whatever became of that. So being early does not
//!    add up: all the time, a device may poll once in what rule 2 leaves, every 4 s where 5 s were
//!    asked, every 9 s for 10 s, every 54 s for 60 s, and every half second for 1 s; and never
//!    faster.
//!
//! A schedule that holds polls against the first one would keep the interval in the long run, but a
//! device whose clock is fast by 1 in 100 would be slowed down for good within minutes.

use grantkeep::{DRIFT_MAX, Digest, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The paces of at most this many devices are kept: under 4 MiB. Of more, those that polled least
/// recently are forgotten, and may poll once as if they had not before.
pub const DEVICE_PACES_MAX: usize = 32 * 1024;

/// How much slower a device has to poll each time that it polled too soon.
const SLOWER: Duration = Duration::from_secs(5);

/// How early a poll may be, at least, and still be on time.
const EARLY: Duration = Duration::from_secs(1);

/// The paces of the devices that polled recently.
pub(crate) struct Paces {
    halves: Mutex<Halves>,
    half_max: usize,
}

/// Once the young half is full it becomes the old one, so that making room costs nothing.
#[derive(Default)]
struct Halves {
    young: HashMap<Digest, Pace>,
    old: HashMap<Digest, Pace>,
}

#[derive(Clone, Copy)]
struct Pace {
    polled_at: Timestamp,
    slower_by: Duration,
}

impl Paces {
    pub(crate) fn new() -> Self {
        Self::at_most(DEVICE_PACES_MAX)
    }

    fn at_most(paces_max: usize) -> Self {
        Self { halves: Mutex::default(), half_max: paces_max / 2 }
    }

    /// Notes a poll; true unless it came too soon after the poll before: sooner than `interval`,
    /// and what was added to it, less what a device may be early.
    pub(crate) fn keeps(&self, device: Digest, now: Timestamp, interval: Duration) -> bool {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let before = halves.young.get(&device).or_else(|| halves.old.get(&device)).copied();
        let mut pace = Pace { polled_at: now, slower_by: Duration::ZERO };
        let mut kept = true;
        // A poll in a leap of the clock that was taken back is of a time that never was.
        let was = |before: &Pace| before.polled_at.since(now) <= DRIFT_MAX;
        if let Some(before) = before.filter(was) {
            let wait = interval.saturating_add(before.slower_by);
            kept = now.since(before.polled_at) >= on_time(wait);
            pace.polled_at = now.max(before.polled_at);
            let slower = if kept { Duration::ZERO } else { SLOWER };
            pace.slower_by = before.slower_by.saturating_add(slower);
        }
        if halves.young.len() >= self.half_max && !halves.young.contains_key(&device) {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(device, pace);
        kept
    }
}

/// How long after a poll the next one is on time, of a device that is to wait for `wait`.
fn on_time(wait: Duration) -> Duration {
    let early = EARLY.max(wait / 10).min(wait / 2);
    wait.saturating_sub(early)
}

impl fmt::Debug for Paces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u64) -> Digest {
        Digest::of_name("device", &number.to_le_bytes())
    }

    // Goal: memory is capped, and the devices that poll are not those that are forgotten. Method:
    // one that polls among ten times as many as are kept, then one of the first of the others.
    #[test]
    fn paces_are_bounded_and_the_latest_are_kept() {
        let paces = Paces::at_most(100);
        let now = Timestamp::from_millis(1_000);
        let interval = Duration::from_secs(5);
        assert!(paces.keeps(device(0), now, interval));
        for number in 1..1_000 {
            assert!(paces.keeps(device(number), now, interval));
            if number % 40 == 0 {
                assert!(!paces.keeps(device(0), now, interval), "{number}");
            }
            let halves = paces.halves.lock().unwrap();
            assert!(halves.young.len() <= 50 && halves.old.len() <= 50);
        }
        assert!(paces.keeps(device(1), now, interval), "forgotten");
        assert!(!paces.keeps(device(999), now, interval));
    }

    // Goal: P10, so many paces take no more memory than the documents say. Method: twice as many as
    // are kept, and what the tables that hold them have room for.
    #[test]
    fn paces_take_under_4_mib() {
        let paces = Paces::new();
        for number in 0..2 * DEVICE_PACES_MAX as u64 {
            paces.keeps(device(number), Timestamp::from_millis(number), Duration::from_secs(5));
        }
        let halves = paces.halves.lock().unwrap();
        // A table fills seven eighths of its places, each with a byte beside it.
        let places = (halves.young.capacity() + halves.old.capacity()) * 8 / 7;
        assert!(places * (size_of::<(Digest, Pace)>() + 1) < 4 << 20);
    }

    // Goal: a device that never stops polling too soon overflows nothing, and an older reading of
    // the clock does not shorten a wait. Method: the longest interval; a poll from before the last.
    #[test]
    fn extreme_paces_and_old_readings() {
        let paces = Paces::new();
        let at = Timestamp::from_millis;
        for _ in 0..3 {
            paces.keeps(device(1), at(u64::MAX), Duration::MAX);
        }
        assert!(paces.keeps(device(2), at(10_000), Duration::from_secs(5)));
        assert!(!paces.keeps(device(2), at(9_000), Duration::from_secs(5)));
        // Ten seconds are to be waited for now, and one may be missing.
        assert!(!paces.keeps(device(2), at(18_999), Duration::from_secs(5)));
        // Fifteen, and one and a half.
        assert!(paces.keeps(device(2), at(18_999 + 13_500), Duration::from_secs(5)));
    }

    /// How many of the polls at these times, in milliseconds, are answered `slow_down`.
    fn slowed(polls: impl IntoIterator<Item = u64>, interval: Duration) -> usize {
        let paces = Paces::new();
        let too_soon = |at: &u64| {
            let now = Timestamp::from_millis(1_000_000 + at);
            !paces.keeps(device(1), now, interval)
        };
        polls.into_iter().filter(too_soon).count()
    }

    // Goal: RFC 8628 section 3.5, a device that keeps the interval as well as a ticker does is
    // never slowed down. Method: 10 minutes of 5 s with 0 to 20 ms of delay, by a generator of
    // fixed seeds; the same with clocks that are fast by 1 in 100, and a second of delay that comes
    // and goes.
    #[test]
    fn a_ticker_is_never_slowed_down() {
        let interval = Duration::from_secs(5);
        for seed in 0..100_u64 {
            let mut state = seed;
            let mut jitter = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % 21
            };
            let ticks: Vec<u64> = (0..120).map(|tick| tick * 5_000 + jitter()).collect();
            assert_eq!(slowed(ticks, interval), 0, "{seed}");
        }
        assert_eq!(slowed((0..120).map(|tick| tick * 4_950), interval), 0);
        assert_eq!(slowed((0..120).map(|tick| tick * 5_000 + tick % 2 * 1_000), interval), 0);
    }

    // Goal: RFC 8628 section 3.5, being early is allowed for to the millisecond, and does not add
    // up to a faster pace than is stated. Method: for intervals of each rule, an hour of polls at
    // the stated pace, and a poll that comes a millisecond sooner; 1.1 s early of 5 s.
    #[test]
    fn early_polls_are_on_time_within_stated_bounds() {
        for (interval_s, pace_ms) in
            [(1, 500), (2, 1_000), (3, 2_000), (5, 4_000), (10, 9_000), (60, 54_000)]
        {
            let interval = Duration::from_secs(interval_s);
            let polls = || (0..3_600 / interval_s).map(|poll| poll * pace_ms);
            assert_eq!(slowed(polls(), interval), 0, "{interval_s} s");
            assert_eq!(slowed([0, pace_ms - 1], interval), 1, "{interval_s} s");
            let sooner = polls().map(|at| at - at / pace_ms);
            // Each one is too soon for a wait that grows with each.
            assert_eq!(slowed(sooner.clone(), interval), sooner.count() - 1, "{interval_s} s");
        }
        assert!(slowed((0..100).map(|poll| poll * 3_900), Duration::from_secs(5)) > 0);
    }
}
