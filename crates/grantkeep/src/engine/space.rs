//! Room on the disk: a reserve that is given up when it is full, so that revoking and sweeping go
//! on while issuing is refused.
//!
//! 1. While there is room, a file of zeros keeps the reserve.
//! 2. A write that finds the disk full gives the reserve up, and is tried once more. From then on
//!    the store is full: nothing is issued, and what the reserve has left is for the log and the
//!    table of what takes something away.
//! 3. The reserve is taken again once there is room for it *and* for the segments that the log
//!    lacks ([`super::supply`]); not before, since it would be given up again at once, and each
//!    turn writes as many zeros. Then the store is full no more.

use crate::clock::Clock;
use crate::disk::{Disk, OpenMode, fill_zeros};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, Tally};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The reserve's file in a store directory.
pub(crate) const RESERVE_FILE: &str = "reserve";

/// Watches the room of one store's disk.
#[derive(Debug)]
pub(crate) struct Space {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    reserve_bytes: u64,
    full: AtomicBool,
    /// Since when it is full.
    since: Mutex<Option<SystemTime>>,
    /// Held while the reserve is taken or given up.
    reserve: Mutex<()>,
    /// Requests refused for want of room since the store was opened.
    refused: Tally,
}

impl Space {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        reserve_bytes: u64,
    ) -> Self {
        let (full, since, reserve) = (AtomicBool::new(false), Mutex::new(None), Mutex::new(()));
        let dir = dir.to_path_buf();
        Self { disk, clock, dir, reserve_bytes, full, since, reserve, refused: Tally::new(0) }
    }

    /// True while issuing is refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Since when issuing is refused, if it is.
    pub(crate) fn full_since(&self) -> Option<SystemTime> {
        *self.since.lock()
    }

    /// How many requests were refused for want of room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refuses with [`ErrorKind::Full`] while the disk is full.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_full() { Err(self.refuse("nothing is issued")) } else { Ok(()) }
    }

    /// The error for a request for which there is no room; counts it.
    pub(crate) fn refuse(&self, what: &str) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Error::new(
            ErrorKind::Full,
            format!(
                "the disk under {} is full: {what} until the reserve of {} bytes can be taken \
                 again; free some space",
                self.dir.display(),
                self.reserve_bytes
            ),
        )
    }

    /// The bytes that may still be written; `None` where the disk does not tell.
    pub(crate) fn room_bytes(&self) -> Option<u64> {
        // A disk that fails to tell is asked by writing to it.
        self.disk.room_bytes(&self.dir).ok().flatten()
    }

    /// Runs `write`; if the disk is full, gives the reserve up and runs it once more.
    ///
    /// # Errors
    /// Whatever `write` answers in the end.
    pub(crate) fn write<T>(&self, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(error) if is_full(&error) => {
                self.give_up();
                write()
            }
            other => other,
        }
    }

    /// Takes the reserve: zeros that keep the room free. One of another length is made to fit.
    /// False if there is no room for it.
    ///
    /// # Errors
    /// Whatever the operating system answers otherwise; a full disk is no error.
    pub(crate) fn take(&self) -> io::Result<bool> {
        let _one = self.reserve.lock();
        let path = self.dir.join(RESERVE_FILE);
        if self.reserve_bytes == 0 {
            return match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(true),
            };
        }
        let file = self.disk.open(&path, OpenMode::Any)?;
        let fits = |len: u64| {
            if len > self.reserve_bytes {
                return file.set_len(self.reserve_bytes);
            }
            fill_zeros(&*file, len, self.reserve_bytes)
        };
        match file.len().and_then(fits) {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => {
                self.set_full();
                self.disk.remove(&path).map(|()| false)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the reserve up, and refuses to issue from now on.
    pub(crate) fn give_up(&self) {
        let _one = self.reserve.lock();
        self.set_full();
        // Without the file there was nothing to give up; the write that follows tells.
        let _ = self.disk.remove(&self.dir.join(RESERVE_FILE));
    }

    /// Issuing is refused no more: the reserve is taken, and the log has its segments.
    pub(crate) fn end_full(&self) {
        let _one = self.reserve.lock();
        *self.since.lock() = None;
        self.full.store(false, Ordering::Relaxed);
    }

    fn set_full(&self) {
        self.since.lock().get_or_insert_with(|| self.clock.wall());
        self.full.store(true, Ordering::Relaxed);
    }
}

/// True for the answers of a disk without room; of a file that may not grow further, too.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
