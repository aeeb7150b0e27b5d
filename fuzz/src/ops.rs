//! Operations of the embedded engine against plain maps, on a simulated disk: the machine of the
//! `model` suite, with cases that the fuzzer makes.

use crate::input::Input;
use crate::machine;
use crate::plan::{
    Case, DAY, KEYS, LEAP_BELIEVED, LEAP_NOT_BELIEVED, LIFETIME_MAX, Op, SECOND, Step, TERMS, Write,
};

/// A case has at most this many operations.
const OPS_MAX: usize = 64;
/// The most bytes of one value: four of them fit in a batch.
const VALUE_BYTES_MAX: usize = 24_000;

/// Plays the case that `data` describes.
pub fn run(data: &[u8]) {
    machine::run(&case(&mut Input::new(data)));
}

fn case(input: &mut Input<'_>) -> Case {
    let choices = input.byte();
    Case {
        tag_bits: [64, 64, 3, 1][usize::from(choices & 3)],
        row_cache_bytes: [0, 64 << 10, 4 << 20, 0][usize::from(choices >> 2 & 3)],
        // A store that carries and sweeps when it likes would make a crash hard to repeat; the
        // suite has such cases.
        by_itself: false,
        look_at_all: choices >> 4 & 1 == 1,
        ops: std::iter::from_fn(|| (!input.is_empty()).then(|| op(input))).take(OPS_MAX).collect(),
    }
}

fn op(input: &mut Input<'_>) -> Op {
    match input.byte() % 32 {
        0..=13 => Op::Commit(steps(input)),
        14 => Op::Revoke(steps(input)),
        15 => Op::List(input.byte() % TERMS, 1 + input.below(5)),
        16 => Op::Sweep(u64::MAX),
        17 => Op::Sweep(u64::from(input.byte() % 6)),
        18..=19 => Op::Checkpoint,
        20..=23 => Op::Advance(input.span(40 * DAY)),
        24 => Op::StepAhead(input.span(LEAP_BELIEVED)),
        25 => Op::StepAhead(2 * LEAP_NOT_BELIEVED),
        26 => Op::StepBehind(input.span(400 * DAY)),
        27 => Op::AcceptClock,
        28 => Op::Reopen,
        29 => Op::Kill,
        _ => Op::Crash(u64::from(input.short())),
    }
}

fn steps(input: &mut Input<'_>) -> Vec<Step> {
    let count = 1 + input.below(4);
    (0..count).map(|_| step(input)).collect()
}

fn step(input: &mut Input<'_>) -> Step {
    let key = input.byte() % KEYS;
    let choices = input.byte();
    let write = match choices % 16 {
        0..=9 => Write::Put {
            lifetime_ms: SECOND - 1 + input.span(LIFETIME_MAX - SECOND),
            bytes: bytes(input),
            terms: choices >> 4 & 7,
        },
        10 => Write::PutOtherTerms,
        11..=13 => Write::Delete,
        _ => Write::Keep,
    };
    Step { key, wrong: choices >= 0xf0, write }
}

/// Mostly a few, now and then the most there may be.
fn bytes(input: &mut Input<'_>) -> usize {
    match input.byte() {
        few @ 0..=239 => usize::from(few),
        _ => usize::from(input.short()).min(VALUE_BYTES_MAX),
    }
}
