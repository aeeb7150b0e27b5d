//! What a case consists of: options, and operations that mean something in any state, so that any
//! of them can be left out when a failing case is shrunk.

use proptest::prelude::*;

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// The longest lifetime of a row.
pub const LIFETIME_MAX: u64 = 90 * DAY;
/// A leap up to here is believed by itself once it has held, whatever the lifetimes in use.
pub const LEAP_BELIEVED: u64 = 29 * DAY;
/// A leap from here on is not believed by itself with lifetimes up to [`LIFETIME_MAX`].
pub const LEAP_NOT_BELIEVED: u64 = 200 * DAY;

/// Keys there are: five digests under four kinds.
pub const KEYS: u8 = 20;
/// Index terms there are.
pub const TERMS: u8 = 4;

#[derive(Debug, Clone)]
pub struct Case {
    pub tag_bits: u32,
    pub row_cache_bytes: usize,
    pub by_itself: bool,
    /// Whether every key is looked at after every operation, which keeps all of them in the live
    /// set, or only those concerned.
    pub look_at_all: bool,
    pub ops: Vec<Op>,
}

#[derive(Debug, Clone)]
pub enum Op {
    Commit(Vec<Step>),
    /// As [`Op::Commit`], and applied even where issuing is refused.
    Revoke(Vec<Step>),
    /// A listing in pages of this many rows.
    List(u8, usize),
    /// A sweep of about this many rows.
    Sweep(u64),
    Checkpoint,
    /// Time passes, milliseconds.
    Advance(u64),
    /// The wall clock is stepped this far ahead of the store's settled time, milliseconds.
    StepAhead(u64),
    /// The wall clock is stepped this far behind the store's settled time, milliseconds.
    StepBehind(u64),
    AcceptClock,
    /// A close in order, and an open.
    Reopen,
    /// The process ends, and the store is opened again.
    Kill,
    /// The power fails, and the store is opened again.
    Crash(u64),
}

/// A step of a batch on the key of this number.
#[derive(Debug, Clone)]
pub struct Step {
    pub key: u8,
    /// Whether the step expects what does not hold.
    pub wrong: bool,
    pub write: Write,
}

#[derive(Debug, Clone)]
pub enum Write {
    /// Puts a row, in place of the one that is there if any. Its terms are of use where there is
    /// none.
    Put {
        lifetime_ms: u64,
        bytes: usize,
        terms: u8,
    },
    /// Puts a row with other terms than the one that is there, which is refused.
    PutOtherTerms,
    Delete,
    Keep,
}

pub fn case(ops_max: usize) -> impl Strategy<Value = Case> {
    (
        prop_oneof![2 => Just(64_u32), 1 => Just(3), 1 => Just(1)],
        prop_oneof![Just(0_usize), Just(64 << 10), Just(4 << 20)],
        prop::bool::weighted(0.25),
        any::<bool>(),
        prop::collection::vec(op(), 1..ops_max),
    )
        .prop_map(|(tag_bits, row_cache_bytes, by_itself, look_at_all, ops)| Case {
            tag_bits,
            row_cache_bytes,
            by_itself,
            look_at_all,
            ops,
        })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        24 => steps().prop_map(Op::Commit),
        2 => steps().prop_map(Op::Revoke),
        2 => (0..TERMS, 1..6_usize).prop_map(|(term, limit)| Op::List(term, limit)),
        4 => prop_oneof![Just(u64::MAX), 0..6_u64].prop_map(Op::Sweep),
        4 => Just(Op::Checkpoint),
        7 => span(DAY * 40).prop_map(Op::Advance),
        1 => span(LEAP_BELIEVED).prop_map(Op::StepAhead),
        1 => Just(Op::StepAhead(2 * LEAP_NOT_BELIEVED)),
        1 => span(DAY * 400).prop_map(Op::StepBehind),
        1 => Just(Op::AcceptClock),
        2 => Just(Op::Reopen),
        2 => Just(Op::Kill),
        2 => any::<u64>().prop_map(Op::Crash),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop_oneof![
        12 => (lifetime(), bytes(), 0..8_u8)
            .prop_map(|(lifetime_ms, bytes, terms)| Write::Put { lifetime_ms, bytes, terms }),
        1 => Just(Write::PutOtherTerms),
        5 => Just(Write::Delete),
        4 => Just(Write::Keep),
    ];
    let step = (0..KEYS, prop::bool::weighted(0.1), write);
    let step = step.prop_map(|(key, wrong, write)| Step { key, wrong, write });
    prop::collection::vec(step, 1..5)
}

fn lifetime() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => SECOND..40 * SECOND,
        3 => MINUTE..HOUR,
        2 => HOUR..DAY,
        2 => DAY..=LIFETIME_MAX,
    ]
}

fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![
        20 => 0..300_usize,
        2 => 300..9_000_usize,
        1 => 20_000..=24_000_usize,
    ]
}

/// A span of time of any order of magnitude up to `most`.
fn span(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => 1..3 * SECOND,
        2 => SECOND..2 * MINUTE,
        2 => MINUTE..2 * HOUR,
        1 => HOUR..3 * DAY,
        1 => DAY..=most,
    ]
}
