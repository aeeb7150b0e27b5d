//! The replay guard: values that count once.

use crate::disk::OnDisk;
use crate::races::race_of;
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Burned, ErrorKind, LIFETIME_DEFAULT_MAX, Wait};
use grantkeep_grants::{CLOCK_SKEW_MAX, Grants, Once, Policy};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl World {
    fn burn(&self, once: Once<'_>, until: SystemTime) -> Burned {
        self.grants.burn(once, until).wait().unwrap()
    }
}

// Goal: P3, a value counts once, and never stands in for that of another kind or another owner.
// Method: the same text in every role, names that run into each other, long and empty values.
#[test]
fn a_value_counts_once_and_for_itself_only() {
    let world = World::new();
    let until = world.now() + s(60);
    let long = "x".repeat(100_000);
    let values = [
        Once::jti("a", "bc"),
        Once::jti("ab", "c"),
        Once::jti("", "abc"),
        Once::jti("abc", ""),
        Once::dpop("a", "bc"),
        Once::nonce("a", "bc"),
        Once::state("a", "bc"),
        Once::new("a", "", b"bc"),
        Once::new("", "a", b"bc"),
        Once::new("", "", b""),
        Once::jti("a", &long),
        Once::jti("a", &long[1..]),
    ];
    for once in values {
        assert_eq!(world.burn(once, until), Burned::First, "{once:?}");
    }
    for once in values {
        assert_eq!(world.burn(once, until), Burned::Seen, "{once:?}");
    }
}

// Goal: P5, a value is remembered to the end of what carries it and the clock skew, exactly, swept
// or not, and may then be new. Method: a millisecond before and at the end of both.
#[test]
fn a_value_is_remembered_to_its_end_and_the_skew() {
    for skew in [0, 1, 30, 300] {
        let world = World::under(Policy { clock_skew: s(skew), ..Policy::default() });
        let until = world.now() + s(60);
        let once = Once::jti(CLIENT, "id-1");
        assert_eq!(world.burn(once, until), Burned::First);
        world.clock.advance(s(60 + skew) - MS);
        world.grants.store().sweep(Budget::ALL).wait().unwrap();
        assert_eq!(world.burn(once, until), Burned::Seen);
        assert_eq!(world.burn(once, until + s(3_600)), Burned::Seen, "still the first one's");
        world.clock.advance(MS);
        assert_eq!(world.burn(once, until), Burned::Expired);
        assert_eq!(world.burn(once, until + MS), Burned::First, "another that carries it");
        assert_eq!(world.burn(once, until + MS), Burned::Seen);
    }
}

// Goal: what is past its own end is told apart and leaves nothing behind, and an end that is
// unreasonably far off is an error. Method: both edges, and the ends of time.
#[test]
fn a_value_past_its_end_leaves_nothing() {
    let world = World::new();
    let now = world.now();
    let rows = || world.grants.store().stats().rows_total();
    let before = rows();
    for until in [now - s(30), now - s(31), UNIX_EPOCH, UNIX_EPOCH - s(1)] {
        assert_eq!(world.burn(Once::jti(CLIENT, "late"), until), Burned::Expired);
    }
    assert_eq!(rows(), before);
    assert_eq!(world.burn(Once::jti(CLIENT, "late"), now - s(30) + MS), Burned::First);
    let longest = now + LIFETIME_DEFAULT_MAX - s(30);
    assert_eq!(world.burn(Once::jti(CLIENT, "far"), longest), Burned::First);
    for far in [longest + MS, now + Duration::from_secs(1 << 50)] {
        let refused = world.grants.burn(Once::jti(CLIENT, "further"), far).wait();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Lifetime);
    }
    assert_eq!(rows(), before + 2);
}

// Goal: P3, of any number of racers one is first. Method: 32 threads, 20 times, also over a value
// that expired and is not yet swept.
#[test]
fn one_racer_burns_first() {
    for _ in 0..20 {
        let world = World::new();
        for _ in 0..2 {
            let until = world.now() + s(60);
            let answers = race_of(32, || world.burn(Once::dpop("key-1", "id-1"), until));
            let first = answers.iter().filter(|answer| **answer == Burned::First).count();
            let seen = answers.iter().filter(|answer| **answer == Burned::Seen).count();
            assert_eq!((first, seen), (1, 31));
            world.clock.advance(s(90));
        }
    }
}

// Goal: P2, a value that was burnt is burnt after a restart. Method: burn, reopen, burn.
#[test]
fn burnt_values_survive_reopening() {
    let disk = OnDisk::new();
    let until = UNIX_EPOCH + s(1_800_000_060);
    let burn =
        |grants: &Grants<_>, jti: &str| grants.burn(Once::jti(CLIENT, jti), until).wait().unwrap();
    assert_eq!(disk.open(|grants| burn(grants, "id-1")), Burned::First);
    disk.clock.advance(s(89));
    disk.open(|grants| {
        assert_eq!(burn(grants, "id-1"), Burned::Seen);
        assert_eq!(burn(grants, "id-2"), Burned::First);
    });
}

// Goal: every bound of `clock_skew` is exact. Method: both bounds, a step outside, and a fraction.
#[test]
fn clock_skew_bounds_are_exact() {
    let check = |clock_skew| {
        let policy = Policy { clock_skew, ..Policy::default() };
        policy.check(LIFETIME_DEFAULT_MAX).map_err(|error| error.kind())
    };
    for good in [s(0), s(1), CLOCK_SKEW_MAX] {
        assert_eq!(check(good), Ok(()));
    }
    for bad in [MS, CLOCK_SKEW_MAX + MS, CLOCK_SKEW_MAX + s(1)] {
        assert_eq!(check(bad), Err(ErrorKind::Lifetime));
    }
}

// Goal: P9, a value is not printed. Method: the Debug output of each kind.
#[test]
fn nothing_printed_holds_a_burnt_value() {
    for once in [Once::jti(CLIENT, "s3cret"), Once::state(CLIENT, "s3cret")] {
        let printed = format!("{once:?}");
        assert!(printed.contains(CLIENT) && !printed.contains("s3cret"));
    }
}
