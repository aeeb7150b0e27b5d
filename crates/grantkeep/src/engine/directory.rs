//! A store's directory: found or made, held open, locked, and its own name durable.

use super::backup::{self, ADVICE};
use super::lock::{For, LOCK_FILE, Lock, Reached};
use super::log::LOG_DIR;
use super::log::files::is_segment;
use super::options::Options;
use super::space::RESERVE_FILE;
use super::table::TABLE_FILE;
use super::tail::TAIL_FILE;
use crate::disk::{Disk, ReadOnly};
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::KEYRING_FILE;
use crate::sync::Arc;
use std::io;
use std::path::Path;

/// What a fresh volume of ext4 holds.
const LOST_AND_FOUND: &str = "lost+found";
/// How many of the names in the way a refusal lists.
const NAMED_MAX: usize = 3;

/// A directory that is held and locked, and whether there is a store in it.
pub(super) struct Found {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) lock: Lock,
    pub(super) exists: bool,
    /// True for a backup beside segments of a log that are not its own.
    pub(super) mixed: bool,
}

/// Holds and locks the directory, and makes it and its name durable if need be. Where the store is
/// only looked at, the disk that is answered refuses every change.
pub(super) fn find_locked(options: &Options, dir: &Path) -> Result<Found> {
    let create = options.create && !options.restored && !options.read_only;
    let opening = |cause| Error::file("open the store directory", dir.display(), cause);
    // Whoever made the directory: what is acknowledged in it is as durable as its name (P1).
    let creating = |cause| Error::file("create the store directory", dir.display(), cause);
    match options.disk.list(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && create => {
            options.disk.create_dir(dir).map_err(creating)?;
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
            let message = format!("{} is not a directory: name another", dir.display());
            return Err(Error::new(ErrorKind::NotAStore, message).with_source(cause));
        }
        listed => drop(listed.map_err(opening)?),
    }
    let held = options.disk.hold(dir).map_err(opening)?;
    let mut disk = held.unwrap_or_else(|| Arc::clone(&options.disk));
    let wanted = if options.read_only { For::Looking } else { For::Writing };
    if wanted == For::Looking {
        disk = ReadOnly::over(disk);
    }
    // Before there is a lock in it, which does not belong into a directory of something else.
    find(&*disk, dir, create, options)?;
    let lock = Lock::take(&disk, dir, wanted, options.lock_patience)?;
    // Whoever had the lock until now may have made the store, or restored it.
    let exists = find(&*disk, dir, create, options)?;
    if let Some(Reached { commit, .. }) = lock.reached.filter(|_| !exists) {
        return Err(Error::corrupt(format!(
            "{} has neither {TABLE_FILE} nor a log, and `{LOCK_FILE}` notes that commit {commit} \
             was durable: put them back, or {ADVICE}",
            dir.display()
        )));
    }
    let foreign = has_segments(&*disk, dir, |name| name != TAIL_FILE);
    let mixed = exists && foreign && backup::is_marked(&*disk, dir);
    let syncing = |cause| Error::file("sync the directory above", dir.display(), cause);
    disk.sync_parent(dir).map_err(syncing)?;
    Ok(Found { disk, lock, exists, mixed })
}

/// Looks at what is in `dir`: true for a store, false for room to make one.
fn find(disk: &dyn Disk, dir: &Path, create: bool, options: &Options) -> Result<bool> {
    let opening = |cause| Error::file("open the store directory", dir.display(), cause);
    let names = disk.list(dir).map_err(opening)?;
    backup::check_mark(dir, &names, options)?;
    if names.iter().any(|name| name == TABLE_FILE) {
        return Ok(true);
    }
    let foreign: Vec<&String> = names.iter().filter(|name| !is_ours(name)).collect();
    if !foreign.is_empty() {
        return Err(not_ours(dir, &foreign));
    }
    // The log is made after the table: segments without one mean that the table was lost.
    if has_segments(disk, dir, |_| true) {
        return Err(Error::corrupt(format!(
            "{} has a log and no {TABLE_FILE}: put it back, or {ADVICE}",
            dir.display()
        )));
    }
    if !create {
        return Err(Error::new(
            ErrorKind::NotAStore,
            format!("{} holds no store: name its directory, or create one", dir.display()),
        ));
    }
    Ok(false)
}

fn has_segments(disk: &dyn Disk, dir: &Path, which: impl Fn(&str) -> bool) -> bool {
    let log = disk.list(&dir.join(LOG_DIR)).unwrap_or_default();
    log.iter().any(|name| is_segment(name) && which(name))
}

/// True for a name that an open may have left that was ended while it made the store.
fn is_ours(name: &str) -> bool {
    let file = name.strip_suffix(".new").unwrap_or(name);
    [LOCK_FILE, KEYRING_FILE, TABLE_FILE, LOG_DIR, RESERVE_FILE].contains(&file)
}

/// The refusal of a directory in which there is something that no store has.
fn not_ours(dir: &Path, foreign: &[&String]) -> Error {
    let mut named: Vec<String> = foreign.iter().map(|name| format!("`{name}`")).collect();
    named.sort();
    let more = named.len().saturating_sub(NAMED_MAX);
    named.truncate(NAMED_MAX);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let (dir, named) = (dir.display(), named.join(", ") + &more);
    let message = if foreign.iter().all(|name| *name == LOST_AND_FOUND) {
        format!(
            "{dir} holds {named}, so it is the top of a volume and not a store: name a \
             subdirectory of it, such as {dir}/tokens"
        )
    } else {
        format!("{dir} holds {named} and is not a store: name another directory, or one in it")
    };
    Error::new(ErrorKind::NotAStore, message)
}
