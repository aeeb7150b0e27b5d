//! Courtesy of the keeper: where processors are scarce, callers and the log thread go first.
//!
//! A scheduler lets a thread that computes run for some milliseconds before others get their turn.
//! A commit takes a tenth of that, so a checkpoint that held a processor for as long as it may
//! would be seen in the latency of every commit beside it. But once the log has hardly any room
//! left, commits wait for the checkpoint, or soon will, and courtesy would only make them wait
//! longer: then the keeper neither yields nor paces what it writes.

use crate::sync::thread;
use std::cell::Cell;

/// Every so many steps the keeper offers its processor to whoever waits for one. A step is a record
/// or a page: a few microseconds.
const STEPS: u32 = 4;

thread_local! {
    static TAKEN: Cell<u32> = const { Cell::new(0) };
    static AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// Says whether others wait for what the calling thread does from here on.
pub(crate) fn set_awaited(awaited: bool) {
    AWAITED.set(awaited);
}

/// True if others wait for what the calling thread does.
pub(crate) fn is_awaited() -> bool {
    AWAITED.get()
}

/// Counts a step, and lets others run if it was the last of a few.
pub(crate) fn step() {
    let taken = TAKEN.get() + 1;
    TAKEN.set(taken % STEPS);
    if taken == STEPS {
        offer();
    }
}

/// Lets others run, after a piece of work that is as long as several steps.
pub(crate) fn offer() {
    if !AWAITED.get() {
        thread::yield_now();
    }
}
