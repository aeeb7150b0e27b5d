//! Locks, atomics, channels, and threads: the one place they come from, so that a model checker
//! takes their place where the engine is built under `cfg(model_checked)`, which the package
//! `grantkeep-checked` alone sets.

#[cfg(model_checked)]
mod checked;

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;

/// A count on which no order of events depends: looking at it is no step of the model.
pub(crate) use std::sync::atomic::AtomicU64 as Tally;

/// A lock that is held only around operations of the disk, within locks that redb has of its own:
/// taking it is no step of the model, which could not see those.
pub(crate) use std::sync::RwLock as DiskLock;

#[cfg(not(model_checked))]
pub(crate) use {
    parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard},
    std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64},
    std::{thread, thread_local, time::Instant},
};

#[cfg(model_checked)]
pub(crate) use checked::*;

/// Threads on which no order of events depends, since they only fetch what others will read.
pub(crate) mod fetching {
    pub(crate) use std::thread::{Builder, scope};
}

/// `full`, or `few` where each of them is a step of the model.
pub(crate) const fn scaled(full: usize, few: usize) -> usize {
    if cfg!(model_checked) { few } else { full }
}
