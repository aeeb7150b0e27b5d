//! The grants against a sequential reference: overlapping calls that must be linearizable, and
//! long sequences with every invariant checked after each step.

mod concurrent;
mod interposed;
mod invariants;
mod linearize;
mod machine;

use concurrent::{Stage, play};
use grantkeep::backend::Backend;
use grantkeep_tests::setting;
use interposed::{Flaw, Pace};
use machine::{InMemory, Machine, OnSimDisk, Sequences, World};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest as _};
use std::collections::BTreeMap;
use std::time::Instant;

/// Histories with turns unless `GRANTKEEP_HISTORY_CASES` says otherwise; a quarter as many with
/// threads on each engine.
const CASES: u64 = 2_000;
/// The seed of the first history unless `GRANTKEEP_HISTORY_SEED` says otherwise.
const SEED: u64 = 1;
/// Histories within which a broken build must be caught.
const CAUGHT_WITHIN: u64 = 3_000;
/// Pairs of overlapping calls that a history has on average at least.
const OVERLAPS_MIN: u64 = 5;
/// Sequences in memory for each 100 histories with turns, and on the embedded
/// engine.
const IN_MEMORY_PERCENT: u64 = 10;
const EMBEDDED_PERCENT: u64 = 5;
/// Steps of a sequence at most.
const STEPS_MAX: usize = 60;
/// Every answer that a history may hold; all have to be seen.
const ANSWERS: [&str; 17] = [
    "Code",
    "Granted",
    "Repeated",
    "Replayed",
    "Rotated",
    "Retried",
    "RetriedTooOften",
    "Reused",
    "Expired",
    "Revoked",
    "Mismatch",
    "InvalidScope",
    "Unknown",
    "Active",
    "Inactive",
    "Listed",
    "Done",
];

/// What the histories of a run had together.
#[derive(Debug, Default)]
struct Covered {
    histories: u64,
    calls: u64,
    overlaps: u64,
    answers: BTreeMap<String, u64>,
}

impl Covered {
    /// Plays histories on one stage; each must be linearizable.
    fn check<B: Backend>(&mut self, what: &str, stage: &Stage<B>, histories: u64) {
        let (started, seed) = (Instant::now(), setting("GRANTKEEP_HISTORY_SEED", SEED));
        let (calls_before, overlaps_before) = (self.calls, self.overlaps);
        for seed in seed..seed + histories {
            let history = play(stage, seed);
            history.verdict().unwrap_or_else(|fault| panic!("{what}: {fault}"));
            self.calls += history.calls();
            self.overlaps += history.overlaps();
            history.count(&mut self.answers);
        }
        self.histories += histories;
        let (calls, overlaps) = (self.calls - calls_before, self.overlaps - overlaps_before);
        println!(
            "  {what}: {histories} histories, {calls} calls, {overlaps} overlapping pairs, {:.1} s",
            started.elapsed().as_secs_f64()
        );
        assert!(overlaps >= histories * OVERLAPS_MIN, "{what}: {overlaps} pairs overlapped");
    }
}

// Goal: P2, P3, P4, P6: however calls overlap, there is one order of them in which each is answered
// as documented; so a code or a generation is accepted once, and a revocation holds for all that is
// seen after it. Method: random scripts on shared codes, families, and owners, in memory with turns
// that the seed decides and with threads, and on the embedded engine with threads; the search of
// Wing and Gong against the sequential reference.
#[test]
fn concurrent_histories_are_linearizable() {
    let cases = setting("GRANTKEEP_HISTORY_CASES", CASES);
    let threads = cases.div_ceil(4);
    let mut covered = Covered::default();
    covered.check("turns, memory", &Stage::memory(Pace::Turns, Flaw::None), cases);
    covered.check("threads, memory", &Stage::memory(Pace::Threads, Flaw::None), threads);
    covered.check("threads, embedded", &Stage::embedded(), threads);
    let Covered { histories, calls, overlaps, answers } = covered;
    println!("  answers: {answers:?}");
    println!(
        "{histories} concurrent histories ({calls} operations, {overlaps} overlapping pairs) are \
         linearizable"
    );
    if cases >= CASES {
        let missing: Vec<_> = ANSWERS.iter().filter(|name| !answers.contains_key(**name)).collect();
        assert!(missing.is_empty(), "never answered: {missing:?}");
    }
}

// Goal: the search would see a build that does not keep P3 or P6. Method: the same histories over
// an engine that is broken in one way; each way has to be caught.
#[test]
fn broken_builds_are_caught() {
    let mut caught = Vec::new();
    for (flaw, name) in [
        (Flaw::ConditionsDropped, "conditions dropped"),
        (Flaw::KeptConditionsDropped, "kept conditions dropped"),
        (Flaw::StaleReads, "stale reads"),
        (Flaw::TornBatches, "torn batches"),
        (Flaw::LostChanges, "lost changes"),
    ] {
        let stage = Stage::memory(Pace::Turns, flaw);
        let first = (1..=CAUGHT_WITHIN).find(|seed| play(&stage, *seed).verdict().is_err());
        let Some(first) = first else { panic!("{name}: not caught in {CAUGHT_WITHIN} histories") };
        caught.push(format!("{name} after {first}"));
    }
    println!("broken builds caught, after so many histories: {}", caught.join(", "));
}

/// Plays sequences on engines of one kind.
fn play_sequences<W: World>(percent: u64) {
    let (started, seed) = (Instant::now(), setting("GRANTKEEP_HISTORY_SEED", SEED));
    let histories = setting("GRANTKEEP_HISTORY_CASES", CASES);
    let cases = u32::try_from((histories * percent).div_ceil(100)).expect("fewer");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let sequences = Sequences::<W>::sequential_strategy(1..STEPS_MAX);
    let outcome = TestRunner::new_with_rng(config.clone(), rng).run(&sequences, |case| {
        let (start, turns, seen) = case;
        Machine::<W>::test_sequential(config.clone(), start, turns, seen);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("seed {seed}, {}: {error}", W::NAME));
    let totals = Machine::<W>::totals();
    println!(
        "invariants held after {} steps of {} sequences, {}, in {:.1} s: {} looks, {} impostors, \
         {} families died with several tokens; {}",
        totals.steps,
        totals.sequences,
        W::NAME,
        started.elapsed().as_secs_f64(),
        totals.looks,
        totals.impostors,
        totals.died_whole,
        totals.sums()
    );
    assert!(totals.died_whole > 0 || histories < CASES, "no family died with several tokens");
}

// Goal: P2, P3, P4, P5, P6: at most one success per code and generation; nothing valid after its
// expiry, its family's, or its revocation; a family dies in one step; issued = live + expired +
// revoked; a wrong token is told as an unknown one is. Method: sequences that shrink, beside the
// reference; each invariant over everything ever issued after each step, with the clock set back.
#[test]
fn invariants_hold_in_memory() {
    play_sequences::<InMemory>(IN_MEMORY_PERCENT);
}

// Goal: P2, P3, P4, P5, P6: as above. Method: the same on the embedded engine over a
// simulated disk, carried into the table and reopened in between.
#[test]
fn invariants_hold_on_the_embedded_engine() {
    play_sequences::<OnSimDisk>(EMBEDDED_PERCENT);
}
