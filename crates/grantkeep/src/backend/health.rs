//! How an engine is, in one word: for a readiness probe.

use serde::Serialize;
use std::fmt;
use std::time::SystemTime;

/// How a store is; see [`Store::health`](crate::Store::health).
///
/// Where several hold, the first of these is answered: closed, poisoned, read-only, full, the
/// clock, failing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub enum Health {
    /// It takes all work.
    #[default]
    Open,
    /// The disk is full: nothing is issued, while revoking and sweeping go on. It ends by itself
    /// once there is room.
    Full {
        /// Since when.
        since: SystemTime,
    },
    /// The clock is not believed: nothing is issued.
    ClockRefused {
        /// By how much the clock is ahead, and how much is believed.
        why: String,
        /// What ends it.
        until: String,
    },
    /// Something that the store does for itself fails, and is tried again by itself. Only what
    /// needs it is refused meanwhile.
    Failing {
        /// What fails, and why.
        why: String,
        /// Since when.
        since: SystemTime,
    },
    /// The outcome of a write that was promised is not known: nothing is acknowledged any more, and
    /// reopening is the way back.
    Poisoned {
        /// What failed.
        why: String,
    },
    /// It is only looked at ([`Options::read_only`](crate::Options::read_only)): nothing of it is
    /// changed, and nothing is issued.
    ReadOnly,
    /// It was closed.
    Closed,
}

impl Health {
    /// True if the store takes all work.
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// The state in one word: `open`, `full`, `clock`, `failing`, `poisoned`, `read-only`, or
    /// `closed`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Full { .. } => "full",
            Self::ClockRefused { .. } => "clock",
            Self::Failing { .. } => "failing",
            Self::Poisoned { .. } => "poisoned",
            Self::ReadOnly => "read-only",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open | Self::ReadOnly | Self::Closed => f.write_str(self.word()),
            Self::Full { .. } => f.write_str("full: nothing is issued until there is room"),
            Self::ClockRefused { why, until } => write!(f, "clock: {why}, until {until}"),
            Self::Failing { why, .. } => write!(f, "failing: {why}"),
            Self::Poisoned { why } => write!(f, "poisoned: {why}"),
        }
    }
}
