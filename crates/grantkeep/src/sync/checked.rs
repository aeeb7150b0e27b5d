//! What `sync` offers, as steps of a model checker that decides which thread goes next.
//!
//! Nothing here takes time: a wait with a timeout may end at once or last, as the checker decides,
//! a limited number of times, so that whoever relies on being woken by a timeout is found asleep.

use shuttle::rand::{RngCore as _, thread_rng};
use shuttle::sync as model;
use std::convert::Infallible;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub(crate) use model::RwLockWriteGuard;
pub(crate) use model::atomic::{AtomicBool, AtomicI64, AtomicU64};
pub(crate) use shuttle::thread_local;
pub(crate) use std::sync::Arc;

/// Random bytes that belong to the schedule, so that it can be played again.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Infallible> {
    thread_rng().fill_bytes(bytes);
    Ok(())
}

/// A lock without poisoning.
#[derive(Debug)]
pub(crate) struct Mutex<T>(model::Mutex<T>);

impl<T> Mutex<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(model::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// The guard of a [`Mutex`]; empty while its holder waits on a [`Condvar`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<model::MutexGuard<'a, T>>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        let Some(guard) = &self.0 else { unreachable!("the holder waits") };
        guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        let Some(guard) = &mut self.0 else { unreachable!("the holder waits") };
        guard
    }
}

/// How often the patience of whoever waits on one condition may end before its time.
const TIMEOUTS_MAX: u32 = 4;

/// A condition variable that never wakes for nothing.
#[derive(Debug)]
pub(crate) struct Condvar {
    told: model::Condvar,
    /// Timeouts that are left. A plain count: whoever changes it holds the condition's lock.
    timeouts: std::sync::atomic::AtomicU32,
}

impl Condvar {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let timeouts = std::sync::atomic::AtomicU32::new(TIMEOUTS_MAX);
        Self { told: model::Condvar::new(), timeouts }
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.0.take() {
            guard.0 = Some(self.told.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits until notified, or until the checker says that the time is over.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, patience: Duration) {
        let left = self.timeouts.load(Relaxed);
        let ends = patience.is_zero() || left > 0 && thread_rng().next_u32().is_multiple_of(2);
        if !ends {
            return self.wait(guard);
        }
        if !patience.is_zero() {
            self.timeouts.store(left - 1, Relaxed);
        }
    }

    pub(crate) fn notify_one(&self) {
        self.told.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.told.notify_all();
    }
}

/// A lock for readers or one writer, without poisoning.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(model::RwLock<T>);

impl<T> RwLock<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(model::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> model::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment: a second lies between any two, so that whatever is done now and then is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant;

impl Instant {
    pub(crate) fn now() -> Self {
        Self
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_secs(1)
    }
}

/// Threads that the checker moves.
pub(crate) mod thread {
    use super::{Arc, Condvar, Mutex};
    pub(crate) use shuttle::thread::{Builder, JoinHandle, sleep};

    /// A courtesy is no step: every lock and every atomic is one already, and a table that is
    /// being written holds locks that the checker does not know.
    pub(crate) fn yield_now() {}

    /// A thread that may be parked; unlike a real one it never wakes for nothing, which would hide
    /// that nobody has woken it.
    #[derive(Debug, Clone)]
    pub(crate) struct Thread(Arc<Parker>);

    #[derive(Debug)]
    struct Parker {
        woken: Mutex<bool>,
        told: Condvar,
    }

    shuttle::thread_local! {
        static CURRENT: Thread =
            Thread(Arc::new(Parker { woken: Mutex::new(false), told: Condvar::new() }));
    }

    pub(crate) fn current() -> Thread {
        CURRENT.with(Clone::clone)
    }

    pub(crate) fn park() {
        let Thread(parker) = current();
        let mut woken = parker.woken.lock();
        while !*woken {
            parker.told.wait(&mut woken);
        }
        *woken = false;
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            *self.0.woken.lock() = true;
            self.0.told.notify_one();
        }
    }
}
