//! Typed records over any backend: codes, device authorization requests, tokens, families, clients,
//! burnt values, and epochs. It knows what is stored of a grant, and no wire format.

mod bytes;
mod change;
mod client;
mod code;
mod codec;
mod confirmation;
mod device;
mod embedded;
mod epoch;
mod family;
mod fence;
mod hex;
mod horizon;
mod imported;
mod last_use;
mod list;
mod once;
mod origin;
mod owner;
mod pair_families;
mod record;
mod refresh_text;
mod repeat;
mod seal;
mod token;
mod wall;

pub use change::Change;
pub use client::{
    CLIENT_SECRETS_MAX, Client, ClientSecret, ClientState, FOREIGN_HASH_BYTES_MAX,
    REDIRECT_URIS_MAX, SecretDigest,
};
pub use code::{Challenge, Code, CodeState, Purpose};
pub use confirmation::Confirmation;
pub use device::{Device, DeviceState, UserCode};
pub use epoch::{Epoch, EpochNumber, Epochs, HeldEpoch, StandingEpochs};
pub use family::{
    FAMILY_ID_BYTES, Family, FamilyId, FamilyStanding, FamilyState, RevocationReason,
};
pub use fence::Fence;
pub use imported::{Importing, TokenSha256};
pub use last_use::LastUse;
pub use list::{Cursor, Listing};
pub use once::Burned;
pub use origin::Origin;
pub use owner::{Owner, Owners, SessionId};
pub use pair_families::{PAIR_FAMILIES_MAX, PairFamilies};
pub use record::{Held, ROOM_BYTES, Record, TEXT_BYTES_MAX};
pub use refresh_text::{RefreshText, Successor};
pub use repeat::Repeat;
pub use seal::{PAYLOAD_BYTES_MAX, Payload};
pub use token::{Personal, Token, TokenKind};

use crate::backend::{Backend, Budget, Expect, Key, NewRow, Outcome, Stats, Swept, Terms};
use crate::clock::{Clock, LIFETIME_DEFAULT_MAX, LIFETIME_MAX, Timestamp};
use crate::digest::Digest;
use crate::engine::Embedded;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{Keyring, RootKey};
use crate::memory::Memory;
use crate::sync::{Arc, AtomicU64, Ordering, RwLock};
use crate::wait::Wait as _;
use std::fmt;
use std::time::Duration;

/// The shortest token that is looked up, in bytes: less is guessable.
pub const TOKEN_BYTES_MIN: usize = 16;

/// The longest token that is looked up, in bytes: more is refused, never cut.
pub const TOKEN_BYTES_MAX: usize = 8_192;

/// A store of typed records. Clones share one store.
pub struct Store<B = Embedded> {
    inner: Arc<Inner<B>>,
}

impl<B: fmt::Debug> fmt::Debug for Store<B> {
    /// Of a size that does not depend on what is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.inner.backend)
            .field("fence", &self.inner.fence)
            .finish_non_exhaustive()
    }
}

struct Inner<B> {
    backend: B,
    keyring: RwLock<Arc<Keyring>>,
    /// Written while the keys are changed, one change at a time. Read by a commit that has made
    /// sure that a text is new under all of them: a key that comes meanwhile would be none of
    /// those.
    keys_change: async_lock::RwLock<()>,
    lifetime_max: Duration,
    fence: Option<Fence>,
    /// The horizon as far as it is known, milliseconds: see `horizon.rs`. It only ever grows;
    /// written by anybody who has read or raised it.
    horizon_ms: AtomicU64,
    /// What is noted of imports: see `imported.rs`. Written by whoever has read or raised it.
    imports: RwLock<Arc<imported::Imports>>,
    /// The end of all of it, milliseconds, for a look-up to compare without the lock. It only
    /// grows.
    imported_until_ms: AtomicU64,
}

impl<B> Clone for Store<B> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl Store<Memory> {
    /// An empty store in memory, for tests, under a random keyring.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system's random generator fails.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self> {
        Self::new(Memory::with_clock(clock), Keyring::generate()?, LIFETIME_DEFAULT_MAX).wait()
    }
}

impl<B: Backend> Store<B> {
    /// A store over `backend`, whose rows live at most `lifetime_max`.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] if the backend was used with other keys before,
    /// [`ErrorKind::Lifetime`] for a `lifetime_max` over [`LIFETIME_MAX`].
    pub async fn new(backend: B, keyring: Keyring, lifetime_max: Duration) -> Result<Self> {
        Self::made(backend, keyring, lifetime_max, None).await
    }

