//! Backups: a copy of the table of a running store, after everything that was committed before was
//! carried into it.
//!
//! 1. The keeper carries all that is committed ([`Request::Checkpoint`]), or says why it cannot.
//! 2. While the keeper is held still, the table is given a reader, and the frames of the log that
//!    it lacks are read (`tail.rs`). Where they are many, the keeper carries once more instead.
//! 3. The table is read as it was then, which redb keeps, and copied by key into a new file, piece
//!    by piece. Carrying and sweeping go on meanwhile. Where the table has to be opened anew behind
//!    the failure of another operation, the copy begins once more.
//! 4. The frames are written to a log of the copy's own, if there are any.
//! 5. The numbers of the store are in the last commit of the copy: before it the copy is no store.
//!
//! A copy is as old as it is: it knows nothing of what was revoked or spent since. So it carries a
//! mark, and opens only when it is said to be restored; the layer above then refuses everything
//! that was issued before.

use super::carry::Target;
use super::core::Core;
use super::courtesy;
use super::log::LOG_DIR;
use super::options::{Holds, Options};
use super::place::SEGMENT_BYTES_MAX;
use super::requests::{self, Request};
use super::table::file::{Fence, TableFile};
use super::table::{self, BLOCKS, DEATHS, LATER, ROWS, TABLE_FILE, TAGS, TERMS, failed};
use super::tail::Tail;
use super::verify;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use crate::wait::Wait as _;
use futures_channel::{mpsc, oneshot};
use redb::{Database, Durability, ReadTransaction, ReadableTableMetadata as _, TableDefinition};
use std::io;
use std::path::Path;
use std::time::Duration;

/// The file that marks a directory as a backup that was not restored yet.
pub const BACKUP_FILE: &str = "BACKUP";

/// What to do where the files of a store are not what they should be.
pub(crate) const ADVICE: &str = "restore the store from a backup into an empty directory";

const MARK: &[u8] = b"A backup of a Grantkeep store. It opens once it is said to be restored.\n";

/// What one commit of the copy holds at most, in bytes of keys and values, about.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes of frames behind a checkpoint that are kept in memory, and read while the keeper is held
/// still: twice as many each time that there were more, up to [`TAIL_BYTES_MOST`].
const TAIL_BYTES_MAX: u64 = 8 << 20;
/// They are one segment of the copy's log.
const TAIL_BYTES_MOST: u64 = (SEGMENT_BYTES_MAX / 2) as u64;
/// How often a copy begins once more because there were more.
const BEHIND_MAX: u32 = 16;
/// How often a copy begins once more behind the failures of others.
const INTERRUPTIONS_MAX: u32 = 8;
/// The page cache of the copy.
const CACHE_BYTES: usize = 8 << 20;

/// Copies everything that was committed before into the new directory `to`, for as long as the copy
/// `is_wanted`.
///
/// # Errors
/// Why the copy is not whole; the store is none the worse.
pub(crate) fn backup(core: &Core, to: &Path, is_wanted: &dyn Fn() -> bool) -> Result<()> {
    check_target(core, to)?;
    let mut carried = checkpoint(core)?;
    let (disk, file) = begin(&core.disk, to)?;
    let refused = |cause| refused(to, cause);
    let (mut tail_bytes_max, mut interrupted, mut behind) = (TAIL_BYTES_MAX, 0, 0);
    loop {
        core.jobs.check()?;
        if !is_wanted() {
            return Err(requests::ended());
        }
        match copy(core, (to, &*disk, &file), &carried, tail_bytes_max, is_wanted)? {
            Copied::Whole => break,
            Copied::Interrupted if interrupted < INTERRUPTIONS_MAX => interrupted += 1,
            Copied::Interrupted => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{TABLE_FILE} was opened anew again and again: see to the disk"),
                ));
            }
            Copied::Behind if behind == BEHIND_MAX => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "more is committed than is carried meanwhile: copy the store when less is",
                ));
            }
            Copied::Behind => {
                behind += 1;
                carried = checkpoint(core)?;
                tail_bytes_max = (2 * tail_bytes_max).min(TAIL_BYTES_MOST);
            }
        }
    }
    end(&*disk, to, &*file).map_err(refused)
}

/// Has everything carried that was committed so far; answers what that was.
fn checkpoint(core: &Core) -> Result<Target> {
    let (reply, carried) = oneshot::channel();
    core.requests.push(Request::Checkpoint(reply))?;
    carried.wait().map_err(|_| requests::ended())?
}

/// What came of one try to copy.
enum Copied {
    Whole,
    /// Another operation has failed, and the table was opened anew.
    Interrupted,
    /// Too much was committed since the checkpoint.
    Behind,
}

