//! Cases that once failed, each as short as it could be made.

use crate::machine;
use crate::plan::{Case, DAY, Op, SECOND, Step, Write};

fn run(ops: Vec<Op>) {
    for (tag_bits, look_at_all) in [(64, false), (64, true), (1, false), (1, true)] {
        let (ops, row_cache_bytes, by_itself) = (ops.clone(), 0, false);
        machine::run(&Case { tag_bits, row_cache_bytes, by_itself, look_at_all, ops });
    }
}

fn write(key: u8, write: Write) -> Step {
    Step { key, wrong: false, write }
}

fn put(key: u8, lifetime_ms: u64) -> Op {
    Op::Commit(vec![write(key, Write::Put { lifetime_ms, bytes: 0, terms: 1 })])
}

/// Keys of a write-once kind, and of a revised one.
const ONCE: u8 = 2;
const REVISED: u8 = 19;

// Goal: a checkpoint that carries rows of two windows which both hold blocks already does not end
// the keeper. Method: blocks in both, one more row for each, the earlier window first.
#[test]
fn blocks_are_appended_to_two_windows_at_once() {
    run(vec![put(2, 8 * SECOND), Op::Checkpoint, put(6, SECOND), put(10, 8 * SECOND)]);
}

// Goal: P2, a version that died in the log does not let an older one out of the table. Method: an
// older version in the table, a newer one that is dropped when it dies, then an open.
#[test]
fn dead_version_takes_the_older_one_out_of_the_table() {
    for key in [ONCE, REVISED] {
        let dies = [put(key, SECOND), Op::Checkpoint, put(key, SECOND)];
        run([dies.to_vec(), vec![Op::Advance(2_000), Op::Checkpoint, Op::Reopen]].concat());
        run([dies.to_vec(), vec![Op::Reopen, Op::Advance(2_000), Op::Checkpoint]].concat());
    }
}

// Goal: P2, a row made to die sooner is not outlived by its older version. Method: a row in the
// table that was extended and not yet filed anew, then shortened; its window is swept before or
// after the log is carried.
#[test]
fn shortened_row_is_not_outlived_by_its_older_version() {
    let shortened = [
        put(REVISED, 2 * SECOND),
        Op::Checkpoint,
        put(REVISED, 30 * DAY),
        Op::Checkpoint,
        put(REVISED, SECOND),
        Op::Advance(10_000),
    ];
    let sweep = Op::Sweep(u64::MAX);
    for rest in [[sweep.clone(), Op::Checkpoint, Op::Reopen], [Op::Checkpoint, sweep, Op::Reopen]] {
        run([shortened.to_vec(), rest.to_vec()].concat());
    }
}

// Goal: P10, a sweep leaves nothing that is due, also where a row was extended and has died since.
// Method: extend a row that stays filed under its first window, let both ends pass, sweep once.
#[test]
fn extended_row_that_died_is_swept_with_its_first_window() {
    run(vec![put(REVISED, 2 * SECOND), Op::Checkpoint, put(REVISED, DAY)]);
}

// Goal: P7, a key is not taken for damage because a revised row has the same tag. Method: all keys
// looked at while one row is in the table, with tags of one bit.
#[test]
fn revised_row_in_the_table_hides_no_key_of_the_same_tag() {
    run(vec![put(REVISED, DAY), Op::Checkpoint, Op::Reopen]);
}

// Goal: P5, a leap beyond belief while the store was closed is not believed, also before the first
// checkpoint. Method: close, leap 400 days, open; the machine expects issuing to be refused.
#[test]
fn leap_while_closed_is_seen_before_the_first_checkpoint() {
    run(vec![Op::StepAhead(400 * DAY), Op::Reopen, put(ONCE, SECOND)]);
}

// Goal: a leap that is taken back costs nothing, also where something was written in between.
// Method: write rows of the past while the clock is 400 days ahead, and take the leap back.
#[test]
fn row_written_in_a_leap_dies_when_it_is_due() {
    let Op::Commit(steps) = put(ONCE, SECOND) else { unreachable!("a put is a commit") };
    run(vec![Op::StepAhead(400 * DAY), Op::Revoke(steps), Op::StepAhead(1)]);
}

// Goal: P5, what was swept is not revived by a restart, even if the clock was set back. Method:
// set the clock back, let a row die by the store's own time, sweep it, end the process.
#[test]
fn swept_row_stays_swept_over_a_restart_on_a_slow_clock() {
    let sweep = Op::Sweep(u64::MAX);
    run(vec![Op::StepBehind(DAY), put(ONCE, SECOND), Op::Advance(10_000), sweep, Op::Kill]);
}

// Goal: P2, a deletion outlives what it deletes, also where the windows of both end together.
// Method: a row deleted so late that its deletion is of a shorter class; a sweep that stops
// between the two windows.
#[test]
fn deletion_is_swept_no_earlier_than_what_it_deletes() {
    run(vec![
        // 6,912 s into the run, windows of 64 s and of 128 s end together.
        Op::Advance(3_509_860),
        put(12, 3_386_140),
        Op::Checkpoint,
        Op::Advance(1_338_141),
        Op::Commit(vec![write(12, Write::Delete)]),
        Op::Checkpoint,
        Op::Reopen,
        Op::Advance(2_063_999),
        Op::Sweep(1),
    ]);
}
