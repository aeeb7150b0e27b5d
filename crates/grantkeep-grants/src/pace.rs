//! How often a device polls, RFC 8628 section 3.5. Kept in memory only: a poll writes nothing, and
//! a restart forgets pace, never a decision.

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

    /// Notes a poll; true unless it came sooner than `interval`, and what was added to it, after
    /// the poll before.
    pub(crate) fn keeps(&self, device: Digest, now: Timestamp, interval: Duration) -> bool {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let before = halves.young.get(&device).or_else(|| halves.old.get(&device)).copied();
        let mut pace = Pace { polled_at: now, slower_by: Duration::ZERO };
        let mut kept = true;
        // A poll in a leap of the clock that was taken back is of a time that never was.
        let was = |before: &Pace| before.polled_at.since(now) <= DRIFT_MAX;
        if let Some(before) = before.filter(was) {
            kept = now.since(before.polled_at) >= interval.saturating_add(before.slower_by);
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
        assert!(!paces.keeps(device(2), at(19_999), Duration::from_secs(5)));
        assert!(paces.keeps(device(2), at(34_999), Duration::from_secs(5)));
    }
}
