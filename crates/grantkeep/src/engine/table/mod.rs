//! The table: what outlives the log, in redb.

mod ahead;
pub(crate) mod block;
pub(crate) mod file;
pub(crate) mod filing;
mod header;
mod meta;
mod overlay;
pub(crate) mod tags;

use super::place::Where;
use super::window::Window;
use crate::backend::{Key, Row, Term};
use crate::disk::DiskFile;
use crate::engine::backup::ADVICE;
use crate::engine::space::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, RwLock};
use file::TableFile;
use header::Suspicion;
pub(crate) use meta::{Meta, set_carried, set_high_water};
use overlay::Overlay;
use redb::{
    Database, ReadOnlyTable, ReadableDatabase as _, TableDefinition, Value, WriteTransaction,
};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The table's file in a store directory.
pub(crate) const TABLE_FILE: &str = "table.redb";

/// A block's key: its window, then its number.
pub(crate) type BlockKey = [u8; Window::BYTES + 5];
/// A death's key: a window, then the key of a row that is filed by id.
pub(crate) type DeathKey = [u8; Window::BYTES + Key::BYTES];
/// A term's key: the window its row is filed under and the batch it was added with, then the term
/// and the row's key.
pub(crate) type TermKey = [u8; Window::BYTES + 8 + 16 + Key::BYTES];

/// Blocks of rows: write-once ones, and revised ones the first time that they are carried.
pub(crate) const BLOCKS: TableDefinition<BlockKey, &[u8]> = TableDefinition::new("blocks");
/// For each block the tag and the kind of each row, nine bytes each, then their check: what an
/// open reads.
pub(crate) const TAGS: TableDefinition<BlockKey, &[u8]> = TableDefinition::new("tags");
/// Revised rows by key: the window they are filed under in `deaths`, then the record.
pub(crate) const ROWS: TableDefinition<[u8; Key::BYTES], &[u8]> = TableDefinition::new("rows");
/// The revised rows by the window in which they die, or died before they were extended.
/// The value is the key's check: an entry that is damaged would hide its row.
pub(crate) const DEATHS: TableDefinition<DeathKey, u64> = TableDefinition::new("deaths");
/// The revised rows by window and index term.
pub(crate) const TERMS: TableDefinition<TermKey, ()> = TableDefinition::new("terms");

/// The cache for a look at a few pages.
const PEEK_CACHE_BYTES: usize = 1 << 20;

/// The redb database and the view that readers share.
pub(crate) struct Table {
    /// `None` once the store is closed.
    open: RwLock<Option<Opened>>,
    bytes: Arc<dyn DiskFile>,
}

struct Opened {
    database: Database,
    view: Arc<View>,
}

/// Reads what the table knows of the store, and changes nothing of the file: not even what redb
/// would repair. Whether a file that is too short has lost something is found out as well.
///
/// # Errors
/// As [`Table::open`].
pub(crate) fn peek(file: &Arc<dyn DiskFile>) -> Result<Meta> {
    let suspicion = header::check(&**file)?;
    let reading = |cause| Error::file("read", TABLE_FILE, cause);
    let length = file.len().map_err(reading)?;
    let overlay = Overlay::over(Arc::clone(file)).map_err(reading)?;
    let peeked = guarded(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(PEEK_CACHE_BYTES);
        // With it redb reads all that is needed with each check, and goes by nothing that it noted.
        builder.set_check_integrity_on_open(suspicion == Suspicion::Cut);
        meta::read(&builder.create_with_backend(overlay).map_err(failed)?)
    });
    match peeked {
        Err(cause) if suspicion == Suspicion::Cut && cause.kind() == ErrorKind::Corrupt => {
            Err(header::cut(length, length + 1).with_source(cause))
        }
        other => other,
    }
}

/// One read transaction, shared by all readers until the next checkpoint.
pub(crate) struct View {
    blocks: ReadOnlyTable<BlockKey, &'static [u8]>,
    rows: ReadOnlyTable<[u8; Key::BYTES], &'static [u8]>,
    terms: ReadOnlyTable<TermKey, ()>,
}

