//! redb's storage on the store's disk: the seam, the reserve, the pacing of its writes, and the
//! fence between one opening of the table and the next.

use super::TABLE_FILE;
use crate::disk::DiskFile;
use crate::engine::courtesy;
use crate::engine::space::Space;
use crate::error::{Error, ErrorKind};
use crate::sync::{Arc, DiskLock, Ordering, Tally};
use redb::StorageBackend;
use std::error::Error as _;
use std::io;
use std::sync::{OnceLock, PoisonError};

/// Bytes that the table writes before it lets the device come to rest: a commit of the log that
/// arrives in between waits behind at most this much. Where commits wait for the table, or soon
/// will, it does not rest.
const PACE_BYTES: u64 = 128 * 1024;

/// Ends the use that one opening of the table makes of its file.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    /// True once the file is another opening's. Held for reading by each operation on the file, so
    /// that none is under way once it is set.
    closed: DiskLock<bool>,
    /// Operations that redb was refused: after one it takes no more work, whatever becomes of the
    /// disk. A plain count, since it is changed within locks that redb has of its own.
    refused: Tally,
    /// Why the first of them was.
    first: OnceLock<io::ErrorKind>,
}

impl Fence {
    /// Refuses every operation from now on, and returns once none is under way.
    pub(crate) fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// True once redb must be opened anew.
    pub(crate) fn is_broken(&self) -> bool {
        self.refused.load(Ordering::Acquire) > 0
    }

    /// True if an operation of this opening failed for nothing but that the opening has ended: redb
    /// takes no more work after another one was refused.
    pub(crate) fn is_behind(&self, why: &Error) -> bool {
        let cause = why.source().and_then(|cause| cause.downcast_ref());
        matches!(cause, Some(redb::Error::DatabaseClosed | redb::Error::PreviousIo))
            || *self.closed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an operation failed that was not refused itself: whatever was, is what to see to.
    pub(crate) fn cause(&self, why: Error) -> Error {
        match self.first.get() {
            Some(first) if why.kind() == ErrorKind::Io && self.is_behind(&why) => {
                Error::file("read or write", TABLE_FILE, (*first).into())
            }
            _ => why,
        }
    }

    /// Does an operation on the file, unless the file is another opening's.
    fn pass<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        let done = if *closed {
            Err(io::Error::other("the table was opened anew meanwhile"))
        } else {
            operation()
        };
        if let Err(why) = &done {
            if !*closed {
                let _ = self.first.set(why.kind());
            }
            self.refused.fetch_add(1, Ordering::Release);
        }
        done
    }
}

/// The table's file.
#[derive(Debug)]
pub(crate) struct TableFile {
    file: Arc<dyn DiskFile>,
    /// Where the reserve is given up for; none for a copy elsewhere.
    space: Option<Arc<Space>>,
    fence: Arc<Fence>,
    unsynced_bytes: Tally,
}

impl TableFile {
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        space: Option<Arc<Space>>,
        fence: Arc<Fence>,
    ) -> Self {
        Self { file, space, fence, unsynced_bytes: Tally::new(0) }
    }

    /// Takes room on the disk: with what the reserve gives up, if it is on that disk.
    fn take_room(&self, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
        self.fence.pass(|| match &self.space {
            Some(space) => space.write(write),
            None => write(),
        })
    }
}

impl StorageBackend for TableFile {
    fn len(&self) -> io::Result<u64> {
        self.fence.pass(|| self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.fence.pass(|| self.file.read_at(out, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.take_room(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.unsynced_bytes.store(0, Ordering::Relaxed);
        self.fence.pass(|| self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        courtesy::step();
        self.take_room(|| self.file.write_at(data, offset))?;
        let unsynced = self.unsynced_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        if unsynced >= PACE_BYTES && !courtesy::is_awaited() {
            // Early, not instead: the commit's own sync still follows.
            self.sync_data()?;
        }
        Ok(())
    }
}
