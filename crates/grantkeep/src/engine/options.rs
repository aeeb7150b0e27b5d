//! Choices made before a store is opened.

use super::place::SEGMENT_BYTES_MAX;
use crate::backend::Swept;
use crate::clock::{Clock, LIFETIME_DEFAULT_MAX, SystemClock};
use crate::disk::{Disk, OsDisk};
use crate::foreign;
use crate::keyring::Keyring;
use crate::sync::Arc;
use std::fmt;
use std::time::Duration;

/// The smallest log budget: 2 MiB.
pub const LOG_BUDGET_BYTES_MIN: u64 = 2 << 20;
/// The log budget unless the store is set otherwise: 1 GiB, which replays in about a second.
pub const LOG_BUDGET_BYTES: u64 = 1 << 30;
/// The row cache's budget unless the store is set otherwise: 256 MiB.
pub const ROW_CACHE_BYTES: usize = 256 << 20;
/// The table's page cache unless the store is set otherwise: 64 MiB.
pub const TABLE_CACHE_BYTES: usize = 64 << 20;
/// The reserve kept for a full disk unless the store is set otherwise: 16 MiB.
pub const RESERVE_BYTES: u64 = 16 << 20;

/// A segment is an eighth of the log's budget, within these.
const SEGMENT_BYTES_MIN: u64 = 256 << 10;
const SEGMENTS_PER_BUDGET: u64 = 8;

/// Where the root keys come from.
#[derive(Debug, Clone, Default)]
pub enum KeySource {
    /// The file `keyring` in the store directory, made with the store.
    #[default]
    File,
    /// An environment variable of this name, in the form of [`Keyring::from_text`].
    Env(String),
    /// Given by the caller.
    Given(Keyring),
}

/// What a store does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upkeep {
    /// It carries, sweeps, and notes its time.
    ByItself,
    /// It does so when it is told; a log out of room is still carried.
    WhenAsked,
    /// It does so when it is told, and keeps the shape that it was found in.
    InPassing,
}

/// What the directory must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Anything,
    /// A backup that was not restored yet.
    Backup,
}

/// Who is told of a sweep.
#[derive(Clone)]
pub(crate) struct OnSwept(Option<Arc<dyn Fn(Swept) + Send + Sync>>);

impl OnSwept {
    pub(crate) fn tell(&self, swept: Swept) {
        if let Some(tell) = &self.0 {
            foreign::call("closure that is told of sweeps", || tell(swept));
        }
    }
}

impl fmt::Debug for OnSwept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnSwept({})", if self.0.is_some() { "told" } else { "nobody" })
    }
}

/// Choices made before a store is opened.
///
/// ```
/// use grantkeep::Store;
/// # let dir = tempfile::tempdir().unwrap();
/// let store = Store::options().log_budget_bytes(64 << 20).open(dir.path().join("tokens"))?;
/// assert!(!store.stats().full); // the disk has room
/// # Ok::<(), grantkeep::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) keys: KeySource,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) create: bool,
    pub(crate) log_budget_bytes: u64,
    pub(crate) row_cache_bytes: usize,
    pub(crate) table_cache_bytes: usize,
    pub(crate) reserve_bytes: u64,
    pub(crate) lifetime_max: Duration,
    upkeep: Upkeep,
    /// The length of a segment found on disk that a store opened in passing goes on with.
    pub(crate) found_segment_bytes: Option<u32>,
    pub(crate) tag_bits: u32,
    pub(crate) on_swept: OnSwept,
    pub(crate) restored: bool,
    pub(crate) read_only: bool,
    pub(crate) holds: Holds,
    pub(crate) lock_patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keys: KeySource::File,
            clock: Arc::new(SystemClock::new()),
            disk: Arc::new(OsDisk),
            create: true,
            log_budget_bytes: LOG_BUDGET_BYTES,
            row_cache_bytes: ROW_CACHE_BYTES,
            table_cache_bytes: TABLE_CACHE_BYTES,
            reserve_bytes: RESERVE_BYTES,
            lifetime_max: LIFETIME_DEFAULT_MAX,
            upkeep: Upkeep::ByItself,
            found_segment_bytes: None,
            tag_bits: 64,
            on_swept: OnSwept(None),
            restored: false,
            read_only: false,
            holds: Holds::Anything,
            lock_patience: Duration::ZERO,
        }
    }
}

impl Options {
    /// Where the root keys come from; the store's own file by default.
    pub fn keys(mut self, keys: KeySource) -> Self {
        self.keys = keys;
        self
    }

    /// The clock to go by; the system's by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The disk to live on; the operating system's by default.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// Whether a missing or empty directory becomes a new store; true by default.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How long the log may grow before its oldest rows are carried into the table, in bytes: at
    /// least [`LOG_BUDGET_BYTES_MIN`], by default [`LOG_BUDGET_BYTES`]. Two segments of up to
    /// 64 MiB come on top. More lets more rows die without ever being carried, and makes an open
    /// after a crash take longer.
    pub fn log_budget_bytes(mut self, bytes: u64) -> Self {
        self.log_budget_bytes = bytes;
        self
    }

    /// How much memory the rows kept for reading may take, in bytes; [`ROW_CACHE_BYTES`] by
    /// default.
    pub fn row_cache_bytes(mut self, bytes: usize) -> Self {
        self.row_cache_bytes = bytes;
        self
    }

    /// How much memory the table's page cache may take, in bytes; [`TABLE_CACHE_BYTES`] by
    /// default.
    pub fn table_cache_bytes(mut self, bytes: usize) -> Self {
        self.table_cache_bytes = bytes;
        self
    }

