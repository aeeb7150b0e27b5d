//! Random sequences of steps, restarts, issues, looks, and sweeps, held against the same oracle.

use crate::steps::{DAY, HOUR};
use crate::subject::Subject;
use grantkeep_tests::setting;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::Duration;

#[derive(Debug, Clone)]
enum Op {
    Issue(u64),
    Revoke(usize),
    Pass(u64),
    /// The wall clock is stepped by so many milliseconds.
    Step(i64),
    /// It is set to what it would be without a step.
    ComeBack,
    Look,
    Sweep(u64),
    Checkpoint,
    Accept,
    Reopen,
    Kill,
    /// Killed right behind a commit.
    NoteKill,
}

fn span() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 1..3_000_i64,
        3 => 1_000..120_000_i64,
        2 => 60_000..3 * HOUR,
        2 => HOUR..40 * DAY,
        1 => 30 * DAY - 3..30 * DAY + 3,
        1 => DAY..40_000 * DAY,
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => span().prop_map(|ms| Op::Issue(ms.min(80 * DAY) as u64)),
        1 => any::<usize>().prop_map(Op::Revoke),
        4 => span().prop_map(|ms| Op::Pass(ms.min(20 * DAY) as u64)),
        3 => span().prop_map(Op::Step),
        3 => span().prop_map(|ms| Op::Step(-ms)),
        2 => Just(Op::ComeBack),
        4 => Just(Op::Look),
        2 => prop_oneof![Just(u64::MAX), 0..4_u64].prop_map(Op::Sweep),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Accept),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
        2 => Just(Op::NoteKill),
    ]
}

fn run(ops: &[Op], counted: &mut [u64; 4]) {
    let mut subject = Subject::new();
    let start_ms = subject.time.wall() - subject.time.monotonic();
    for op in ops {
        match op {
            Op::Issue(lifetime_ms) => {
                let ahead_ms = subject.ahead_ms();
                if subject.time.disbelieved().is_none() && ahead_ms > ISSUED_AHEAD_MAX_MS {
                    continue;
                }
                subject.issue(Duration::from_millis((*lifetime_ms).clamp(1_000, LIFETIME_MAX_MS)));
            }
            Op::Revoke(nth) => subject.revoke(*nth),
            Op::Pass(ms) => subject.time.advance(*ms),
            Op::Step(by) => {
                let wall = subject.time.wall();
                subject.step_to(wall.saturating_add_signed(*by).min(FAR_MS));
            }
            Op::ComeBack => subject.step_to(start_ms + subject.time.monotonic()),
            Op::Look => subject.look(),
            Op::Sweep(rows) => subject.sweep(*rows),
            Op::Checkpoint => subject.checkpoint(),
            Op::Accept => subject.accept(),
            Op::Reopen => subject.close_and_open(),
            Op::Kill => subject.kill_and_open(),
            Op::NoteKill => subject.note_kill_and_open(),
        }
    }
    subject.look();
    for (count, more) in
        counted.iter_mut().zip([ops.len() as u64, subject.looks, subject.refused, subject.swept])
    {
        *count += more;
    }
}

/// Longer lifetimes would have the store believe more than 30 days by itself.
const LIFETIME_MAX_MS: u64 = 15 * DAY as u64;
/// By settled time a row that is issued in a leap lives longer by the leap.
const ISSUED_AHEAD_MAX_MS: u64 = 9 * DAY as u64;
const FAR_MS: u64 = 253_402_300_800_000;

// Goal: P2, P5, the same of whatever the clock, the process, and the store do one after the other.
// Method: random sequences, seeded and shrunk, against the oracle after each.
#[test]
fn no_sequence_of_steps_revives_or_cuts() {
    let cases = setting("GRANTKEEP_TIME_CASES", 600);
    let seed: u64 = setting("GRANTKEEP_TIME_SEED", 1);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let counted = std::cell::RefCell::new([0; 4]);
    let ops = prop::collection::vec(op(), 1..60);
    let played = TestRunner::new_with_rng(config, rng).run(&ops, |ops| {
        run(&ops, &mut counted.borrow_mut());
        Ok(())
    });
    let [done, looks, refused, swept] = counted.into_inner();
    println!(
        "time: {cases} sequences of seed {seed}: {done} operations, {looks} looks at rows, \
         {refused} issues refused in a leap, {swept} rows swept"
    );
    if let Err(failed) = played {
        panic!("seed {seed} of {cases} cases: {failed}");
    }
    assert!(refused > 0 && swept > 0);
}
