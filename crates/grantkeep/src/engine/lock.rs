//! The file `LOCK`: one process at a time, and whether the last one closed in order.

use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::io;
use std::path::Path;

/// The lock's file in a store directory.
pub(crate) const LOCK_FILE: &str = "LOCK";

const CLEAN: &[u8] = b"closed\n";

/// The lock on a store directory; it ends when this is dropped, or the process.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Arc<dyn DiskFile>,
    /// True if the last process that had the store closed it in order.
    pub(crate) was_clean: bool,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] with the process id of who has it.
    pub(crate) fn take(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let failed = |cause| Error::file("lock", path.display(), cause);
        let file = disk.open(&path, OpenMode::Any).map_err(failed)?;
        if !file.try_lock().map_err(failed)? {
            let content = disk::read_all(&*file).unwrap_or_default();
            let pid = holder(&content).unwrap_or_else(|| "unknown".to_owned());
            return Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "the store {} is open in another process (pid {pid}): stop it first",
                    dir.display()
                ),
            ));
        }
        let was_clean = disk::read_all(&*file).map_err(failed)?.starts_with(CLEAN);
        let lock = Self { file, was_clean };
        // A courtesy to whom it refuses: without it the open goes on.
        let _ = lock.name_holder();
        Ok(lock)
    }

    /// Says at once who has the lock, also while the store is being opened, without a word on how
    /// the last process ended: nothing was written to the store so far.
    fn name_holder(&self) -> io::Result<()> {
        let pid = std::process::id();
        if self.was_clean {
            let behind = CLEAN.len() as u64;
            self.file.set_len(behind)?;
            return self.file.write_at(format!("{pid}\n").as_bytes(), behind);
        }
        self.file.set_len(0)?;
        self.file.write_at(format!("open {pid}\n").as_bytes(), 0)
    }

    /// Notes that the store is open, before the first write to it.
    pub(crate) fn mark_open(&self) -> io::Result<()> {
        self.write(format!("open {}\n", std::process::id()).as_bytes())
    }

    /// Notes that the store was closed in order, after the last write to it.
    pub(crate) fn mark_closed(&self) -> io::Result<()> {
        self.write(CLEAN)
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_at(content, 0)?;
        self.file.sync_data()
    }
}

/// The process id that stands at the end of the file.
fn holder(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    let pid = text.trim_end().rsplit([' ', '\n']).next()?;
    let digits = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| pid.to_owned())
}
