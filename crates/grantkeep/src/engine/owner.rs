//! Who owns a store directory: one open of one process at a time.
//!
//! The lock is on the directory itself, since a file in it could be removed while it is locked, and
//! another be made and locked in its place. `LOCK` is locked as well, for disks that cannot lock a
//! directory.

use super::lock::{LOCK_FILE, holder};
use crate::disk::{self, Disk, DiskFile, FileId};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The directories that this process owns, and its id: a fork has a copy of the list, and owns none
/// of them. It only words a refusal, and no thread waits while it is locked, so that it may be a
/// lock that a model checker does not know.
static OWNED: Mutex<Vec<(FileId, u32)>> = Mutex::new(Vec::new());

/// The ownership of a directory; it ends when this is dropped, or the process.
#[derive(Debug)]
pub(crate) struct Owner {
    /// The locked directory, where the disk can lock one.
    dir: Option<Arc<dyn DiskFile>>,
}

impl Owner {
    /// Locks the directory; `None` if it is locked already.
    pub(crate) fn take(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        let failed = |cause| Error::file("lock", dir.display(), cause);
        let Some(opened) = disk.open_dir(dir).map_err(failed)? else {
            return Ok(Some(Self { dir: None }));
        };
        match opened.try_lock() {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            // A file system that does not lock directories: `LOCK` has to do.
            Err(cause) if cause.kind() == io::ErrorKind::Unsupported => {
                return Ok(Some(Self { dir: None }));
            }
            Err(cause) => return Err(failed(cause)),
        }
        if let Some(id) = opened.id().map_err(failed)? {
            owned().push((id, std::process::id()));
        }
        Ok(Some(Self { dir: Some(opened) }))
    }

    /// Which directory it is; `None` where the disk does not tell.
    pub(crate) fn id(&self) -> Option<FileId> {
        self.dir.as_ref().and_then(|dir| dir.id().ok()?)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(id) = self.id() else { return };
        let own = (id, std::process::id());
        let mut owned = owned();
        if let Some(at) = owned.iter().position(|held| *held == own) {
            owned.swap_remove(at);
        }
    }
}

fn owned() -> std::sync::MutexGuard<'static, Vec<(FileId, u32)>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The refusal of an open while somebody else owns the directory.
pub(crate) fn refusal(disk: &dyn Disk, dir: &Path) -> Error {
    let pid = std::process::id();
    let named = named_holder(disk, dir);
    let ours = match disk.id_at(dir) {
        Ok(Some(id)) => owned().contains(&(id, pid)),
        // A disk that tells no directories apart is not one that processes share.
        _ => named.as_ref().is_some_and(|named| *named == pid.to_string()),
    };
    let dir = dir.display();
    let message = if ours {
        format!("the store {dir} is already open in this process (pid {pid}): clone its `Store`")
    } else {
        let named = named.unwrap_or_else(|| "unknown".to_owned());
        format!("the store {dir} is open in another process (pid {named}): stop it first")
    };
    Error::new(ErrorKind::Locked, message)
}

/// The process that `LOCK` names.
fn named_holder(disk: &dyn Disk, dir: &Path) -> Option<String> {
    let file = disk.open_read(&dir.join(LOCK_FILE)).ok()?;
    holder(&disk::read_small(&*file).ok()?)
}
