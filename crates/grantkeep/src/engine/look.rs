//! Looking at a store: an open that changes nothing of it.
//!
//! It reads what an open reads and refuses what an open refuses, with three differences. The steps:
//!
//! 1. The directory is locked together with others that look (`owner.rs`): no process writes to the
//!    files meanwhile. From here on the disk refuses every change (`disk/read_only.rs`), so that no
//!    mistake below can make one.
//! 2. What is cached of a store that was not closed is dropped, as an open does, and nothing is
//!    synced. What a failed sync left behind is not believed, and the device need not take writes.
//! 3. The table is opened over an [`Overlay`]: what redb writes when it opens its file, and what it
//!    repairs, is in memory and is forgotten with the look.
//! 4. The log is read up to its end. Pieces of commits that a crash undid lie behind it, and are
//!    left there: nothing is written that could make them look whole.
//! 5. There are no threads, and the writer's mode is [`Mode::ReadOnly`](super::writer::Mode): what
//!    is to be written, carried, or swept is refused before it is begun.
//!
//! # What it does not do
//!
//! - It repairs nothing, so each look at a crashed store takes as long as an open after the crash.
//! - It takes no part in the store's time: expiry is judged by the clock and by what is stored, as
//!   an open does, and what it finds out about the clock is forgotten.
//! - It does not see what changes: whoever wants to write waits until nobody looks.

use super::log::LOG_DIR;
use super::log::files::open_segments;
use super::log::plan::Plan;
use super::log::replay::LogEnd;
use super::log::segment::Segment;
use super::names::Names;
use super::open::{self, Opened};
use super::options::Options;
use super::space::Space;
use super::table::{Overlay, TABLE_FILE, Table};
use super::trouble::Troubles;
use super::{Embedded, backup, directory};
use crate::disk::{Disk, NoFile};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Instant};
use std::collections::VecDeque;
use std::path::Path;

impl Options {
    /// Opens a store whose keys are elsewhere for reading only, as [`Options::read_only`] does: its
    /// rows are counted and gone through, and it is verified. What takes a key to find, or to open,
    /// is not. The keyring is not read, and need not be there.
    ///
    /// ```
    /// use grantkeep::backend::{Backend as _, Scan};
    /// use grantkeep::{KeySource, Keyring, Store, Wait as _};
    /// # let place = tempfile::tempdir().unwrap();
    /// # let dir = place.path().join("tokens");
    /// let keys = KeySource::Given(Keyring::generate()?);
    /// Store::options().keys(keys).open(&dir)?.close()?;
    ///
    /// let look = Store::options().open_without_keys(&dir)?;
    /// assert_eq!(look.verify(|_| {}).wait()?.damages, 0);
    /// let (mut scan, mut rows) = (Scan::new(), 0);
    /// while !scan.is_done() {
    ///     rows += look.scan(&mut scan).wait()?.len() as u64;
    /// }
    /// assert_eq!(rows, look.stats().rows_total());
    /// # Ok::<(), grantkeep::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Options::open`], but for [`ErrorKind::Keyring`].
    pub fn open_without_keys(self, dir: impl AsRef<Path>) -> Result<Embedded> {
        look(self.read_only(true), dir.as_ref(), |_| Ok(())).map(|(backend, ())| backend)
    }
}

/// Opens the store in `dir` for reading only, with what `keys` reads of its keyring.
pub(super) fn look<K>(
    options: Options,
    dir: &Path,
    keys: impl FnOnce(&dyn Disk) -> Result<K>,
) -> Result<(Embedded, K)> {
    if options.restored {
        return Err(Error::new(
            ErrorKind::ReadOnly,
            format!("a look does not restore {}: open it without `read_only`", dir.display()),
        ));
    }
    let started = Instant::now();
    let found = directory::find_locked(&options, dir)?;
    let mixed = found.mixed;
    look_at(options, dir, found, keys, started)
        .map_err(|cause| if mixed { backup::mixed_up(dir, cause) } else { cause })
}

/// Opens the store in a directory that is held and locked.
fn look_at<K>(
    options: Options,
    dir: &Path,
    directory::Found { disk, lock, exists, .. }: directory::Found,
    keys: impl FnOnce(&dyn Disk) -> Result<K>,
    started: Instant,
) -> Result<(Embedded, K)> {
    open::believe(&*disk, dir, &options, &lock)?;
    let keys = keys(&*disk)?;
    // Nothing takes room, so nothing is kept back for it.
    let space = Space::new(Arc::clone(&disk), Arc::clone(&options.clock), dir, 0);
    let space = Arc::new(space);
    let path = dir.join(TABLE_FILE);
    let file = disk.open_read(&path).and_then(Overlay::over);
    let file = file.map_err(|cause| Error::file("open the table", path.display(), cause))?;
    let cache = options.table_cache_bytes;
    let (table, meta) = Table::open(Arc::new(file), Arc::clone(&space), cache, None)?;
    let names = Names::new(dir, lock.dir_id(), table.file());
    names.check_dir(&*options.disk)?;
    let segments = open_segments(&*disk, dir, &meta.store)?;
    open::check_newest(&lock, &segments)?;
    let (loading, end) = open::load(&options, &meta, &segments, &table)?;
    open::check_end(&lock, exists, &end)?;
    let plan = as_it_is(dir, segments, |number| loading.needed.contains(&number), &end);
    let troubles = Troubles::default();
    let opened = Opened { disk, names, space, table, troubles, loading, plan };
    let last = (end.sequence, end.closed);
    let core = open::assemble(options, dir, &meta, opened, last, started);
    Ok((Embedded::new(core, None, Arc::new(lock)), keys))
}

/// The log as it is found: it does not go on.
fn as_it_is(
    dir: &Path,
    segments: Vec<Arc<Segment>>,
    is_needed: impl Fn(u64) -> bool,
    end: &LogEnd,
) -> Plan {
    let (active, tail) = end.segment.clone().unwrap_or_else(|| {
        let none = Segment::new(Arc::new(NoFile), dir.join(LOG_DIR), (0, 0), 0, 0);
        (Arc::new(none), 0)
    });
    let is_held =
        |segment: &Arc<Segment>| is_needed(segment.number) || segment.number == active.number;
    let (held, retired) = segments.into_iter().partition(is_held);
    Plan { active, tail, held, spares: VecDeque::new(), retired, next_number: 0 }
}
