//! Changes: what is to happen to several records together.

use super::record::{Held, Record, put_bytes_max};
use super::{check_token, codec, horizon, no_key};
use crate::backend::{Batch, Expect, Key, NewRow, VALUE_BYTES_MAX};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{Keyring, RootKey};
use crate::sync::Arc;
use std::fmt;
use std::time::Duration;

/// Conditional writes of several records that happen together or not at all.
pub struct Change {
    batch: Batch,
    now: Timestamp,
    lifetime_max: Duration,
    /// The keys that texts are issued under; `None` for changes that issue none.
    keyring: Option<Arc<Keyring>>,
    /// The keys that a text is filed under, or might have been under an earlier root key.
    texts: Vec<Key>,
    /// The latest expiry of a record in it that rests on a pair.
    ends_at: Timestamp,
    /// The horizon as it was before the epochs of a pair were read that the change depends on.
    horizon: Option<Timestamp>,
    /// How it depends on the horizon's row, which may stand in a batch once.
    requires_horizon: Option<Expect>,
    /// True if it was made from two looks at the horizon that differ: it is a conflict.
    is_stale: bool,
}

impl fmt::Debug for Change {
    /// Without the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("batch", &self.batch)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Change {
    pub(super) fn new(now: Timestamp, lifetime_max: Duration) -> Result<Self> {
        Ok(Self {
            batch: Batch::new()?,
            now,
            lifetime_max,
            keyring: None,
            texts: Vec::new(),
            ends_at: Timestamp::default(),
            horizon: None,
            requires_horizon: None,
            is_stale: false,
        })
    }

    /// This change, under the keys of a store.
    pub(super) fn under(self, keyring: Arc<Keyring>) -> Self {
        Self { keyring: Some(keyring), ..self }
    }

    /// The root key that texts are issued under by this change.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] for a change of no store.
    pub fn root_key(&self) -> Result<&RootKey> {
        self.keyring.as_ref().and_then(|keyring| keyring.active()).ok_or_else(no_key)
    }

    /// The latest expiry of a record in it that rests on a pair; the beginning of time if none
    /// does.
    pub(super) fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// True if what it depends on must be read again: something in it that rests on a pair ends
    /// behind the horizon under which the pair's epoch was read, or two looks at that differ.
    pub(super) fn is_outdated(&self) -> bool {
        self.is_stale || self.horizon.is_some_and(|read| self.ends_at > read)
    }

    /// Notes that it depends on epochs which were read once the horizon was there.
    pub(super) fn rest_within(&mut self, horizon: Timestamp) {
        self.horizon = Some(self.horizon.map_or(horizon, |before| before.min(horizon)));
    }

    /// Makes it depend on the horizon's row.
    pub(super) fn require_horizon(&mut self, expect: Expect) {
        if let Some(before) = self.requires_horizon {
            self.is_stale |= before != expect;
        } else {
            self.requires_horizon = Some(expect);
            self.batch.require(horizon::key(), expect);
        }
    }

    /// Takes another change along: both happen, or neither. It is a conflict if the two were made
    /// from looks at one record that differ, or write one record both.
    pub fn join(&mut self, other: Self) -> &mut Self {
        let same_keys = match (&self.keyring, &other.keyring) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        let agree = self.batch.join(other.batch);
        self.is_stale |= other.is_stale || !agree || !same_keys;
        self.texts.extend(other.texts);
        self.ends_at = self.ends_at.max(other.ends_at);
        self.requires_horizon = self.requires_horizon.or(other.requires_horizon);
        if let Some(horizon) = other.horizon {
            self.rest_within(horizon);
        }
        self
    }

