//! How the log thread is told of work: it is rung for only while it sleeps, so that a crowd of
//! callers pays for one ring and a busy log thread for none.

use crate::sync::{Condvar, MutexGuard};

/// What a lock guards that somebody sleeps beside.
pub(crate) trait Beside {
    /// True while the one who is rung for sleeps.
    fn asleep(&mut self) -> &mut bool;
}

/// Wakes one thread; whether it sleeps is known under the lock of what it waits for.
#[derive(Debug)]
pub(crate) struct Doorbell(Condvar);

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self(Condvar::new())
    }

    /// Sleeps until the bell is rung, or for less.
    pub(crate) fn sleep<T: Beside>(&self, guard: &mut MutexGuard<'_, T>) {
        *guard.asleep() = true;
        self.0.wait(guard);
        *guard.asleep() = false;
    }

    /// Gives the lock back, and rings if nobody has since the sleeper fell asleep.
    pub(crate) fn ring<T: Beside>(&self, mut guard: MutexGuard<'_, T>) {
        if std::mem::take(guard.asleep()) {
            drop(guard);
            self.0.notify_one();
        }
    }

    /// Rings whoever sleeps. What it is to find must be under the lock already.
    pub(crate) fn ring_all(&self) {
        self.0.notify_all();
    }
}
