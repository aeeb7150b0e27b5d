//! Locks, atomics, and threads: the one place they come from, so that a model checker can take
//! their place in tests.

pub(crate) use parking_lot::{Condvar, Mutex, RwLock, RwLockWriteGuard};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
pub(crate) use std::thread;
