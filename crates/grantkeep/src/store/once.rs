//! Burnt values: a `jti`, a nonce, a state that must not be seen twice (RFC 9449 section 11.1).
//!
//! Whoever made the value said when it ends, by a clock like everybody else's: a value is judged by
//! the wall clock. Its row has the end as it was given, and expires when that comes if nothing
//! happens to the clock. If the store gets ahead of the wall clock meanwhile, the engine keeps the
//! row ([`Kind::REMEMBERED`]), and the end that is in it counts.

use super::Store;
use super::record::Record;
use super::wall::in_store_time;
use crate::backend::{Backend, Kind, Outcome};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// The answer to burning a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burned {
    /// It had not been burnt, and is from now on.
    First,
    /// It had been, and still is.
    Seen,
    /// The time until which it is to be burnt has come, so nothing was noted and nothing is known
    /// of it. Whatever carries the value is past its own end: refuse it.
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Once {
    /// When it may be forgotten, by the wall clock.
    until: Timestamp,
}

impl Record for Once {
    const KIND: Kind = Kind::REMEMBERED;
    const NAME: &'static str = "burnt value";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<B: Backend> Store<B> {
    /// Burns `value` under `label` until a time of the wall clock: of any number of callers exactly
    /// one is first.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`](crate::ErrorKind::Lifetime) if `until` is further off than the
    /// store's longest lifetime; otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// `First` and `Seen` rest on durable state.
    pub async fn burn(&self, label: &str, value: &[u8], until: Timestamp) -> Result<Burned> {
        let id = Digest::of_name(label, value);
        loop {
            let held = self.get::<Once>(id).await?;
            // Before the store's time, so that none is lost between the two.
            let wall = self.wall();
            let mut change = self.change()?;
            if until <= wall {
                return Ok(Burned::Expired);
            }
            let expires_at = in_store_time(until, wall, change.now());
            match &held {
                Some(held) if held.record.until > wall => return Ok(Burned::Seen),
                Some(held) => change.replace(held, &Once { until }, expires_at)?,
                None => change.insert(id, &Once { until }, expires_at)?,
            };
            if self.commit(change).await? == Outcome::Applied {
                return Ok(Burned::First);
            }
        }
    }
}
