//! The horizon: the latest end of life that the store ever allowed to anything that rests on the
//! epoch of a pair, and maybe of a log-in session.
//!
//! The epochs of subjects and clients stay for good. That of a pair, a client on behalf of a
//! subject, expires: there are many more pairs, and each is revoked by whoever opens a page of
//! sessions. So does that of a session, of which there are more still: each that ends leaves one.
//! What is said of a pair here holds for a session, since whatever is in one rests on a pair. It
//! must not be swept before all that it revokes has expired, or that would be in force again. So it
//! expires at the horizon.
//!
//! # Steps
//!
//! 1. One row, which never expires, holds the horizon. It is made with the store.
//! 2. Whoever reads the epochs of a pair to issue under them has the horizon *raised* first, if it
//!    is nearer than [`AHEAD`] from now and half a step, or the longest lifetime where that is
//!    shorter: a commit of its own, durable before anything is issued up to there.
//! 3. A commit that puts a record which rests on a pair, with an end behind the horizon, raises it
//!    first. If it depends on epochs that were read while the horizon was nearer than that end, it
//!    is a conflict, and they are read again.
//! 4. A new epoch of a pair expires at the horizon, and its write requires the version of the
//!    horizon's row.
//!
//! # Invariants
//!
//! - The horizon never comes nearer, whatever the clock and the options do.
//! - Every record that rests on a pair expires by the horizon as it was when its epochs were read.
//! - An epoch of a pair expires no earlier than any record that was issued before it, since a
//!   horizon that was raised meanwhile is a conflict for it (P6).
//! - What was decided before an epoch, and is committed after that was swept, has expired: its end
//!   lies before the horizon that the epoch expired at.
//!
//! # Why a time, and not the longest lifetime
//!
//! The time that records are issued at may go back: a leap of the clock counts for validity at
//! once, and may be taken back. What was issued meanwhile ends so much later than anything that is
//! reckoned from the time afterwards. The longest lifetime of the store may be another at each
//! open as well, and of an earlier, longer one only the horizon knows.
//!
//! # What it does not do
//!
//! - It does not know how long the records of one pair live, only how long any might: an epoch
//!   stays for [`AHEAD`], or as long as the longest-lived that was ever issued, and up to a step
//!   more. It does not go by the longest lifetime, which is ten years by default: the epochs of
//!   sessions that ended would pile up for as long.
//! - What is to live for longer than [`AHEAD`] is decided a second time now and then, when it is
//!   the first to end behind the horizon.
//! - Time that no one believes raises it all the same. Then epochs stay for longer than they must.

use super::change::Change;
use super::epoch::Epoch;
use super::record::{Held, Record};
use super::{Inner, as_read};
use crate::backend::{Backend, Expect, Key, Kind, NewRow, Outcome, Terms};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::Result;
use crate::store::codec;
use crate::sync::Ordering;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far it is raised at least: short lifetimes cost a commit a minute, and no more.
const STEP_MIN: Duration = Duration::from_secs(60);

/// How far it is raised, as a part of the longest lifetime, or of [`AHEAD`]: a window of a lifetime
/// class is as long as that.
const STEP_PART: u32 = 16;

/// How far it is raised ahead of need: all but the longest grants end before.
const AHEAD: Duration = Duration::from_secs(128 * 24 * 3_600);

/// What the row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Horizon {
    /// By the store's time.
    latest: Timestamp,
}

impl Record for Horizon {
    const KIND: Kind = Kind::revised(15);
    const NAME: &'static str = "horizon";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The horizon as it was read, and what a change depends on that rests on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldHorizon {
    expect: Expect,
    latest: Timestamp,
}

pub(super) fn key() -> Key {
    Key::new(Horizon::KIND, Digest::of_name("horizon", &[]))
}

async fn held(backend: &impl Backend) -> Result<Option<Held<Horizon>>> {
    let row = backend.get(key()).await?;
    row.map(|row| Held::read(&row)).transpose()
}

