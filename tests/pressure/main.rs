//! Pressure: more clients than fit, long jobs beside them, and what a store needs taken away for a
//! while. Nothing that was acknowledged is lost, nothing hangs, and what ends has ended by itself.

mod full_disks;
mod line;
mod long_jobs;
mod rounds;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tests of this suite measure how long things take, so they run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
