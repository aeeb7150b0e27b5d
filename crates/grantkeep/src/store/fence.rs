//! The fence of a restored store: what was issued before may have been revoked or spent after the
//! backup was made, so none of it is admitted.
//!
//! Since none of it is, a restored store gives up the lead of its time over the wall clock. What is
//! left that expires, the secrets of clients, is brought forward by as much.

use super::change::Change;
use super::record::{Held, Record};
use crate::backend::{Backend, Key, Kind, Outcome};
use crate::clock::{Timestamp, millis};
use crate::digest::Digest;
use crate::error::Result;
use crate::keyring::random;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Drawn when a store is restored, and recorded in all that is issued from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// A random number: two restores of one backup have different ones.
    number: u64,
    /// When the store was restored, by the wall clock.
    at: Timestamp,
    /// How far the store's time was set back, by this restore and all before it.
    set_back_ms: u64,
}

impl Fence {
    /// One that takes as many bytes as any.
    pub(super) fn longest() -> Self {
        Self { number: u64::MAX, at: Timestamp::NEVER, set_back_ms: u64::MAX }
    }

    /// When the store was restored, by the wall clock.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How far the store's time was set back, by this restore and all before it.
    pub(super) fn set_back_ms(&self) -> u64 {
        self.set_back_ms
    }
}

impl Record for Fence {
    const KIND: Kind = Kind::revised(14);
    const NAME: &'static str = "fence";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn id() -> Digest {
    Digest::of_name("fence", &[])
}

async fn held(backend: &impl Backend) -> Result<Option<Held<Fence>>> {
    let row = backend.get(Key::new(Fence::KIND, id())).await?;
    row.map(|row| Held::read(&row)).transpose()
}

/// The fence that stands. It is read once, when a store is made: it is only ever set before.
pub(super) async fn read(backend: &impl Backend) -> Result<Option<Fence>> {
    Ok(held(backend).await?.map(|held| held.record))
}

/// Sets a new fence.
///
/// # Durability
/// It is durable when this returns.
pub(super) async fn set(
    backend: &impl Backend,
    lifetime_max: Duration,
    set_back: Duration,
) -> Result<()> {
    let mut bytes = [0; 8];
    random(&mut bytes)?;
    loop {
        let mut change = Change::new(backend.now(), lifetime_max)?;
        let before = held(backend).await?;
        let set_back_ms = before.as_ref().map_or(0, |held| held.record.set_back_ms);
        let fence = Fence {
            number: u64::from_le_bytes(bytes),
            at: backend.wall(),
            set_back_ms: set_back_ms.saturating_add(millis(set_back)),
        };
        match &before {
            Some(held) => change.replace(held, &fence, Timestamp::NEVER)?,
            None => change.insert(id(), &fence, Timestamp::NEVER)?,
        };
        change.housekeeping();
        if backend.commit(change.into_batch()).await? == Outcome::Applied {
            return Ok(());
        }
    }
}
