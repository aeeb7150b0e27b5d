//! Room on the disk: a reserve that is given up when it is full, so that revoking and sweeping go
//! on while issuing is refused.

use crate::disk::{Disk, OpenMode, fill_zeros};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use std::io;
use std::path::{Path, PathBuf};

/// The reserve's file in a store directory.
pub(crate) const RESERVE_FILE: &str = "reserve";

/// Watches the room of one store's disk.
#[derive(Debug)]
pub(crate) struct Space {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    reserve_bytes: u64,
    full: AtomicBool,
    reserve: Mutex<()>,
}

impl Space {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, reserve_bytes: u64) -> Self {
        let (full, reserve) = (AtomicBool::new(false), Mutex::new(()));
        Self { disk, dir: dir.to_path_buf(), reserve_bytes, full, reserve }
    }

    /// True while issuing is refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Refuses with [`ErrorKind::Full`] while the disk is full.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.is_full() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Full,
            format!(
                "the disk under {} is full: nothing is issued until the reserve of {} bytes can \
                 be taken again; free some space",
                self.dir.display(),
                self.reserve_bytes
            ),
        ))
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

    /// Takes the reserve, if it is not there: zeros that keep the room free for the table.
    ///
    /// # Errors
    /// Whatever the operating system answers; a full disk is none.
    pub(crate) fn take(&self) -> io::Result<()> {
        let _one = self.reserve.lock();
        let path = self.dir.join(RESERVE_FILE);
        let file = self.disk.open(&path, OpenMode::Any)?;
        let taken = file.len().and_then(|len| fill_zeros(&*file, len, self.reserve_bytes));
        match taken {
            Ok(()) => {
                self.full.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if is_full(&error) => {
                self.full.store(true, Ordering::Relaxed);
                self.disk.remove(&path)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the reserve up, and refuses to issue from now on.
    pub(crate) fn give_up(&self) {
        let _one = self.reserve.lock();
        self.full.store(true, Ordering::Relaxed);
        // Without the file there was nothing to give up; the write that follows tells.
        let _ = self.disk.remove(&self.dir.join(RESERVE_FILE));
    }
}

/// True for the answers of a disk without room; of a file that may not grow further, too.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
