//! What the engine's `sync` offers to its handshakes, under loom.

use loom::sync as model;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

pub(crate) use crate::exhaust::{Planted, planted};
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use loom::thread;
pub(crate) use loom::thread_local;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;

#[derive(Debug)]
pub(crate) struct Mutex<T>(model::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<model::MutexGuard<'a, T>>);

#[derive(Debug)]
pub(crate) struct Condvar(model::Condvar);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(model::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the holder waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the holder waits")
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(model::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("the holder waits once");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
