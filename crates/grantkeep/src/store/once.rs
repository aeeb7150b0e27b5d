//! Burnt values: a `jti`, a nonce, a state that must not be seen twice (RFC 9449 section 11.1).

use super::Store;
use super::record::Record;
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
struct Once;

impl Record for Once {
    const KIND: Kind = Kind::write_once(5);
    const NAME: &'static str = "burnt value";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<B: Backend> Store<B> {
    /// Burns `value` under `label` until a time: of any number of callers exactly one is first.
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
            let mut change = self.change()?;
            if until <= change.now() {
                return Ok(Burned::Expired);
            }
            match &held {
                Some(held) if !held.is_expired(change.now()) => return Ok(Burned::Seen),
                Some(held) => change.replace(held, &Once, until)?,
                None => change.insert(id, &Once, until)?,
            };
            if self.commit(change).await? == Outcome::Applied {
                return Ok(Burned::First);
            }
        }
    }
}
