//! The store over the embedded engine: opening, closing, and what only a store on disk can do.

use super::{Store, check_lifetime_max};
use crate::backend::Health;
use crate::engine::{Embedded, Options, Verified, Verifying};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
#[cfg(doc)]
use crate::keyring::KEYS_MAX;
use crate::keyring::Keyring;
use crate::sync::Arc;
use crate::wait::Wait as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

impl Store<Embedded> {
    /// Opens the store in a directory, or creates one where the directory is missing or empty,
    /// with the defaults of [`Options`]. Blocks until the log is replayed.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(dir)
    }

    /// Choices to be made before a store is opened: keyring, budgets, clock.
    pub fn options() -> Options {
        Options::default()
    }

    /// Carries every row of the log's full segments that is still needed into the table, now.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store takes no work.
    pub async fn checkpoint(&self) -> Result<()> {
        self.inner.backend.checkpoint().await
    }

    /// Copies everything that was committed before the call into a new directory, while the store
    /// goes on: a backup, which [`Options::restored`] opens. The keyring is not part of it.
    ///
    /// # Errors
    /// As [`Embedded::backup`].
    ///
    /// # Durability
    /// The copy is durable when this returns.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        self.inner.backend.backup(to.as_ref()).await
    }

    /// Reads everything that is stored, and holds it against everything that leads to it, while the
    /// store goes on; `progress` is told how far it has come.
    ///
    /// # Errors
    /// As [`Embedded::verify`].
    pub async fn verify(
        &self,
        progress: impl FnMut(Verifying) + Send + 'static,
    ) -> Result<Verified> {
        self.inner.backend.verify(progress).await
    }

    /// How the store is, in one word, and why: for a readiness probe. Each change is told once by a
    /// `WARN` through `tracing`.
    ///
    /// ```
    /// use grantkeep::{Health, Store};
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = Store::open(dir.path().join("tokens"))?;
    /// assert_eq!(store.health(), Health::Open);
    /// store.close()?;
    /// assert_eq!(store.health().word(), "closed");
    /// # Ok::<(), grantkeep::Error>(())
    /// ```
    pub fn health(&self) -> Health {
        self.inner.backend.health()
    }

    /// How far the clock is ahead of the largest time that the store has seen, if that is further
    /// than it believes by itself: then nothing is issued until [`Store::accept_clock`] is called.
    pub fn clock_ahead(&self) -> Option<Duration> {
        self.inner.backend.clock_ahead()
    }

    /// How many rows can be swept at this time: at least so many have expired then.
    pub fn rows_ended_by(&self, time: SystemTime) -> u64 {
        self.inner.backend.rows_ended_by(time)
    }

    /// Closes the store: everything acknowledged is durable, and the next open is a fast one.
    /// Dropping the last clone does the same, without a way to hear of an error. Blocks the calling
    /// thread until the store's own threads have ended.
    ///
    /// # Errors
    /// Whatever the last writes answered. Later operations answer [`ErrorKind::Unavailable`].
    pub fn close(&self) -> Result<()> {
        self.inner.backend.close()
    }

    /// Adds a root key, which issues from now on, and writes the keyring file of the store. Of
    /// several calls at a time each adds one, one after the other.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] if the keyring was given by the caller: rotate it there and reopen.
    /// [`ErrorKind::Limit`] if it has [`KEYS_MAX`] keys: [`retire_key`](Self::retire_key) one
    /// first. [`ErrorKind::Unknown`] if the file was replaced and it is not known whether for good:
    /// the store takes no more work, and the next open shows which it is. [`ErrorKind::Full`],
    /// [`ErrorKind::Io`] if it could not be written, which changes nothing.
    ///
    /// # Durability
    /// The new key is durable when this returns.
    pub async fn rotate_keyring(&self) -> Result<()> {
        // Before the new key is noted: it would be another than the one that the caller makes.
        self.inner.backend.check_keeps_keyring()?;
        let _alone = self.inner.keys_change.write().await;
        let mut keyring = (*self.keyring()).clone();
        let mut id = keyring.next_id();
        // A key that was noted, and then not saved, keeps its id.
        while self.inner.is_noted(id).await? {
            id = id.wrapping_add(1);
        }
        keyring.rotate_to(id)?;
        self.inner.note_keys(&keyring).await?;
        self.put_keyring(keyring)
    }

    /// Removes a root key, and writes the keyring file of the store: nothing that was issued under
    /// the key validates from now on. `docs/operating.md` says what dies with a key.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] if the keyring was given by the caller, if there is no such key, or
    /// if it is the active one: rotate first. Otherwise as
    /// [`rotate_keyring`](Self::rotate_keyring).
    ///
    /// # Durability
    /// The key is gone from the keyring file when this returns.
    pub async fn retire_key(&self, id: u32) -> Result<()> {
        self.inner.backend.check_keeps_keyring()?;
        let _alone = self.inner.keys_change.write().await;
        let mut keyring = (*self.keyring()).clone();
        keyring.retire(id)?;
        self.put_keyring(keyring)
    }

    /// Writes the keyring file, and then goes by it.
    fn put_keyring(&self, keyring: Keyring) -> Result<()> {
        self.inner.backend.save_keyring(&keyring)?;
        *self.inner.keyring.write() = Arc::new(keyring);
        Ok(())
    }
}

impl Options {
    /// Opens the store in a directory, or creates one where the directory is missing or empty.
    /// Blocks until the log is replayed.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] without the directory or its parent, [`ErrorKind::NotAStore`] for a
    /// directory of something else, [`ErrorKind::Locked`] if it is open already and is not closed
    /// within [`Options::lock_patience`], [`ErrorKind::Keyring`] for a missing, damaged or wrong
    /// keyring, [`ErrorKind::Format`] for a store of a newer version, [`ErrorKind::Corrupt`] for
    /// damage, [`ErrorKind::Permission`] and [`ErrorKind::Full`] as the operating system says,
    /// [`ErrorKind::Limit`] and [`ErrorKind::Lifetime`] for options outside their limits, the
    /// former also where the process may not write files as long as the store needs;
    /// [`ErrorKind::ReadOnly`] for a backup that is to be restored and only looked at.
    ///
    /// # Durability
    /// On success all that was acknowledged before is there and durable.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Store<Embedded>> {
        let lifetime_max = self.lifetime_max;
        // Before anything is made.
        check_lifetime_max(lifetime_max)?;
        let restored = self.restored;
        let (backend, keyring) = self.open_backend(dir.as_ref())?;
        let set_back = backend.set_back();
        let store =
            Store::made(backend, keyring, lifetime_max, restored.then_some(set_back)).wait()?;
        if restored {
            if !set_back.is_zero() {
                // The frames in the log say what time it was: without them it is set back for good.
                store.checkpoint().wait()?;
            }
            store.inner.backend.end_restore()?;
        }
        Ok(store)
    }
}