    /// A store over a backend. If that was restored from a backup, `restored` says how far its time
    /// was set back: nothing that was issued before is admitted.
    async fn made(
        backend: B,
        keyring: Keyring,
        lifetime_max: Duration,
        restored: Option<Duration>,
    ) -> Result<Self> {
        check_lifetime_max(lifetime_max)?;
        let mut inner = Inner {
            backend,
            keyring: RwLock::new(Arc::new(keyring.clone())),
            keys_change: async_lock::RwLock::new(()),
            lifetime_max,
            fence: None,
            horizon_ms: AtomicU64::new(0),
            imports: RwLock::new(Arc::default()),
            imported_until_ms: AtomicU64::new(0),
        };
        inner.note_keys(&keyring).await?;
        if let Some(set_back) = restored {
            fence::set(&inner.backend, lifetime_max, set_back).await?;
        }
        inner.fence = fence::read(&inner.backend).await?;
        let horizon = horizon::read(&inner.backend).await?;
        inner.horizon_ms.store(horizon.as_millis(), Ordering::Release);
        inner.take_imports(imported::read(&inner.backend).await?);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The engine below.
    pub fn backend(&self) -> &B {
        &self.inner.backend
    }

    /// The keys in use.
    pub fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.inner.keyring.read())
    }

    /// The time by which validity is judged: the store's own, not that of the wall clock
    /// ([`Store::wall`]).
    pub fn now(&self) -> Timestamp {
        self.inner.backend.now()
    }

    /// The longest lifetime a row of this store may have.
    pub fn lifetime_max(&self) -> Duration {
        self.inner.lifetime_max
    }

    /// The fence, if the store was restored from a backup: nothing that was issued before
    /// [`Fence::at`] is admitted.
    pub fn fence(&self) -> Option<Fence> {
        self.inner.fence
    }

    /// Believes the clock as it is now, after [`ErrorKind::Clock`].
    pub fn accept_clock(&self) {
        self.inner.backend.accept_clock();
    }

    /// The look-up id of a token that is issued now. For a text that is not made of at least 128
    /// random bits, use [`Change::insert_text`]: this id does not tell whether the text was issued
    /// under an earlier root key.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] outside [`TOKEN_BYTES_MIN`] and [`TOKEN_BYTES_MAX`].
    pub fn id(&self, token: &[u8]) -> Result<Digest> {
        check_token(token)?;
        let keyring = self.keyring();
        let key = keyring.active().ok_or_else(no_key)?;
        Ok(key.lookup(token))
    }

    /// The record of a presented token, under whichever root key it was issued. Expired records
    /// are answered until they are swept: validity is the caller's to judge.
    ///
    /// A record that is not in memory is read on the calling thread, which blocks for that long, an
    /// executor's thread as well: `docs/start.md` shows a way around that.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a token no store can hold; otherwise as [`Backend::get`].
    pub async fn find<R: Record>(&self, token: &[u8]) -> Result<Option<Held<R>>> {
        for id in self.ids(token)? {
            if let Some(held) = self.get(id).await? {
                return Ok(Some(held));
            }
        }
        self.find_imported(token).await
    }

    /// The ids under which a presented token may be filed: one for each root key, the newest first,
    /// each digested when it is asked for. For who looks for several types of record.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a token no store can hold.
    pub fn ids<'a>(&self, token: &'a [u8]) -> Result<impl Iterator<Item = Digest> + Send + 'a> {
        check_token(token)?;
        let keyring = self.keyring();
        let mut tried = 0;
        Ok(std::iter::from_fn(move || {
            let id = keyring.newest_first().nth(tried).map(|key| key.lookup(token));
            tried += 1;
            id
        }))
    }

    /// The record with this id, expired or not. Blocks the calling thread while it reads, as
    /// [`Store::find`] does.
    ///
    /// # Errors
    /// As [`Backend::get`]; [`ErrorKind::Format`] for a record of another version.
    pub async fn get<R: Record>(&self, id: Digest) -> Result<Option<Held<R>>> {
        let row = self.inner.backend.get(Key::new(R::KIND, id)).await?;
        row.map(|row| Held::read(&row)).transpose()
    }

    /// An empty change, to be filled and committed.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system's random generator fails.
    pub fn change(&self) -> Result<Change> {
        Ok(Change::new(self.now(), self.lifetime_max())?.under(self.keyring()))
    }

    /// Makes all of `change` happen, or nothing of it.
    ///
    /// A conflict may also say that something it puts would outlive the epoch of a pair which is
    /// begun meanwhile: read the epochs again, as after every conflict.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// `Applied` is durable to the backend's full promise.
    pub async fn commit(&self, change: Change) -> Result<Outcome> {
        if self.inner.cover(&change).await? {
            return Ok(Outcome::Conflict(horizon::key()));
        }
        let Some(keyring) = change.keyring_looked_at() else {
            return self.inner.backend.commit(change.into_batch()).await;
        };
        let _unchanged = self.inner.keys_change.read().await;
        if !Arc::ptr_eq(keyring, &self.keyring()) {
            let active = keyring.active().map_or(0, RootKey::id);
            return Ok(Outcome::Conflict(key_check(active)));
        }
        self.inner.backend.commit(change.into_batch()).await
    }

    /// Removes what has died; see [`Backend::sweep`]. The embedded engine does so by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store takes no work.
    pub async fn sweep(&self, budget: Budget) -> Result<Swept> {
        self.inner.backend.sweep(budget).await
    }

    /// What the engine holds and does.
    pub fn stats(&self) -> Stats {
        self.inner.backend.stats()
    }
}

