//! Who has a store directory: one open of one process that writes, or any number that look at it.
//!
//! Who writes has its exclusive lock, and who looks the shared one; both end with the process. So a
//! look is refused while somebody writes, and who wants to write while somebody looks.
//!
//! The lock is on the directory itself, since a file in it could be removed while it is locked, and
//! another be made and locked in its place. `LOCK` is locked as well, for disks that cannot lock a
//! directory.

use super::lock::{For, LOCK_FILE, holder};
use crate::disk::{self, Disk, DiskFile, FileId};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The directories that this process has, and its id: a fork has a copy of the list, and owns none
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
    pub(crate) fn take(disk: &dyn Disk, dir: &Path, wanted: For) -> Result<Option<Self>> {
        let failed = |cause| Error::file("lock", dir.display(), cause);
        let Some(opened) = disk.open_dir(dir).map_err(failed)? else {
            return Ok(Some(Self { dir: None }));
        };
        match wanted.try_lock(&*opened) {
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

/// The refusal of an open while somebody else has the directory.
pub(crate) fn refusal(disk: &dyn Disk, dir: &Path, wanted: For) -> Error {
    let pid = std::process::id();
    let looked_at = wanted == For::Writing && is_looked_at(disk, dir);
    let id = disk.id_at(dir).ok().flatten();
    let named = if looked_at { id.and_then(looker) } else { named_holder(disk, dir) };
    let ours = match id {
        Some(id) => owned().contains(&(id, pid)),
        // A disk that tells no directories apart is not one that processes share.
        None => named.as_ref().is_some_and(|named| *named == pid.to_string()),
    };
    let (dir, other) = (dir.display(), named.unwrap_or_else(|| "unknown".to_owned()));
    let message = match (looked_at, ours) {
        (false, true) => {
            format!(
                "the store {dir} is already open in this process (pid {pid}): clone its `Store`"
            )
        }
        (false, false) => {
            format!("the store {dir} is open in another process (pid {other}): stop it first")
        }
        (true, true) => format!(
            "the store {dir} is open for reading only in this process (pid {pid}): close that first"
        ),
        (true, false) => format!(
            "the store {dir} is open for reading only in another process (pid {other}): wait until \
             it has ended"
        ),
    };
    Error::new(ErrorKind::Locked, message)
}

/// True if those who have the directory only look at it. It words a refusal: for the moment that
/// this takes, nobody else can have the directory to write.
fn is_looked_at(disk: &dyn Disk, dir: &Path) -> bool {
    let lock = disk.open_read(&dir.join(LOCK_FILE)).ok();
    let mut locked = disk.open_dir(dir).ok().flatten().into_iter().chain(lock);
    locked.all(|file| file.try_lock_shared().unwrap_or(false))
}

/// A process that looks at the directory, as far as the system tells: it has not written its name
/// anywhere.
fn looker(id: FileId) -> Option<String> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let inode = format!(":{}", id.inode());
    // "1: FLOCK  ADVISORY  READ 4711 fe:00:1234 0 EOF"
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let kinds = [fields.next()?, fields.nth(1)?];
        let (pid, file) = (fields.next()?, fields.next()?);
        (kinds == ["FLOCK", "READ"] && file.ends_with(&inode)).then(|| pid.to_owned())
    })
}

/// The process that `LOCK` names.
fn named_holder(disk: &dyn Disk, dir: &Path) -> Option<String> {
    let file = disk.open_read(&dir.join(LOCK_FILE)).ok()?;
    holder(&disk::read_small(&*file).ok()?)
}
