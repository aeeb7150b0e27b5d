//! The two times of a store, and the one place that converts between them.
//!
//! The store judges by its own time, [`Store::now`], which never goes back: rows expire in it, and
//! so do the grace period of a refresh token and the pace of a device. Everybody else lives by the
//! wall clock, [`Store::wall`]. So every time that comes from others, is shown to others, or is
//! recorded of what happened, is a wall time. The two differ by the lead, which is zero unless the
//! wall clock was ahead for a while, and was then corrected.

use super::Store;
use crate::backend::Backend;
use crate::clock::Timestamp;
use std::time::Duration;

impl<B: Backend> Store<B> {
    /// The wall clock, as it is: what happens now is recorded, and told, as of this time.
    pub fn wall(&self) -> Timestamp {
        self.inner.backend.wall()
    }

    /// The time that has come for good. [`Store::now`] is ahead of it while the clock has leapt
    /// ahead and it is not sure that this stays so: what has ended meanwhile may be in force again.
    pub fn settled(&self) -> Timestamp {
        self.inner.backend.settled()
    }

    /// How far [`Store::now`] is ahead of the wall clock. It changes in steps of more than two
    /// seconds, so that a time which is converted twice is the same both times.
    pub fn lead(&self) -> Duration {
        self.inner.backend.lead()
    }

    /// What the wall clock will show, as far as is known, when [`Store::now`] comes to `at`: an
    /// expiry as it is told to others. [`Timestamp::NEVER`] stays what it is.
    pub fn on_the_wall(&self, at: Timestamp) -> Timestamp {
        if at == Timestamp::NEVER {
            return at;
        }
        at.saturating_sub(self.lead())
    }
}

/// The store's time at which `until` comes on the wall clock, if the two are `now` and `wall`. Not
/// by the shown lead: something that lives for a second must not have died two seconds ago.
pub(super) fn in_store_time(until: Timestamp, wall: Timestamp, now: Timestamp) -> Timestamp {
    if until == Timestamp::NEVER {
        return until;
    }
    now.saturating_add(until.since(wall))
}
