//! Ways to break a build on purpose, so that the suites show that they would notice: each flaw
//! stands where a hasty change could make it.
//!
//! Only the feature `sabotage` and the model checker's build can switch one on. Without them
//! nothing is ever broken, and the compiler removes the questions.

/// A way in which a store could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A commit is visible and acknowledged before its frame is written.
    AcknowledgedBeforeSync,
    /// The check of a frame does not cover which use of which segment it was written in.
    ChecksumWithoutSegment,
    /// The next use of a segment's file takes the frames of an earlier one for its own.
    RecycledFrameBelieved,
    /// What a batch expects is not compared with what is there.
    ConditionDropped,
    /// A sweep does not store the time by which it swept.
    SweepWithoutHighWater,
    /// A predecessor is answered its successor again though that was used.
    GraceForUsedSuccessor,
    /// What an owner has revoked is in force.
    EpochIgnored,
    /// The check of a row is not looked at.
    RowChecksumIgnored,
    /// Tokens are filed under their own text.
    TextAsLookupId,
    /// What a sweep cuts off stays in the table.
    SweptRowsKept,
    /// A waiter does not look once more under the lock before it goes to sleep.
    OneLook,
    /// Callers are answered between the write and the sync.
    AnsweredBeforeSync,
    /// The log thread is not told of work that was gathered while it slept.
    NobodyRings,
    /// A batch does not look at what is pending.
    PendingUnseen,
    /// The rows of a batch become visible one by one.
    RowByRow,
    /// A row fetched without the lock is kept for what is there by then.
    StaleKept,
    /// A carried row takes the place of whatever is in the index by then.
    MovedBlindly,
    /// A row is taken to be where it was before its shard has changed.
    MovedPlacesBelieved,
    /// A segment is carried while its last frames are on their way.
    CarriedEarly,
    /// Whoever waits when the store is poisoned is not told.
    WaitersForgotten,
    /// A caller that offered to write what it gathered, and cannot, tells nobody.
    OfferForgotten,
    /// What a look-up reads from a place that has got another row meanwhile is taken for damage.
    MovedTakenForDamage,
    /// An audience that was set, and names nobody, is taken for any.
    AudienceWidened,
    /// A retry within the grace period is not counted.
    RetryUncounted,
    /// What is issued does not rest on the standing of whom it is issued to.
    StandingForgotten,
}

/// True if the build has this flaw.
#[cfg(not(any(feature = "sabotage", model_checked)))]
#[inline(always)]
#[allow(clippy::inline_always)]
pub const fn is(_: Flaw) -> bool {
    false
}

#[cfg(any(feature = "sabotage", model_checked))]
pub use switch::{is, set};

#[cfg(model_checked)]
mod switch {
    use super::Flaw;
    use std::cell::Cell;

    std::thread_local! {
        // The model checker runs all threads of an engine on the one that asked for the check.
        static PRESENT: Cell<Option<Flaw>> = const { Cell::new(None) };
    }

    /// Gives every engine that this thread checks from now on a flaw, or none.
    pub fn set(flaw: Option<Flaw>) {
        PRESENT.set(flaw);
    }

    /// True if the engines of this thread have this flaw.
    pub fn is(flaw: Flaw) -> bool {
        PRESENT.get() == Some(flaw)
    }
}

#[cfg(all(feature = "sabotage", not(model_checked)))]
mod switch {
    use super::Flaw;
    use std::sync::atomic::{AtomicU8, Ordering};

    static PRESENT: AtomicU8 = AtomicU8::new(0);

    /// Gives this process a flaw, or none.
    pub fn set(flaw: Option<Flaw>) {
        PRESENT.store(flaw.map_or(0, |flaw| flaw as u8 + 1), Ordering::SeqCst);
    }

    /// True if the process has this flaw.
    pub fn is(flaw: Flaw) -> bool {
        PRESENT.load(Ordering::Relaxed) == flaw as u8 + 1
    }
}