/// Copies the table, and the frames of the log that it lacks.
fn copy(
    core: &Core,
    (to, disk, file): (&Path, &dyn Disk, &Arc<dyn DiskFile>),
    carried: &Target,
    tail_bytes_max: u64,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Copied> {
    let refused = |cause| refused(to, cause);
    // Before the transaction begins: what it does not show is in the log for as long.
    let mut still = Some(core.table_still.lock());
    core.table.read_whole(|transaction| {
        // Another operation that fails ends a long read, which then begins without the lock.
        let Some(held) = still.take() else { return Ok(Copied::Interrupted) };
        core.space.check()?;
        let through = table::read_in(transaction)?.carried;
        debug_assert!(through >= carried.through, "carried before the table was read");
        let Some(tail) = Tail::read(core, carried, through, tail_bytes_max)? else {
            return Ok(Copied::Behind);
        };
        drop(held);
        file.set_len(0).map_err(refused)?;
        let backend = TableFile::new(Arc::clone(file), None, Arc::new(Fence::default()));
        let mut builder = Database::builder();
        let copy = builder.set_cache_size(CACHE_BYTES).create_with_backend(backend);
        let copy = copy.map_err(failed)?;
        let copying = Copying { core, is_wanted, from: transaction, to: &copy };
        copying.table(BLOCKS)?;
        copying.table(TAGS)?;
        copying.table(LATER)?;
        copying.table(ROWS)?;
        copying.table(DEATHS)?;
        copying.table(TERMS)?;
        tail.write(disk, &to.join(LOG_DIR), &core.store).map_err(refused)?;
        table::copy_meta(transaction, &copy)?;
        copy.close().map_err(failed)?;
        Ok(Copied::Whole)
    })
}

/// A copy under way.
struct Copying<'a> {
    core: &'a Core,
    is_wanted: &'a dyn Fn() -> bool,
    from: &'a ReadTransaction,
    to: &'a Database,
}

impl Copying<'_> {
    /// Copies one table, in pieces; the last commit of the copy makes all of them durable.
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<()> {
        let from = self.from.open_table(table).map_err(failed)?;
        let mut entries = redb::ReadableTable::iter(&from).map_err(failed)?;
        let (total, mut copied) = (from.len().map_err(failed)?, 0);
        let mut more = true;
        while more {
            self.core.jobs.check()?;
            if !(self.is_wanted)() {
                return Err(requests::ended());
            }
            let mut transaction = self.to.begin_write().map_err(failed)?;
            transaction.set_durability(Durability::None).map_err(failed)?;
            {
                let mut to = transaction.open_table(table).map_err(failed)?;
                let mut bytes = 0;
                more = false;
                for entry in entries.by_ref() {
                    courtesy::step();
                    let (key, value) = entry.map_err(failed)?;
                    let (key, value) = (key.value(), value.value());
                    bytes += K::as_bytes(&key).as_ref().len() + V::as_bytes(&value).as_ref().len();
                    to.insert(key, value).map_err(failed)?;
                    copied += 1;
                    more = bytes >= PIECE_BYTES;
                    if more {
                        break;
                    }
                }
            }
            transaction.commit().map_err(failed)?;
        }
        if copied == total {
            return Ok(());
        }
        // A damaged page may hide a part of them, and what is hidden is no part of the copy.
        Err(Error::corrupt(format!(
            "{TABLE_FILE} counts {total} entries of {table}, and {copied} are found: verify the \
             store, or {ADVICE}"
        )))
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
    if options.restored || options.read_only || !marked {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotAStore,
        format!(
            "{} is a backup: open it with `restored`, which refuses what was issued before, or \
             with `read_only` to look at it",
            dir.display()
        ),
    ))
}

/// Reads all of what is to be restored, and changes nothing: what a copy has lost on its way is
/// found out before it takes a store's place, not by whoever asks for it one day.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for damage. What else is wrong is for the open to tell.
pub(crate) fn check_whole(options: &Options, dir: &Path) -> Result<()> {
    let look = options.clone().restored(false).lock_patience(Duration::ZERO);
    let look = match look.open_without_keys(dir) {
        Ok(look) => look,
        Err(error) if error.kind() == ErrorKind::Corrupt => return Err(error),
        Err(_) => return Ok(()),
    };
    // Nobody is told how far it has come, and whoever listens to nothing goes away.
    let (progress, _told) = mpsc::unbounded();
    let found = verify::verify(&look.core, progress)?;
    look.close()?;
    let Some(first) = found.named.first() else { return Ok(()) };
    Err(Error::corrupt(format!(
        "{} is damaged in {} places, and nothing of it was changed: {first}; restore another copy",
        dir.display(),
        found.damages
    )))
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
