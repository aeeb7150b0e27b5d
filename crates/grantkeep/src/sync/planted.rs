//! Faults of concurrency that the model checker must find, each at the place in the engine where
//! a hasty change could make it. Outside of the model checker's build none can be switched on, and
//! the compiler removes the questions.

/// A way to be wrong.
#[cfg_attr(not(model_checked), allow(unreachable_pub))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A waiter does not look once more under the lock before it goes to sleep.
    OneLook,
    /// A group becomes visible, and its callers are answered, before it is written.
    VisibleFirst,
    /// Callers are answered between the write and the sync.
    AnsweredBeforeSync,
    /// The log thread is not told of work that was gathered while it slept.
    NobodyRings,
    /// A batch does not look at what is pending.
    PendingUnseen,
    /// The rows of a batch become visible one by one.
    RowByRow,
    /// A row fetched without the lock is kept although its shard has changed meanwhile.
    StaleKept,
    /// A carried row takes the place of whatever is in the index by then.
    MovedBlindly,
    /// A segment is carried while its last frames are on their way.
    CarriedEarly,
    /// Whoever waits when the store is poisoned is not told.
    WaitersForgotten,
}

/// True if `fault` is planted.
#[cfg(not(model_checked))]
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) const fn planted(_fault: Planted) -> bool {
    false
}

#[cfg(model_checked)]
pub use switch::plant;
#[cfg(model_checked)]
pub(crate) use switch::planted;

#[cfg(model_checked)]
mod switch {
    use super::Planted;
    use std::cell::Cell;

    std::thread_local! {
        // The model checker runs all threads of an engine on the one that asked for the check.
        static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// Plants a fault in every engine that this thread checks from now on, or none.
    pub fn plant(fault: Option<Planted>) {
        PLANTED.set(fault);
    }

    /// True if `fault` is planted.
    pub(crate) fn planted(fault: Planted) -> bool {
        PLANTED.get() == Some(fault)
    }
}
