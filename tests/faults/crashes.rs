//! Power cuts at every operation of every script.

use grantkeep_tests::script::{Counts, Crashes, Op, Step, World};
use grantkeep_tests::setting;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Power cuts at each operation of a script unless `GRANTKEEP_CRASHES` says otherwise.
const CRASHES: u64 = 8;
/// And at each operation of the recovery from one of them, unless `GRANTKEEP_DOUBLE_CRASHES` does.
const DOUBLE_CRASHES: u64 = 1;
/// Of the scripts of two steps, one of so many is played unless `GRANTKEEP_CRASH_SHARE` says
/// otherwise; 1 is all.
const SHARE: usize = 16;
/// A recovery after one of so many operations of a script of two steps is cut as well.
const RECOVERIES_ONE_IN: u64 = 16;

fn seed() -> u64 {
    setting("GRANTKEEP_CRASH_SEED", 1)
}

/// Every step alone, and every pair of them; or the one that `GRANTKEEP_CRASH_SCRIPT` names, as a
/// failure does.
fn scripts() -> Vec<Vec<Step>> {
    if let Ok(names) = std::env::var("GRANTKEEP_CRASH_SCRIPT") {
        let step = |name| Step::ALL.into_iter().find(|step| step.name == name);
        let steps = names.split(", ").map(|name| step(name).unwrap_or_else(|| panic!("{name}?")));
        return vec![steps.collect()];
    }
    let single = Step::ALL.iter().map(|step| vec![*step]);
    let pairs = Step::ALL.iter().flat_map(|first| Step::ALL.map(|second| vec![*first, second]));
    let share = setting("GRANTKEEP_CRASH_SHARE", SHARE).max(1);
    // Another seed plays other pairs.
    let first = usize::try_from(seed()).unwrap() % share;
    single.chain(pairs.skip(first).step_by(share)).collect()
}

fn crashes(steps: usize) -> Crashes {
    Crashes {
        at_each: setting("GRANTKEEP_CRASHES", CRASHES).max(1),
        in_recovery: setting("GRANTKEEP_DOUBLE_CRASHES", DOUBLE_CRASHES),
        recoveries_one_in: if steps == 1 { 1 } else { RECOVERIES_ONE_IN },
        seed: seed(),
    }
}

fn say(counts: Counts, started: Instant) {
    println!(
        "{} scripts, seed {}: {} crash points, {} crash images, {} of them double crashes, {} \
         probes, 0 promises broken, {:.1} s",
        counts.scripts,
        seed(),
        counts.points,
        counts.images,
        counts.doubles,
        counts.probes,
        started.elapsed().as_secs_f64()
    );
    assert!(counts.points > counts.scripts && counts.probes > counts.points);
}

// Goal: P1, P7, P8: a power cut while a store is made leaves room to make it, or the store. Method:
// as below, from an empty disk on, with a keyring of its own, and what is issued first.
#[test]
fn power_cuts_while_a_store_is_made() {
    let started = Instant::now();
    say(crashes(2).check_creation(&[Op::Issue, Op::Authorize, Op::Redeem, Op::Rotate]), started);
}

// Goal: P1, P2, P3, P4, P6, P7, P8, P9, P10: a power cut anywhere, and another one in the recovery
// from it, leaves the state of before or after what was asked for, and never undoes what was
// acknowledged. Method: each step alone and each pair of steps on a furnished store; before each
// operation of the disk the power is cut, with every unsynced write kept, lost, torn, or spoiled by
// chance; each image is opened, compared, and verified, and of each point one is probed with
// everything that is over; after each single step no token is in any file.
#[test]
fn power_cuts_anywhere_undo_nothing_acknowledged() {
    let started = Instant::now();
    let (base, scripts, next) = (World::furnished(), scripts(), AtomicUsize::new(0));
    let play = || {
        let mut counts = Counts::default();
        while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
            counts += crashes(script.len()).check(&base, script);
        }
        counts
    };
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        // More than there are processors: a store waits for its own threads half of the time.
        let workers = [(); 4].map(|()| scope.spawn(play));
        workers.map(|worker| worker.join().unwrap()).iter().for_each(|own| counts += *own);
    });
    say(counts, started);
}
