//! Operations of the disk that fail, once and for ever, in every way.

use grantkeep_tests::script::{May, Op, Step, World, recovered};
use grantkeep_tests::setting;
use grantkeep_tests::sim_disk::{Failure, Fault, Operations, Turn};
use std::collections::BTreeMap;
use std::time::Instant;

/// Of the operations of the tour, one of so many fails for each kind of fault unless
/// `GRANTKEEP_FAULT_SHARE` says otherwise; 1 is all.
const SHARE: u64 = 16;
/// Power cuts after each fault.
const CRASHES: u64 = 2;

/// Every step that is done in one store after the other, reopened in between.
fn tour() -> Vec<Op> {
    let mut ops = Vec::new();
    for (number, step) in Step::ALL.iter().enumerate() {
        ops.extend_from_slice(step.ops);
        if number.is_multiple_of(6) {
            ops.extend([Op::Issue, Op::Authorize, Op::Redeem, Op::Rotate, Op::Reopen]);
        }
    }
    ops
}

/// What a run with a fault came to.
#[derive(Debug, Default)]
struct Met {
    runs: u64,
    failed: u64,
    in_doubt: u64,
    images: u64,
    errors: BTreeMap<String, u64>,
}

impl Met {
    fn add_errors(&mut self, errors: &BTreeMap<String, u64>) {
        for (kind, count) in errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }
}

/// Plays the tour with a fault; false if the fault was never met.
fn play(base: &World, tour: &[Op], fault: Fault, met: &mut Met) -> bool {
    let what = format!("{fault:?}");
    let mut world = base.again().expect("a good disk");
    world.disk.set_fault(Some(fault));
    world.play(tour);
    let failed = world.disk.failed();
    if failed == 0 {
        return false;
    }
    met.runs += 1;
    met.failed += failed;
    met.in_doubt += u64::from(world.doubt.is_some());
    met.add_errors(&world.errors);
    let disk = world.disk.clone();
    let mut states = vec![world.facts().clone()];
    states.extend(world.doubt.take());
    drop(world);
    let may = May { known: &states.last().expect("one").clone(), states: &states };
    let cuts = (0..CRASHES).map(|seed| (format!("{what}, crash {seed}"), disk.crash(seed)));
    let ended = (format!("{what}, process ended"), disk.kill());
    for (what, image) in cuts.chain([ended]) {
        recovered(&image, &may, &what).0.grants.store().close().expect(&what);
        met.images += 1;
    }
    true
}

/// A kind of fault: what fails, whether once or for ever, and how.
type Kind = (Operations, fn(u64) -> Turn, Failure);

/// One fault of each of these kinds at one of so many operations.
fn play_all(faults: &[Kind]) -> Met {
    let started = Instant::now();
    let share = setting("GRANTKEEP_FAULT_SHARE", SHARE).max(1);
    let (base, tour) = (World::furnished(), tour());
    let work = |worker: usize| {
        let mut met = Met::default();
        for (number, (of, turn, failure)) in faults.iter().enumerate() {
            if number % 2 != worker {
                continue;
            }
            let first = number as u64 * 5 % share;
            let mut at = first;
            let fault = |at| Fault { of: *of, turn: turn(at), failure: *failure };
            while play(&base, &tour, fault(at), &mut met) {
                at += share;
            }
            assert!(at > first + 10 * share, "{:?} was hardly ever met", fault(at));
        }
        met
    };
    let mut met = Met::default();
    std::thread::scope(|scope| {
        let workers = [0, 1].map(|worker| scope.spawn(move || work(worker)));
        for own in workers.map(|worker| worker.join().unwrap()) {
            met.runs += own.runs;
            met.failed += own.failed;
            met.in_doubt += own.in_doubt;
            met.images += own.images;
            met.add_errors(&own.errors);
        }
    });
    println!(
        "{} runs with a fault: {} operations failed, {} runs ended in doubt, {} images \
         compared, 0 promises broken, {:.1} s; answered: {:?}",
        met.runs,
        met.failed,
        met.in_doubt,
        met.images,
        started.elapsed().as_secs_f64(),
        met.errors
    );
    met
}

// Goal: P1, P2, P3, P7, P8: no failing change or sync loses what was acknowledged, or acknowledges
// what is not there; who cannot be told is told `Unknown`, and after it nothing is acknowledged
// before the store is reopened; and nobody is told of damage where there is none. Method: all there
// is, played on a disk whose operation 0, 1, 2 .. fails once, or from then on, with an I/O error,
// for want of space, interrupted, or half done; the store that is left is opened after two power
// cuts and an end of the process.
#[test]
fn failing_changes_lose_nothing_acknowledged() {
    let changes = |turn: fn(u64) -> Turn, failure| (Operations::Changes, turn, failure);
    let met = play_all(&[
        changes(Turn::Once, Failure::Io),
        changes(Turn::From, Failure::Io),
        changes(Turn::Once, Failure::Full),
        changes(Turn::From, Failure::Full),
        changes(Turn::Once, Failure::Interrupted),
        changes(Turn::From, Failure::Interrupted),
        changes(Turn::Once, Failure::Short),
        changes(Turn::From, Failure::Short),
    ]);
    assert!(met.in_doubt > 0 && met.errors.contains_key("Unknown"));
    assert!(!met.errors.contains_key("Corrupt"), "{:?}", met.errors);
}

// Goal: P1, P2, P7: no failing read loses or makes up anything. Method: as above, with reads that
// fail with an I/O error, are interrupted, or end before their last byte; a read that ends too soon
// is damage to whoever asked.
#[test]
fn failing_reads_lose_nothing() {
    let reads = |turn: fn(u64) -> Turn, failure| (Operations::Reads, turn, failure);
    let met = play_all(&[
        reads(Turn::Once, Failure::Io),
        reads(Turn::From, Failure::Io),
        reads(Turn::Once, Failure::Interrupted),
        reads(Turn::From, Failure::Interrupted),
    ]);
    assert!(met.errors.contains_key("Io") && !met.errors.contains_key("Corrupt"));
    play_all(&[reads(Turn::Once, Failure::Short), reads(Turn::From, Failure::Short)]);
}
