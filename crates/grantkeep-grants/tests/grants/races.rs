//! Races over one code and one refresh token.

use crate::world::*;
use grantkeep_grants::{Policy, Redeemed, Refreshed, Retries};
use std::sync::Barrier;
use std::thread;

const RACERS: usize = 16;

fn race<T: Send>(run: impl Fn() -> T + Sync) -> Vec<T> {
    race_of(RACERS, run)
}

/// What each of so many threads answers that start together.
pub(crate) fn race_of<T: Send>(racers: usize, run: impl Fn() -> T + Sync) -> Vec<T> {
    let start = Barrier::new(racers);
    thread::scope(|scope| {
        let racers: Vec<_> = (0..racers)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    run()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    })
}

// Goal: P3, of any number of racers exactly one redeems a code, and the others revoke what it got.
// Method: 16 threads on one code, 20 times.
#[test]
fn one_racer_redeems_a_code() {
    for _ in 0..20 {
        let world = World::new();
        let code = world.code();
        let answers = race(|| world.redeem(&code));
        let mut pairs = Vec::new();
        for answer in answers {
            match answer {
                Redeemed::Granted(pair) => pairs.push(pair),
                Redeemed::Replayed { family } => assert!(family.is_some()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pairs.len(), 1);
        assert!(!world.is_active(pairs[0].access.expose()));
        assert!(!world.is_active(refresh_of(&pairs[0])));
    }
}

// Goal: within grace, racers on one refresh token are one rotation and its retries, and all hold
// the same successor. Method: 16 threads on one token, 20 times; then the successor rotates.
#[test]
fn racers_within_grace_share_one_successor() {
    for _ in 0..20 {
        let refresh_retries = Retries::Count(15);
        let world = World::under(Policy { refresh_retries, ..Policy::default() });
        let first = world.pair();
        let answers = race(|| world.refresh(refresh_of(&first)));
        let mut rotations = 0;
        let mut successors = Vec::new();
        for answer in answers {
            let pair = match answer {
                Refreshed::Rotated(pair) => {
                    rotations += 1;
                    pair
                }
                Refreshed::Retried(pair) => pair,
                other => panic!("{other:?}"),
            };
            assert!(world.is_active(pair.access.expose()));
            successors.push(refresh_of(&pair).to_owned());
        }
        successors.dedup();
        assert_eq!((rotations, successors.len()), (1, 1));
        rotated(world.refresh(&successors[0]));
    }
}

// Goal: P3, without grace, exactly one racer rotates and the family is revoked by the rest. Method:
// 16 threads on one token, 20 times.
#[test]
fn one_racer_rotates_without_grace() {
    for _ in 0..20 {
        let world = World::under(Policy { refresh_grace: s(0), ..Policy::default() });
        let first = world.pair();
        let answers = race(|| world.refresh(refresh_of(&first)));
        let count = |is: fn(&Refreshed) -> bool| answers.iter().filter(|answer| is(answer)).count();
        assert_eq!(count(|answer| matches!(answer, Refreshed::Rotated(_))), 1);
        assert_eq!(count(|answer| matches!(answer, Refreshed::Reused { .. })), RACERS - 1);
        for answer in &answers {
            if let Refreshed::Rotated(pair) = answer {
                assert!(matches!(world.refresh(refresh_of(pair)), Refreshed::Revoked));
                assert!(!world.is_active(pair.access.expose()));
            }
        }
    }
}

// Goal: P6, no issue slips past a revocation of its subject. Method: half of the threads issue and
// rotate while one revokes; whatever is issued then is either dead or from after.
#[test]
fn nothing_issued_before_a_revocation_survives_it() {
    use grantkeep::Wait;
    use std::sync::atomic::{AtomicUsize, Ordering};
    for _ in 0..20 {
        let refresh_retries = Retries::UntilUsed;
        let world = World::under(Policy { refresh_retries, ..Policy::default() });
        let first = world.pair();
        let order = AtomicUsize::new(0);
        let pairs = race(|| {
            if order.fetch_add(1, Ordering::SeqCst) == RACERS / 2 {
                world.grants.revoke_subject(SUBJECT).wait().unwrap();
                return None;
            }
            match world.refresh(refresh_of(&first)) {
                Refreshed::Rotated(pair) | Refreshed::Retried(pair) => Some(pair),
                Refreshed::Revoked => None,
                other => panic!("{other:?}"),
            }
        });
        for pair in pairs.into_iter().flatten() {
            assert!(!world.is_active(pair.access.expose()));
            assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Revoked));
        }
    }
}

// Goal: a fixed refresh token serves any number at once. Method: 16 threads on one token.
#[test]
fn racers_on_a_fixed_token_all_refresh() {
    use grantkeep_grants::Refreshing;
    let world = World::under(Policy { refreshing: Refreshing::Fixed, ..Policy::default() });
    let first = world.pair();
    for answer in race(|| world.refresh(refresh_of(&first))) {
        let pair = rotated(answer);
        assert_eq!(refresh_of(&pair), refresh_of(&first));
        assert!(world.is_active(pair.access.expose()));
    }
}
