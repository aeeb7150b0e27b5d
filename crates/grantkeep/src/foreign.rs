//! Code that is not the store's and runs on a thread that does the store's work: wakers of an
//! executor, closures of a caller. Its panic stays its own.
//!
//! Whatever it drops may be the last handle of a store. That store is not closed on a thread that
//! works for it, since it would wait for itself: see [`is_at_work`].

use crate::sync::thread_local;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    // The model checkers' threads take no `const` block.
    #[allow(clippy::missing_const_for_thread_local)]
    static AT_WORK: Cell<u32> = Cell::new(0);
}

/// Runs foreign code; a panic of it is told and goes no further.
pub(crate) fn call(what: &str, code: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(code)).is_err() {
        tracing::warn!(target: "grantkeep", "a {what} panicked on a thread of the store");
    }
}

/// Says for as long as it lives that its thread does a store's work.
#[derive(Debug)]
pub(crate) struct AtWork(());

impl AtWork {
    pub(crate) fn begin() -> Self {
        AT_WORK.with(|works| works.set(works.get() + 1));
        Self(())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.with(|works| works.set(works.get().saturating_sub(1)));
    }
}

/// True if the calling thread does a store's work at this moment.
pub(crate) fn is_at_work() -> bool {
    // Destructors of other thread-locals may ask after this one is gone: the thread ends then.
    AT_WORK.try_with(|works| works.get() > 0).unwrap_or(false)
}
