//! Ways to break a build on purpose, so that the suites show that they would notice.
//!
//! Without the feature `sabotage` nothing is ever broken, and asking costs nothing.

/// A way in which a store could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A commit is visible and acknowledged before its frame is synced.
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
}

#[cfg(not(feature = "sabotage"))]
/// True if the build has this flaw.
#[inline]
pub const fn is(_: Flaw) -> bool {
    false
}

#[cfg(feature = "sabotage")]
pub use switch::{is, set};

#[cfg(feature = "sabotage")]
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