impl Table {
    /// Opens the table, or makes a new one in an empty file for the store of this id.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where redb does not recognize its file, [`ErrorKind::Format`] for a
    /// store of a newer format, or a file of another version of redb; as the operating system
    /// answers where it fails to read or write.
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        space: Arc<Space>,
        cache_bytes: usize,
        new_store: Option<[u8; 16]>,
    ) -> Result<(Self, Meta)> {
        let bytes = Arc::clone(&file);
        let backend = TableFile::new(file, space);
        let database = guarded(|| {
            let mut builder = Database::builder();
            let opened = builder.set_cache_size(cache_bytes).create_with_backend(backend);
            opened.map_err(failed)
        })?;
        let (meta, view) = guarded(|| {
            if let Some(store) = new_store {
                meta::create(&database, store)?;
            }
            Ok((meta::read(&database)?, Arc::new(View::new(&database)?)))
        })?;
        Ok((Self { open: RwLock::new(Some(Opened { database, view })), bytes }, meta))
    }

    /// The view that readers share at present.
    pub(crate) fn view(&self) -> Result<Arc<View>> {
        self.open.read().as_ref().map(|open| Arc::clone(&open.view)).ok_or_else(closed)
    }

    /// Runs `change` in one transaction, two-phase and with quick repair, and lets readers see it.
    /// Only one thread writes.
    ///
    /// # Durability
    /// On success the change is durable.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
    ) -> Result<T> {
        guarded(|| {
            let begun = self.open.read().as_ref().map(|open| open.database.begin_write());
            let mut transaction = begun.ok_or_else(closed)?.map_err(failed)?;
            transaction.set_two_phase_commit(true);
            transaction.set_quick_repair(true);
            let done = change(&transaction)?;
            meta::seal(&transaction)?;
            transaction.commit().map_err(failed)?;
            let mut open = self.open.write();
            let open = open.as_mut().ok_or_else(closed)?;
            open.view = Arc::new(View::new(&open.database)?);
            Ok(done)
        })
    }

    /// Reads with a transaction of its own.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T>,
    ) -> Result<T> {
        guarded(|| {
            let begun = self.open.read().as_ref().map(|open| open.database.begin_read());
            read(&begun.ok_or_else(closed)?.map_err(failed)?)
        })
    }

    /// The keys of all revised rows that are filed under `window`.
    pub(crate) fn filed_in(&self, window: Window) -> Result<Vec<Key>> {
        self.read(|transaction| {
            let deaths = transaction.open_table(DEATHS).map_err(failed)?;
            let range = death_key(window, &Key::MIN)..=death_key(window, &Key::MAX);
            let keys = deaths.range(range).map_err(failed)?.map(|entry| {
                let (death, _) = entry.map_err(failed)?;
                key_of(&death.value())
                    .ok_or_else(|| Error::corrupt(format!("a death in {TABLE_FILE} is damaged")))
            });
            keys.collect()
        })
    }

    /// The table's file.
    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.bytes
    }

    /// The length of the table's file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len().unwrap_or(0)
    }

    /// Closes redb, so that another process may open the file.
    ///
    /// # Errors
    /// As the operating system answers the last writes: they may be cached and not on the device.
    pub(crate) fn close(&self) -> Result<()> {
        guarded(|| {
            let Some(Opened { database, view }) = self.open.write().take() else { return Ok(()) };
            drop(view);
            database.close().map_err(failed)
        })
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl View {
    fn new(database: &Database) -> Result<Self> {
        let transaction = database.begin_read().map_err(failed)?;
        Ok(Self {
            blocks: transaction.open_table(BLOCKS).map_err(failed)?,
            rows: transaction.open_table(ROWS).map_err(failed)?,
            terms: transaction.open_table(TERMS).map_err(failed)?,
        })
    }

    /// The row at a place in the table, if it is there; its check is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub(crate) fn row(&self, key: &Key, window: Window, at: Where) -> Result<Option<Row>> {
        match at {
            Where::Log { .. } => Ok(None),
            Where::ById => Ok(self.filed(key)?.map(|filed| filed.row)),
            Where::Block { block, row } => guarded(|| {
                let Some(value) = self.blocks.get(&block_key(window, block)).map_err(failed)?
                else {
                    return Ok(None);
                };
                let found = block::row(value.value(), row);
                found.map(Some).ok_or_else(|| {
                    Error::corrupt(format!("row {row} of block {block} in {TABLE_FILE} is damaged"))
                })
            }),
        }
    }

    /// A revised row and the window it is filed under.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub(crate) fn filed(&self, key: &Key) -> Result<Option<Filed>> {
        guarded(|| {
            let value = self.rows.get(&key.to_bytes()).map_err(failed)?;
            value.map(|value| read_filed(key, value.value())).transpose()
        })
    }

    /// The windows that the terms of rows lie under.
    pub(crate) fn windows_with_terms(&self) -> Result<Vec<Window>> {
        guarded(|| {
            let windows = firsts_of_windows(&self.terms)?
                .into_iter()
                .map(|first| front_of(&first).map(|(window, _)| window).ok_or_else(tags::damaged));
            windows.collect()
        })
    }

    /// Up to `limit` keys that carry `term`, after `after`, in order and each once.
    pub(crate) fn keys(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Vec<Key>> {
        let damaged = || Error::corrupt(format!("a term in {TABLE_FILE} is damaged"));
        guarded(|| {
            let mut keys = Vec::new();
            let mut passed = Bound::Unbounded;
            // From batch to batch: each checkpoint adds one to each window that it files under.
            while let Some(entry) =
                self.terms.range::<TermKey>((passed, Bound::Unbounded)).map_err(failed)?.next()
            {
                let found = entry.map_err(failed)?.0.value();
                let (window, batch) = front_of(&found).ok_or_else(damaged)?;
                let first = term_key(window, batch, term, &after.unwrap_or(Key::MIN));
                let range = self.terms.range(first..=term_key(window, batch, term, &Key::MAX));
                // One more: the key `after` may be the first.
                for entry in range.map_err(failed)?.take(limit + 1) {
                    let found = entry.map_err(failed)?.0.value();
                    keys.push(key_of(&found).ok_or_else(damaged)?);
                }
                passed = Bound::Excluded(term_key(window, batch, Term::MAX, &Key::MAX));
            }
            keys.retain(|key| Some(*key) != after);
            keys.sort_unstable();
            keys.dedup();
            keys.truncate(limit);
            Ok(keys)
        })
    }
}