/// The horizon that stands; the beginning of time where there is none yet.
pub(super) async fn read(backend: &impl Backend) -> Result<Timestamp> {
    Ok(held(backend).await?.map_or(Timestamp::default(), |held| held.record.latest))
}

/// The row of a new store.
pub(super) fn first(now: Timestamp, lifetime_max: Duration) -> Result<NewRow> {
    let ahead = lifetime_max.min(AHEAD);
    let latest = now.saturating_add(ahead).saturating_add(step(ahead));
    let value = codec::encode(Horizon::NAME, Horizon::FORMAT, &Horizon { latest })?;
    Ok(NewRow { value, expires_at: Timestamp::NEVER, terms: Terms::NONE })
}

fn step(lifetime_max: Duration) -> Duration {
    (lifetime_max / STEP_PART).max(STEP_MIN)
}

impl<B: Backend> Inner<B> {
    /// The horizon, as far as this store knows: it may have been raised by another.
    fn horizon(&self) -> Timestamp {
        Timestamp::from_millis(self.horizon_ms.load(Ordering::Acquire))
    }

    fn note_horizon(&self, latest: Timestamp) {
        self.horizon_ms.fetch_max(latest.as_millis(), Ordering::AcqRel);
    }

    /// The horizon for what is issued from now on, far enough for all but the longest (step 2). To
    /// be asked before the epochs are read that it is issued under.
    pub(super) async fn horizon_ahead(&self) -> Result<Timestamp> {
        let ahead = self.lifetime_max.min(AHEAD);
        let wanted = self.backend.now().saturating_add(ahead).saturating_add(step(ahead) / 2);
        if self.horizon() < wanted {
            self.raise_horizon(wanted).await?;
        }
        Ok(self.horizon())
    }

    /// Makes sure that all of a change which rests on a pair ends by the horizon (step 3). Answers
    /// true if the epochs that it depends on must be read again.
    pub(super) async fn cover(&self, change: &Change) -> Result<bool> {
        let ends_at = change.ends_at();
        if ends_at > self.horizon() {
            self.raise_horizon(ends_at).await?;
        }
        Ok(change.is_outdated())
    }

    /// Raises the horizon behind `end`, and a step further.
    ///
    /// # Durability
    /// It is durable when this returns.
    async fn raise_horizon(&self, end: Timestamp) -> Result<()> {
        loop {
            let held = held(&self.backend).await?;
            if let Some(held) = held.as_ref().filter(|held| held.record.latest >= end) {
                self.note_horizon(held.record.latest);
                return Ok(());
            }
            let latest = end.saturating_add(step(self.lifetime_max.min(AHEAD)));
            let mut change = Change::new(self.backend.now(), self.lifetime_max)?;
            match &held {
                Some(held) => change.replace(held, &Horizon { latest }, Timestamp::NEVER)?,
                None => change.insert(key().id, &Horizon { latest }, Timestamp::NEVER)?,
            };
            change.housekeeping();
            if self.backend.commit(change.into_batch()).await? == Outcome::Applied {
                self.note_horizon(latest);
                return Ok(());
            }
        }
    }

    /// The horizon with what it takes to hold it still, for a new epoch of a pair (step 4).
    pub(super) async fn held_horizon(&self) -> Result<HeldHorizon> {
        let held = held(&self.backend).await?;
        let latest = held.as_ref().map_or(Timestamp::default(), |held| held.record.latest);
        self.note_horizon(latest);
        Ok(HeldHorizon { expect: as_read(held.as_ref()), latest })
    }
}

impl Change {
    /// Puts an epoch that is not closed, of a pair, and has it expire at the horizon. Where all
    /// that it revokes has expired already it is gone at once.
    pub(super) fn put_until_horizon(
        &mut self,
        id: Digest,
        held: Option<&Held<Epoch>>,
        epoch: &Epoch,
        horizon: HeldHorizon,
    ) -> Result<&mut Self> {
        let expires_at = horizon.latest.max(self.now().saturating_add(Duration::from_millis(1)));
        self.require_horizon(horizon.expect);
        self.put_row(id, held, epoch, expires_at)
    }
}

#[cfg(test)]
mod tests;
