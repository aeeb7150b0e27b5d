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
            let holder = String::from_utf8_lossy(&content);
            let pid = holder.trim().strip_prefix("open ").unwrap_or("unknown").to_owned();
            return Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "the store {} is open in another process (pid {pid}): stop it first",
                    dir.display()
                ),
            ));
        }
        let was_clean = disk::read_all(&*file).map_err(failed)? == CLEAN;
        Ok(Self { file, was_clean })
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
