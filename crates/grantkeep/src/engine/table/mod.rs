//! The table: what outlives the log, in redb.

mod ahead;
pub(crate) mod block;
pub(crate) mod file;
pub(crate) mod filing;
mod handle;
mod header;
mod meta;
mod overlay;
pub(crate) mod tags;
mod view;

use super::window::Window;
use crate::backend::{Key, Row, Term};
use crate::disk::DiskFile;
use crate::engine::backup::ADVICE;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use file::{Fence, TableFile};
pub(crate) use handle::{Table, Written};
use header::Suspicion;
pub(crate) use meta::{Meta, copy_meta, read_in, set_carried, set_high_water};
pub(crate) use overlay::Overlay;
use redb::{Database, ReadOnlyTable, ReadableTableMetadata, TableDefinition, Value};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
pub(crate) use view::View;
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

/// Blocks of rows: of first versions under their keys, or of later ones of write-once rows.
pub(crate) const BLOCKS: TableDefinition<BlockKey, &[u8]> = TableDefinition::new("blocks");
/// For each block of first versions the tags of its rows, which is what an open reads.
pub(crate) const TAGS: TableDefinition<BlockKey, &[u8]> = TableDefinition::new("tags");
/// Those of the blocks of later versions.
pub(crate) const LATER: TableDefinition<BlockKey, &[u8]> = TableDefinition::new("later tags");
/// Later versions of revised rows by key, deletions among them, and those that never expire: the
/// window they are filed under in `deaths`, then the record.
pub(crate) const ROWS: TableDefinition<[u8; Key::BYTES], &[u8]> = TableDefinition::new("rows");
/// The rows by id by the window in which they die, or died before they were extended. The value is
/// that of [`death_value`]: an entry that is damaged would hide its row.
pub(crate) const DEATHS: TableDefinition<DeathKey, u64> = TableDefinition::new("deaths");
/// Rows by window and index term.
pub(crate) const TERMS: TableDefinition<TermKey, ()> = TableDefinition::new("terms");

/// The cache for a look at a few pages.
const PEEK_CACHE_BYTES: usize = 1 << 20;

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
    let backend = TableFile::new(Arc::new(overlay), None, Arc::new(Fence::default()));
    let peeked = guarded(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(PEEK_CACHE_BYTES);
        // With it redb reads all that is needed with each check, and goes by nothing that it noted.
        builder.set_check_integrity_on_open(suspicion == Suspicion::Cut);
        meta::read(&builder.create_with_backend(backend).map_err(failed)?)
    });
    match peeked {
        Err(cause) if suspicion == Suspicion::Cut && cause.kind() == ErrorKind::Corrupt => {
            Err(header::cut(length, length + 1).with_source(cause))
        }
        other => other,
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

/// What is stored of a death: a check, whose last bit is 1 for a deletion.
pub(crate) fn death_value(death: &DeathKey, is_tombstone: bool) -> u64 {
    entry_check(death, &[u8::from(is_tombstone)]) & !1 | u64::from(is_tombstone)
}

/// Whether a death is that of a deletion; `None` for one that is damaged.
pub(crate) fn read_death(death: &DeathKey, value: u64) -> Option<bool> {
    let is_tombstone = value & 1 == 1;
    (value == death_value(death, is_tombstone)).then_some(is_tombstone)
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

/// How many entries an index counts, so as to go through no more: a damaged page may lead back to
/// where it was come from.
fn entries_of(index: &impl ReadableTableMetadata) -> Result<usize> {
    Ok(usize::try_from(index.len().map_err(failed)?).unwrap_or(usize::MAX))
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
        // What redb says of a table that is not as the store has made it.
        redb::Error::Corrupted(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => ErrorKind::Corrupt,
        _ => ErrorKind::Io,
    };
    let message = match kind {
        ErrorKind::Corrupt => format!("{TABLE_FILE} is damaged: {ADVICE}"),
        ErrorKind::Full => format!("{TABLE_FILE} has no room on the disk: free some space"),
        _ => format!("{TABLE_FILE} could not be read or written: see to the disk"),
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