    /// The time by which it judges lifetimes.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Puts a record under an id that has none.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`] if `expires_at` is not after now, or is further off than the
    /// store's longest lifetime and not [`Timestamp::NEVER`], or is that where the record
    /// [must expire](Record::RESTS_ON_PAIR); [`ErrorKind::Limit`] for a field over its limit, or a
    /// record that leaves no [room](Record::ROOM_BYTES) to grow.
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
        let row = self.row(record, expires_at, put_bytes_max::<R>())?;
        self.batch.insert(Key::new(R::KIND, id), row);
        Ok(self)
    }

    /// Puts a record under the look-up id of a text that somebody else has made, or that is so
    /// short that it may come twice; answers the id. The change is not applied if a record of this
    /// type was put for the text before, under any root key of the store: see [`Change::texts`].
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a text that no store can hold; otherwise as [`Change::insert`].
    pub fn insert_text<R: Record>(
        &mut self,
        text: &[u8],
        record: &R,
        expires_at: Timestamp,
    ) -> Result<Digest> {
        check_token(text)?;
        let keyring = Arc::clone(self.keyring.as_ref().ok_or_else(no_key)?);
        let mut ids = keyring.newest_first().map(|key| key.lookup(text));
        let id = ids.next().ok_or_else(no_key)?;
        self.insert(id, record, expires_at)?;
        self.texts.push(Key::new(R::KIND, id));
        for earlier in ids {
            let key = Key::new(R::KIND, earlier);
            self.require_key(key, Expect::Absent);
            self.texts.push(key);
        }
        Ok(id)
    }

    /// The keys that texts are filed under by this change, and those that they would be filed under
    /// if they had been issued under an earlier root key: a conflict over one of them means that a
    /// text was issued before.
    pub fn texts(&self) -> &[Key] {
        &self.texts
    }

    /// The root keys that [`Change::insert_text`] has looked at; `None` if there was no text.
    pub(super) fn keyring_looked_at(&self) -> Option<&Arc<Keyring>> {
        self.keyring.as_ref().filter(|_| !self.texts.is_empty())
    }

    /// Puts a record in place of the one that was read: as it becomes by itself, or with less.
    ///
    /// # Errors
    /// As [`Change::insert`]; an expiry in the past is accepted, and so is a record without room.
    pub fn replace<R: Record>(
        &mut self,
        held: &Held<R>,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<&mut Self> {
        let row = self.row(record, expires_at, VALUE_BYTES_MAX)?;
        self.batch.replace(held.key(), held.version, row);
        Ok(self)
    }

    /// Puts a record with other texts or another payload in place of the one that was read.
    ///
    /// # Errors
    /// As [`Change::insert`]; an expiry in the past is accepted, and so is a record without room
    /// that is no longer than the one that was read.
    pub fn edit<R: Record>(
        &mut self,
        held: &Held<R>,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<&mut Self> {
        let row = self.row(record, expires_at, held.edit_bytes_max())?;
        self.batch.replace(held.key(), held.version, row);
        Ok(self)
    }

    /// Puts a record beside another one: under the id of that one, in place of `old` if there is
    /// one, and to expire with it, also where the store's longest lifetime was shortened since.
    /// Requires that the other one is still as it was read.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a field over its limit.
    pub fn put_beside<S: Record, R: Record>(
        &mut self,
        other: &Held<S>,
        old: Option<&Held<R>>,
        record: &R,
    ) -> Result<&mut Self> {
        let row = encoded(record, other.expires_at, put_bytes_max::<R>())?;
        match old {
            Some(old) => self.batch.replace(old.key(), old.version, row),
            None => self.batch.insert(Key::new(R::KIND, other.id), row),
        };
        Ok(self.require(other))
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

    /// Has `told` called once the change is applied; see [`Batch::on_applied`].
    pub fn on_applied(&mut self, told: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.batch.on_applied(told);
        self
    }

    /// Says that the change is the store's own; see [`Batch::housekeeping`].
    pub(super) fn housekeeping(&mut self) -> &mut Self {
        self.batch.housekeeping();
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

    /// The latest that a record of this change may expire, unless it never does.
    pub fn latest(&self) -> Timestamp {
        self.now.saturating_add(self.lifetime_max)
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    /// Puts a record, in place of the one that was read if any, up to a time that may be further
    /// off than the longest lifetime: an earlier open may have allowed more.
    pub(super) fn put_row<R: Record>(
        &mut self,
        id: Digest,
        held: Option<&Held<R>>,
        record: &R,
        expires_at: Timestamp,
    ) -> Result<&mut Self> {
        let row = encoded(record, expires_at, VALUE_BYTES_MAX)?;
        match held {
            Some(held) => self.batch.replace(held.key(), held.version, row),
            None => self.batch.insert(Key::new(R::KIND, id), row),
        };
        Ok(self)
    }

    fn row<R: Record>(
        &mut self,
        record: &R,
        expires_at: Timestamp,
        bytes_max: usize,
    ) -> Result<NewRow> {
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
        if R::RESTS_ON_PAIR {
            if expires_at == Timestamp::NEVER {
                return Err(Error::new(
                    ErrorKind::Lifetime,
                    format!("a {} that never expires could not be revoked: end it", R::NAME),
                ));
            }
            self.ends_at = self.ends_at.max(expires_at);
        }
        encoded(record, expires_at, bytes_max)
    }
}

fn encoded<R: Record>(record: &R, expires_at: Timestamp, bytes_max: usize) -> Result<NewRow> {
    record.check()?;
    let value = codec::encode_within(R::NAME, R::FORMAT, record, bytes_max)?;
    Ok(NewRow { value, expires_at, terms: record.terms() })
}