impl<B: Backend> Inner<B> {
    /// True if a root key of this id was used with the backend, whichever bytes it has.
    async fn is_noted(&self, id: u32) -> Result<bool> {
        Ok(self.backend.get(key_check(id)).await?.is_some())
    }

    /// Compares the keyring with the keys this backend was used with, and notes new ones.
    async fn note_keys(&self, keyring: &Keyring) -> Result<()> {
        let backend = &self.backend;
        let mut known = false;
        let mut strangers = Vec::new();
        for key in keyring.newest_first() {
            let at = key_check(key.id());
            match backend.get(at).await? {
                None => strangers.push((at, *key.check())),
                Some(row) if row.value() == key.check() => known = true,
                Some(_) => return Err(wrong_keyring()),
            }
        }
        let marker = Key::new(record::KEY_CHECK, Digest::of_name("keyring", &[]));
        let used = backend.get(marker).await?.is_some();
        if used && !known {
            return Err(wrong_keyring());
        }
        if strangers.is_empty() && used {
            return Ok(());
        }
        let mut batch = crate::backend::Batch::new()?;
        let expires_at = Timestamp::NEVER;
        let row = |value: Vec<u8>| NewRow { value, expires_at, terms: Terms::NONE };
        for (at, check) in strangers {
            batch.insert(at, row(check.to_vec()));
        }
        if !used {
            batch.insert(marker, row(Vec::new()));
            batch.insert(horizon::key(), horizon::first(backend.now(), self.lifetime_max)?);
        }
        batch.housekeeping();
        match backend.commit(batch).await {
            // Whoever only looks has nothing to note.
            Err(error) if error.kind() == ErrorKind::ReadOnly => Ok(()),
            Err(error) => Err(error),
            Ok(Outcome::Applied) => Ok(()),
            Ok(Outcome::Conflict(_)) => Err(Error::new(
                ErrorKind::Unavailable,
                "another process noted its keyring at the same time: open the store again",
            )),
        }
    }
}

/// Where the check of a root key is kept.
fn key_check(id: u32) -> Key {
    Key::new(record::KEY_CHECK, Digest::of_name("key", &id.to_le_bytes()))
}

/// Refuses a longest lifetime that no store can have.
pub(crate) fn check_lifetime_max(lifetime_max: Duration) -> Result<()> {
    if !(Duration::from_secs(1)..=LIFETIME_MAX).contains(&lifetime_max) {
        return Err(Error::new(
            ErrorKind::Lifetime,
            format!(
                "a longest lifetime of {} s is not within 1 s and {} s",
                lifetime_max.as_secs_f64(),
                LIFETIME_MAX.as_secs()
            ),
        ));
    }
    Ok(())
}

/// Refuses a token that no store can hold.
pub(crate) fn check_token(token: &[u8]) -> Result<()> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("token is {} bytes, more than the {TOKEN_BYTES_MAX}-byte limit", token.len()),
        ));
    }
    if token.len() < TOKEN_BYTES_MIN {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("token is {} bytes, less than the {TOKEN_BYTES_MIN} required", token.len()),
        ));
    }
    Ok(())
}

fn no_key() -> Error {
    Error::new(ErrorKind::Keyring, "the keyring is empty")
}

fn wrong_keyring() -> Error {
    Error::new(
        ErrorKind::Keyring,
        "the keyring does not belong to this store: open it with the keys it was created with",
    )
}

/// The expectation that stands for what was read of a key.
pub(crate) fn as_read<R>(held: Option<&Held<R>>) -> Expect {
    held.map_or(Expect::Absent, |held| Expect::Is(held.version))
}