/// A revised row as it is filed under its key.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    /// The window that it is filed under in `deaths` and `terms`.
    pub(crate) window: Window,
    /// The batch that its terms were added with.
    pub(crate) batch: u64,
    pub(crate) row: Row,
}

/// A revised row as it is stored, and back.
pub(crate) fn write_filed(filed: &Filed) -> Vec<u8> {
    let record = filed.row.as_record();
    let mut value = Vec::with_capacity(Window::BYTES + 8 + record.len());
    value.extend_from_slice(&filed.window.to_bytes());
    value.extend_from_slice(&filed.batch.to_le_bytes());
    value.extend_from_slice(record);
    value
}

pub(crate) fn read_filed(key: &Key, value: &[u8]) -> Result<Filed> {
    let read = || {
        let (window, rest) = value.split_first_chunk()?;
        let (batch, record) = rest.split_first_chunk()?;
        let row = Row::read(record).filter(|row| row.key() == *key)?;
        Some(Filed { window: Window::from_bytes(*window)?, batch: u64::from_le_bytes(*batch), row })
    };
    read().ok_or_else(|| Error::corrupt(format!("the row of {key:?} in {TABLE_FILE} is damaged")))
}

pub(crate) fn block_key(window: Window, block: u64) -> BlockKey {
    let [_, _, _, number @ ..] = block.to_be_bytes();
    join(&window.to_bytes(), &number)
}

/// The window and the number of a block's key.
pub(crate) fn read_block_key(key: &BlockKey) -> Option<(Window, u64)> {
    let (window, number) = key.split_first_chunk()?;
    let [a, b, c, d, e] = *number.first_chunk()?;
    Some((Window::from_bytes(*window)?, u64::from_be_bytes([0, 0, 0, a, b, c, d, e])))
}

