//! Changes: what is to happen to several records together.

use super::codec;
use super::record::{Held, Record};
use crate::backend::{Batch, Expect, Key, NewRow, Step, Write};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;

/// Conditional writes of several records that happen together or not at all.
#[derive(Debug)]
pub struct Change {
    batch: Batch,
    now: Timestamp,
    lifetime_max: Duration,
}

impl Change {
    pub(super) fn new(now: Timestamp, lifetime_max: Duration) -> Result<Self> {
        Ok(Self { batch: Batch::new()?, now, lifetime_max })
    }

    /// The time by which it judges lifetimes.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Puts a record under an id that has none.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`] if `expires_at` is not after now, or is further off than the
    /// store's longest lifetime and not [`Timestamp::NEVER`]; [`ErrorKind::Limit`] for a field
    /// over its limit.
    pub fn insert<R: Record>(
        &mut self,
        id: Digest,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<&mut Self> {
        if expires_at <= self.now {
            return Err(Error::new(
                ErrorKind::Lifetime,
                format!("a {} would be expired when it is issued: extend its lifetime", R::NAME),
            ));
        }
        let row = self.row(record, expires_at)?;
        self.batch.insert(Key::new(R::KIND, id), row);
        Ok(self)
    }

    /// Puts a record in place of the one that was read.
    ///
    /// # Errors
    /// As [`Change::insert`]; an expiry in the past is accepted.
    pub fn replace<R: Record>(
        &mut self,
        held: &Held<R>,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<&mut Self> {
        let row = self.row(record, expires_at)?;
        self.batch.replace(held.key(), held.version, row);
        Ok(self)
    }

    /// Removes the record that was read.
    pub fn delete<R: Record>(&mut self, held: &Held<R>) -> &mut Self {
        self.batch.delete(held.key(), held.version);
        self
    }

    /// Says that the change takes something away; see [`Batch::revoking`].
    pub fn revoking(&mut self) -> &mut Self {
        self.batch.revoking();
        self
    }

    /// Says that the change takes away everything that an owner has; see [`Batch::revoking_owner`].
    pub fn revoking_owner(&mut self) -> &mut Self {
        self.batch.revoking_owner();
        self
    }

    /// Requires that the record is still as it was read.
    pub fn require<R: Record>(&mut self, held: &Held<R>) -> &mut Self {
        self.require_key(held.key(), Expect::Is(held.version))
    }

    /// Requires what was read of a key: a version, or that it was absent.
    pub(super) fn require_key(&mut self, key: Key, expect: Expect) -> &mut Self {
        self.batch.require(key, expect);
        self
    }

    /// True if it puts something where there was nothing, and takes nothing away; see
    /// [`Batch::issues`].
    pub fn issues(&self) -> bool {
        self.batch.issues()
    }

    /// True while there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.batch.steps().is_empty()
    }

    /// The keys that the change puts something under for the first time.
    pub fn inserts(&self) -> impl Iterator<Item = Key> + '_ {
        let first =
            |step: &&Step| step.expect == Expect::Absent && matches!(step.write, Write::Put(_));
        self.batch.steps().iter().filter(first).map(|step| step.key)
    }

    /// The latest that a record of this change may expire, unless it never does.
    pub fn latest(&self) -> Timestamp {
        self.now.saturating_add(self.lifetime_max)
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    fn row<R: Record>(&self, record: &R, expires_at: Timestamp) -> Result<NewRow> {
        let lifetime = expires_at.since(self.now);
        if lifetime > self.lifetime_max && expires_at != Timestamp::NEVER {
            return Err(Error::new(
                ErrorKind::Lifetime,
                format!(
                    "a lifetime of {} s is more than the {} s of this store: shorten it, or open \
                     the store with a longer `lifetime_max`",
                    lifetime.as_secs(),
                    self.lifetime_max.as_secs()
                ),
            ));
        }
        record.check()?;
        let value = codec::encode(R::NAME, record)?;
        Ok(NewRow { value, expires_at, terms: record.terms() })
    }
}