    /// How much disk is kept back for revoking and sweeping on a full disk, in bytes;
    /// [`RESERVE_BYTES`] by default.
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// The longest lifetime of any row that expires; [`LIFETIME_DEFAULT_MAX`] by default. The row
    /// that revokes what a client has on behalf of a subject stays for the longest that the store
    /// was ever opened with, and up to a sixteenth more.
    pub fn lifetime_max(mut self, lifetime: Duration) -> Self {
        self.lifetime_max = lifetime;
        self
    }

    /// Says that the directory was restored from a backup: everything that was issued before is
    /// refused from now on, since it may have been revoked or spent after the copy was made.
    /// Codes, tokens, and families of the copy are as if revoked, and its clients are disabled. Say
    /// it once, when a copy takes the store's place, and also of a copy that was made by other
    /// means than [`Store::backup`](crate::Store::backup); false by default. It does so with each
    /// open and to any store: see [`Options::backup_only`].
    ///
    /// All of it is read first, as [verifying](crate::Store::verify) does, and damage is refused
    /// with [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) before anything is changed.
    pub fn restored(mut self, restored: bool) -> Self {
        self.restored = restored;
        self
    }

    /// Whether a directory is refused that holds no backup, or one that was restored already; false
    /// by default. With [`Options::restored`], so that it is done once and to nothing else: a live
    /// store that is said to be restored refuses all that it has issued.
    pub fn backup_only(mut self, backup_only: bool) -> Self {
        self.holds = if backup_only { Holds::Backup } else { Holds::Anything };
        self
    }

    /// Whether the store is opened for reading only; false by default. Nothing in its directory is
    /// written then, made, or removed, and nothing is swept. What an open would repair is repaired
    /// in memory, as far as it is read. So it works on read-only media, on a backup that was not
    /// restored, and on a store that crashed; look-ups, listings, scans, statistics, and
    /// [verifying](crate::Store::verify) answer as they do otherwise. What would change the store
    /// is refused with [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly).
    ///
    /// It is refused with [`ErrorKind::Locked`](crate::ErrorKind::Locked) while somebody has the
    /// store open to write, and so is who wants to write while somebody looks; any number may look
    /// at a time. Damage that an open refuses is refused with
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt).
    ///
    /// Nobody shall be let in by what it says of a backup: a token may have been revoked since.
    /// Of a clock that was accepted nothing is noted.
    ///
    /// ```
    /// use grantkeep::{ErrorKind, Health, Store, Wait as _};
    /// # let place = tempfile::tempdir().unwrap();
    /// # let dir = place.path().join("tokens");
    /// # Store::open(&dir)?.close()?;
    /// let look = Store::options().read_only(true).open(&dir)?;
    /// assert_eq!(look.health(), Health::ReadOnly);
    /// assert_eq!(look.verify(|_| {}).wait()?.damages, 0);
    /// assert_eq!(look.checkpoint().wait().unwrap_err().kind(), ErrorKind::ReadOnly);
    /// # Ok::<(), grantkeep::Error>(())
    /// ```
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// How long an open waits for a store that is open elsewhere to be closed, in another process
    /// or in this one; by default it does not wait. For rolling deploys, where the next process
    /// starts while the one before it still stops. It looks 20 times a second, and ends with
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked).
    pub fn lock_patience(mut self, patience: Duration) -> Self {
        self.lock_patience = patience;
        self
    }

    /// What is called after each sweep that removed something, also those the store does by itself;
    /// nothing by default. It is called on the store's own thread: it must not block, and if it
    /// panics that is told through `tracing` and goes no further.
    pub fn on_swept(mut self, tell: impl Fn(Swept) + Send + Sync + 'static) -> Self {
        self.on_swept = OnSwept(Some(Arc::new(tell)));
        self
    }

    /// Whether the store sweeps and carries by itself; true by default. Without, a test decides
    /// when; a log out of room is still carried.
    #[doc(hidden)]
    pub fn by_itself(mut self, by_itself: bool) -> Self {
        self.upkeep = if by_itself { Upkeep::ByItself } else { Upkeep::WhenAsked };
        self
    }

    /// Says that a store which a server owns otherwise is opened for a moment, by a command: it is
    /// left in the shape it was found in, whatever options that server has. Its reserve stays as it
    /// is, segments are made only where a commit needs one and as long as the longest there is, and
    /// nothing is carried or swept that was not asked for. False by default.
    pub fn in_passing(mut self, in_passing: bool) -> Self {
        self.upkeep = if in_passing { Upkeep::InPassing } else { Upkeep::ByItself };
        self
    }

    /// True if the store does its upkeep unasked.
    pub(crate) fn is_by_itself(&self) -> bool {
        self.upkeep == Upkeep::ByItself
    }

    /// True if the store keeps the shape it was found in.
    pub(crate) fn is_in_passing(&self) -> bool {
        self.upkeep == Upkeep::InPassing
    }

    /// How many bits of a tag are used: few provoke tags that meet, for tests.
    #[doc(hidden)]
    pub fn tag_bits(mut self, bits: u32) -> Self {
        self.tag_bits = bits;
        self
    }

    /// The length of a full segment.
    pub(crate) fn segment_bytes(&self) -> u32 {
        if let Some(found) = self.found_segment_bytes {
            return found;
        }
        let eighth = (self.log_budget_bytes / SEGMENTS_PER_BUDGET).next_power_of_two();
        let bytes = eighth.clamp(SEGMENT_BYTES_MIN, u64::from(SEGMENT_BYTES_MAX));
        u32::try_from(bytes).unwrap_or(SEGMENT_BYTES_MAX)
    }
}