/// The check of an index entry, which stands for its place as well: rows carry checks of their own,
/// but a row that the index has lost is never read.
pub(crate) fn entry_check(key: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, xxh3_64(key))
}

pub(crate) fn death_key(window: Window, key: &Key) -> DeathKey {
    join(&window.to_bytes(), &key.to_bytes())
}

pub(crate) fn term_key(window: Window, batch: u64, term: Term, key: &Key) -> TermKey {
    let front: [u8; Window::BYTES + 8] = join(&window.to_bytes(), &batch.to_be_bytes());
    let back: [u8; 16 + Key::BYTES] = join(&term.0, &key.to_bytes());
    join(&front, &back)
}

/// The window and the batch at the start of a term's key.
pub(crate) fn front_of(key: &TermKey) -> Option<(Window, u64)> {
    let (window, rest) = key.split_first_chunk()?;
    Some((Window::from_bytes(*window)?, u64::from_be_bytes(*rest.first_chunk()?)))
}

/// The row's key at the end of a death's or a term's key.
pub(crate) fn key_of(bytes: &[u8]) -> Option<Key> {
    bytes.last_chunk().map(Key::from_bytes)
}

/// The window at the start of a death's key.
pub(crate) fn window_of(key: &DeathKey) -> Option<Window> {
    key.first_chunk().and_then(|window| Window::from_bytes(*window))
}

/// The first key that an index by windows has of each, window by window.
fn firsts_of_windows<const N: usize, V: Value + 'static>(
    index: &ReadOnlyTable<[u8; N], V>,
) -> Result<Vec<[u8; N]>> {
    let mut firsts = Vec::new();
    let mut passed: Option<[u8; N]> = None;
    let from = |passed: Option<_>| passed.map_or(Bound::Unbounded, Bound::Excluded);
    while let Some(entry) =
        index.range::<[u8; N]>((from(passed), Bound::Unbounded)).map_err(failed)?.next()
    {
        let first = entry.map_err(failed)?.0.value();
        // A damaged page may lead back to where it was come from.
        if passed.is_some_and(|passed| passed >= first) {
            return Err(tags::damaged());
        }
        firsts.push(first);
        passed = Some(end_of_window(&first));
    }
    Ok(firsts)
}

/// The last key that the window of `key` can have.
fn end_of_window<const N: usize>(key: &[u8; N]) -> [u8; N] {
    join(key.get(..Window::BYTES).unwrap_or_default(), &[u8::MAX; N])
}

/// Runs `work` on the table. redb panics on pages that are not as it wrote them: that is damage,
/// and nobody who asks for a row shall pay for it with a thread.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::corrupt(format!("{TABLE_FILE} is damaged, redb gave it up: {ADVICE}")))
    })
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closed: open it again")
}

/// An error of redb as one of ours. What the disk refuses is no damage: nobody shall restore a
/// backup for it.
pub(crate) fn failed(cause: impl Into<redb::Error>) -> Error {
    let cause = cause.into();
    if let redb::Error::UpgradeRequired(format) = &cause {
        return header::other_format(*format).with_source(cause);
    }
    let kind = match &cause {
        redb::Error::Io(io) if super::space::is_full(io) => ErrorKind::Full,
        redb::Error::Io(io) => match io.kind() {
            // How redb says that a file is not one of its own, or ends too soon.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
            _ => ErrorKind::Io,
        },
        redb::Error::Corrupted(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. } => ErrorKind::Corrupt,
        _ => ErrorKind::Io,
    };
    let message = match kind {
        ErrorKind::Corrupt => format!("{TABLE_FILE} is damaged: {ADVICE}"),
        ErrorKind::Full => format!(
            "{TABLE_FILE} has no room on the disk: free some space, then open the store again"
        ),
        _ => format!(
            "{TABLE_FILE} could not be read or written: see to the disk, then open the store again"
        ),
    };
    Error::new(kind, message).with_source(cause)
}

/// The bytes of both, cut or filled with zeros.
fn join<const N: usize>(first: &[u8], second: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    bytes
}
