//! Backups: a copy of the table of a running store, after everything in the log was carried into
//! it.
//!
//! A copy is as old as it is: it knows nothing of what was revoked or spent since. So it carries a
//! mark, and opens only when it is said to be restored; the layer above then refuses everything
//! that was issued before.

use super::core::Core;
use super::keeper::Keeper;
use super::log::LOG_DIR;
use super::options::{Holds, Options};
use super::table::TABLE_FILE;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::io;
use std::path::Path;

/// The file that marks a directory as a backup that was not restored yet.
pub const BACKUP_FILE: &str = "BACKUP";

/// What to do where the files of a store are not what they should be.
pub(crate) const ADVICE: &str = "restore the store from a backup into an empty directory";

const MARK: &[u8] = b"A backup of a Grantkeep store. It opens once it is said to be restored.\n";

/// What is copied at one go; in between the log is supplied with segments.
const COPY_BYTES: usize = 1 << 20;

impl Keeper {
    /// Copies the store into `to`. The outer error is the store's, the inner one the copy's.
    pub(crate) fn backup(&mut self, to: &Path) -> Result<Result<()>> {
        if let Err(refused) = check_target(&self.core, to) {
            return Ok(Err(refused));
        }
        if let Err(full) = self.checkpoint()? {
            return Ok(Err(full));
        }
        let disk = Arc::clone(&self.core.disk);
        let (target, copy) = match begin(&disk, to) {
            Ok(begun) => begun,
            Err(refused) => return Ok(Err(refused)),
        };
        let path = self.core.dir.join(TABLE_FILE);
        let failed = |cause| Error::file("read the table", path.display(), cause);
        let opened = disk.open(&path, OpenMode::Existing).and_then(|table| {
            let bytes = table.len()?;
            Ok((table, bytes))
        });
        let (table, bytes) = match opened {
            Ok(opened) => opened,
            Err(cause) => return Ok(Err(failed(cause))),
        };
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        // Nobody but this thread writes to the table.
        while at < bytes {
            let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
            let piece = buffer.get_mut(..left.min(COPY_BYTES)).unwrap_or_default();
            if let Err(cause) = table.read_at(piece, at) {
                return Ok(Err(failed(cause)));
            }
            if let Err(cause) = copy.write_at(piece, at) {
                return Ok(Err(refused(to, cause)));
            }
            at += piece.len() as u64;
            self.supply()?;
        }
        Ok(end(&*target, to, &*copy).map_err(|cause| refused(to, cause)))
    }
}

/// Refuses a directory within the store's own: the next open would take it for part of it.
fn check_target(core: &Core, to: &Path) -> Result<()> {
    // The links on the way are followed as far as there is something.
    let real = |path: &Path| {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let known = whole.ancestors().find_map(|up| Some((up, up.canonicalize().ok()?)));
        known.map_or(whole.clone(), |(up, real)| {
            whole.strip_prefix(up).map_or(real.clone(), |rest| real.join(rest))
        })
    };
    let target = real(to);
    // The store may have been moved since it was opened, so its path alone does not tell.
    let within = target.ancestors().any(|up| core.names.is_dir(&*core.options.disk, up));
    if !within && !target.starts_with(real(&core.dir)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotAStore,
        format!("{} is within the store itself: name a directory elsewhere", to.display()),
    ))
}

/// Makes the directory of a backup, its mark first: a copy that is not whole is one as well.
/// Answers a disk that holds it, and the file for the table.
fn begin(disk: &Arc<dyn Disk>, to: &Path) -> Result<(Arc<dyn Disk>, Arc<dyn DiskFile>)> {
    let refused = |cause| refused(to, cause);
    let names = match disk.list(to) {
        Ok(names) => names,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(to).map_err(refused)?;
            Vec::new()
        }
        Err(cause) => return Err(refused(cause)),
    };
    if !names.is_empty() {
        return Err(Error::new(
            ErrorKind::NotAStore,
            format!("{} is not empty: name a new directory for the backup", to.display()),
        ));
    }
    let disk = disk.hold(to).map_err(refused)?.unwrap_or_else(|| Arc::clone(disk));
    let made = || {
        let mark = disk.open(&to.join(BACKUP_FILE), OpenMode::New)?;
        mark.write_at(MARK, 0)?;
        mark.sync_data()?;
        disk.create_dir(&to.join(LOG_DIR))?;
        disk.sync_dir(to)?;
        disk.open(&to.join(TABLE_FILE), OpenMode::New)
    };
    let copy = made().map_err(refused)?;
    Ok((disk, copy))
}

fn end(disk: &dyn Disk, to: &Path, copy: &dyn DiskFile) -> io::Result<()> {
    copy.sync_data()?;
    disk.sync_dir(to)?;
    // Whoever made the directory: a backup is as durable as its name.
    disk.sync_parent(to)
}

fn refused(to: &Path, cause: io::Error) -> Error {
    Error::file("write the backup in", to.display(), cause)
}

/// True where the mark of a backup is.
pub(crate) fn is_marked(disk: &dyn Disk, dir: &Path) -> bool {
    disk.open_read(&dir.join(BACKUP_FILE)).is_ok()
}

/// What is wrong where a backup, and the log that is beside it, do not make a store.
pub(crate) fn mixed_up(dir: &Path, cause: Error) -> Error {
    if cause.kind() != ErrorKind::Corrupt {
        return cause;
    }
    let message = format!(
        "{} holds a backup among the files of a store, and they do not belong together: copy the \
         backup into an empty directory, put the keyring into it, and restore it there",
        dir.display()
    );
    Error::corrupt(message).with_source(cause)
}

/// Refuses a backup that is opened as if it were the store, and a store that is to be restored as
/// if it were a backup.
pub(crate) fn check_mark(dir: &Path, names: &[String], options: &Options) -> Result<()> {
    let marked = names.iter().any(|name| name == BACKUP_FILE);
    if options.holds == Holds::Backup && !marked {
        return Err(Error::new(
            ErrorKind::NotAStore,
            format!(
                "{} holds no backup that is still to be restored, and nothing of it was changed: \
                 a restore refuses all that a store has issued, and disables its clients",
                dir.display()
            ),
        ));
    }
    if options.restored || !marked {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotAStore,
        format!(
            "{} is a backup: open it with `restored`, which refuses what was issued before",
            dir.display()
        ),
    ))
}

/// Takes the mark away once the store above refuses what was issued before.
///
/// # Durability
/// On success the directory is a store again.
pub(crate) fn remove_mark(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let failed = |cause| Error::file("take the mark of a backup from", dir.display(), cause);
    match disk.remove(&dir.join(BACKUP_FILE)) {
        Ok(()) => disk.sync_dir(dir).map_err(failed),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(failed(cause)),
    }
}
