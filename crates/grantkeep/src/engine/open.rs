//! Opening a store: lock, believe nothing cached, read the table's index, replay the log.

use super::backup::ADVICE;
use super::close::Threads;
use super::core::{Core, Counters};
use super::directory::Found;
use super::doorbell::Doorbell;
use super::health::Watch;
use super::jobs::Jobs;
use super::keeper::Keeper;
use super::latency::Latencies;
use super::load::Loading;
use super::lock::{LOCK_FILE, Left, Lock, Reached};
use super::log::files::{is_of_log, is_segment, list_segments, open_segments, remove_unfinished};
use super::log::plan::{Plan, Planner};
use super::log::replay::{self, LogEnd};
use super::log::segment::{SEGMENT_BYTES_LEAST, Segment};
use super::log::{LOG_DIR, Segments};
use super::names::Names;
use super::options::{KeySource, LOG_BUDGET_BYTES_MIN, Options};
use super::requests::Requests;
use super::signal::Signal;
use super::space::Space;
use super::supply::{Supplier, Supply};
use super::table::{Meta, TABLE_FILE, Table};
use super::trouble::{Part, Troubles};
use super::writer::{Mode, Writer};
use super::{Embedded, backup, directory, file_limit, logger, look, table};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{KEYRING_FILE, Keyring, random};
use crate::sync::{Arc, AtomicBool, Instant, Mutex, thread};
use crate::timekeeper::Timekeeper;
use std::path::Path;
use std::time::Duration;

/// A table that is being made has this name until it is whole.
const TABLE_FRESH: &str = "table.redb.new";

impl Options {
    /// Opens the engine alone, without the typed records above it, and the keyring found with it.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open_backend(self, dir: &Path) -> Result<(Embedded, Keyring)> {
        if self.log_budget_bytes < LOG_BUDGET_BYTES_MIN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a log budget of {} bytes is less than the {LOG_BUDGET_BYTES_MIN} required",
                    self.log_budget_bytes
                ),
            ));
        }
        open(self, dir)
    }
}

/// Opens the store in `dir`.
fn open(options: Options, dir: &Path) -> Result<(Embedded, Keyring)> {
    if options.read_only {
        let keys = options.keys.clone();
        return look::look(options, dir, |disk| load_keyring(disk, dir, &keys, true));
    }
    if options.restored {
        backup::check_whole(&options, dir)?;
    }
    let started = Instant::now();
    let found = directory::find_locked(&options, dir)?;
    let mixed = found.mixed;
    open_found(options, dir, found, started)
        .map_err(|cause| if mixed { backup::mixed_up(dir, cause) } else { cause })
}

/// Opens the store in a directory that is held and locked.
fn open_found(
    mut options: Options,
    dir: &Path,
    found: Found,
    started: Instant,
) -> Result<(Embedded, Keyring)> {
    let Found { disk, lock, exists, .. } = found;
    file_limit::check(&*disk, dir, &options)?;
    if exists {
        believe(&*disk, dir, &options, &lock)?;
    }
    let keyring = load_keyring(&*disk, dir, &options.keys, exists)?;
    let (held, clock) = (Arc::clone(&disk), Arc::clone(&options.clock));
    let space = Arc::new(Space::new(held, clock, dir, options.reserve_bytes));
    let (table, meta) = open_table(&disk, dir, &space, &options, exists)?;
    let names = Names::new(dir, lock.dir_id(), table.file());
    names.check_dir(&*options.disk)?;
    remove_unfinished(&*disk, dir)?;
    let segments = open_segments(&*disk, dir, &meta.store)?;
    check_newest(&lock, &segments)?;
    let troubles = Troubles::default();
    if options.is_in_passing() {
        let longest = segments.iter().map(|segment| segment.bytes).max();
        options.found_segment_bytes = longest.map(|bytes| bytes.max(SEGMENT_BYTES_LEAST));
    } else {
        take_reserve(&space, &options, dir, &troubles);
    }

    let (loading, end) = load(&options, &meta, &segments, &table)?;
    check_end(&lock, exists, &end)?;
    // Not before the log is found whole: what was refused once must be refused again.
    let marked = |cause| Error::file("mark", dir.join(LOCK_FILE).display(), cause);
    let newest = segments.last().map_or(0, |segment| segment.number);
    let written = end.segment.as_ref().map_or(0, |(segment, _)| segment.number);
    lock.mark_open(Reached { newest, written, commit: end.sequence }).map_err(marked)?;
    let log_dir = dir.join(LOG_DIR);
    let planner = Planner { disk: &*disk, dir: &log_dir, store: &meta.store, options: &options };
    let goes_on = lock.left.is_log_whole() && exists;
    let plan = planner.plan(&space, &segments, &loading.needed, &end, goes_on)?;
    if plan.active.number > newest {
        let number = plan.active.number;
        let reached = Reached { newest: number, written: number, commit: end.sequence };
        lock.note(reached).map_err(marked)?;
    }
    let lock = Arc::new(lock);
    let next_number = plan.next_number;
    let ends_closed = goes_on && end.closed;
    let found = Opened { disk, names, space, table, troubles, loading, plan };
    let last = (end.sequence, ends_closed);
    let core = assemble(options, dir, &meta, found, last, started);
    let keeper = Keeper::new(Arc::clone(&core), meta.carried);
    let supplier = Supplier::new(Arc::clone(&core), Arc::clone(&lock), next_number);
    let threads = start(&core, &lock, keeper, supplier)?;
    Ok((Embedded::new(core, Some(threads), lock), keyring))
}

/// Reads the log behind the table, and the table's index.
pub(super) fn load(
    options: &Options,
    meta: &Meta,
    segments: &[Arc<Segment>],
    table: &Table,
) -> Result<(Loading, LogEnd)> {
    replay::read_ahead(segments);
    let mut loading = Loading::new(options, meta);
    let end = replay::replay(segments, meta.carried, |segment, offset, frame| {
        loading.replay(segment.number, offset, frame);
    })?;
    loading.read_table(table)?;
    loading.add_young()?;
    Ok((loading, end))
}

/// What an open has found of a store, and how it goes on.
pub(super) struct Opened {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) names: Names,
    pub(super) space: Arc<Space>,
    pub(super) table: Table,
    pub(super) troubles: Troubles,
    pub(super) loading: Loading,
    pub(super) plan: Plan,
}

/// The state of an open store, whose log ends with the commit `last`, that of a close or not.
pub(super) fn assemble(
    options: Options,
    dir: &Path,
    meta: &Meta,
    opened: Opened,
    last: (u64, bool),
    started: Instant,
) -> Arc<Core> {
    let Opened { disk, names, space, table, troubles, loading, plan } = opened;
    // Before its first checkpoint a store has its largest time in the log alone.
    let high_water = Some(loading.high_water).filter(|mark| mark.settled.as_millis() > 0);
    let clock = Arc::clone(&options.clock);
    let (time, set_back) = if options.restored {
        Timekeeper::restored(clock, high_water)
    } else {
        (Timekeeper::new(clock, high_water), Duration::ZERO)
    };
    for window in loading.windows.live() {
        time.note_lifetime(window.lifetime());
    }
    let marks = (time.mark(), loading.high_water.settled.min(time.settled()));
    let active = (Arc::clone(&plan.active), plan.tail);
    let mut writer = Writer::behind(last, active, plan.spares, loading.windows, marks);
    if options.read_only {
        writer.mode = Mode::ReadOnly;
    }
    let held = Segments::default();
    for segment in plan.held {
        held.push(segment);
    }
    Arc::new(Core {
        dir: dir.to_path_buf(),
        process: std::process::id(),
        disk,
        names,
        store: meta.store,
        time,
        set_back,
        space,
        writer: Mutex::new(writer),
        work: Doorbell::new(),
        durable: Signal::new(last.0),
        supply: Supply::new(plan.retired),
        slots: loading.slots,
        index: loading.index,
        segments: held,
        young_terms: Mutex::new(loading.young_terms),
        unread: Mutex::new(Vec::new()),
        table,
        table_still: Mutex::new(()),
        requests: Requests::new(),
        jobs: Jobs::default(),
        troubles,
        health: Watch::default(),
        damaged: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        commit_latencies: Latencies::new(),
        counters: Counters::default(),
        open_took: started.elapsed(),
        options,
    })
}

/// Takes the reserve. Nothing was promised of it, so what fails is tried again by itself.
fn take_reserve(space: &Space, options: &Options, dir: &Path, troubles: &Troubles) {
    if let Err(cause) = space.take() {
        let why = Error::file("take the reserve in", dir.display(), cause);
        troubles.note(Part::Reserve, Err(&why), options.clock.wall());
    }
}

/// Refuses a log whose newest segment is not there, or the one that was written to before it was
/// made ready: the newest may hold nothing yet, and then nothing else would tell.
pub(super) fn check_newest(lock: &Lock, segments: &[Arc<Segment>]) -> Result<()> {
    let Some(Reached { newest, written, .. }) = lock.reached else { return Ok(()) };
    let last = segments.last().map_or(0, |segment| segment.number);
    let is_there = |number| segments.iter().any(|segment| segment.number == number);
    let missing = match last.cmp(&newest) {
        // One that was made since may be the other's file, used again.
        std::cmp::Ordering::Greater => None,
        std::cmp::Ordering::Equal => Some(written).filter(|number| !is_there(*number)),
        std::cmp::Ordering::Less => Some(newest),
    };
    match missing.filter(|number| *number > 0) {
        None => Ok(()),
        Some(number) => Err(Error::corrupt(format!(
            "the log segment with number {number} is missing in `{LOG_DIR}`: put it back, or \
             {ADVICE}"
        ))),
    }
}

/// Refuses a log that ends before what `LOCK` says was durable.
pub(super) fn check_end(lock: &Lock, exists: bool, end: &LogEnd) -> Result<()> {
    let reached = lock.reached.map_or(0, |reached| reached.commit);
    if end.sequence < reached {
        return Err(Error::corrupt(format!(
            "the log in `{LOG_DIR}` ends at commit {}, and {reached} was durable: a segment \
             of it is cut, or an older copy; {ADVICE}",
            end.sequence
        )));
    }
    if lock.left.is_log_whole() && exists && !end.closed {
        return Err(Error::corrupt(format!(
            "the log in `{LOG_DIR}` ends before the store was closed: its last segment is cut, or \
             an older copy; {ADVICE}"
        )));
    }
    Ok(())
}

/// After an end that was not orderly, syncs every file and drops what is cached of it before the
/// first read: pages that a failed sync left behind look clean and were never written.
fn distrust_cache(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let failed = |cause| Error::file("sync the files of", dir.display(), cause);
    let log = dir.join(LOG_DIR);
    for folder in [dir, &log] {
        let names = match disk.list(folder) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(failed)?,
        };
        // The reserve holds nothing, and what else there is was not put there by the store.
        let ours = [LOCK_FILE, KEYRING_FILE, TABLE_FILE, TABLE_FRESH];
        for name in names.iter().filter(|name| ours.contains(&name.as_str()) || is_of_log(name)) {
            // The keyring may be one that only may be read, and any file is synced without more.
            let file = match disk.open_read(&folder.join(name)) {
                // Who needs the keys is refused when they are read.
                Err(cause)
                    if cause.kind() == std::io::ErrorKind::PermissionDenied
                        && name == KEYRING_FILE =>
                {
                    continue;
                }
                opened => opened.map_err(failed)?,
            };
            file.sync_data().map_err(failed)?;
            file.drop_cache().map_err(failed)?;
        }
        disk.sync_dir(folder).map_err(failed)?;
    }
    Ok(())
}

fn load_keyring(disk: &dyn Disk, dir: &Path, keys: &KeySource, exists: bool) -> Result<Keyring> {
    match keys {
        KeySource::Given(keyring) => Ok(keyring.clone()),
        KeySource::Env(name) => {
            let text = std::env::var(name).map(zeroize::Zeroizing::new).map_err(|_| {
                Error::new(
                    ErrorKind::Keyring,
                    format!("the environment variable {name} holds no keyring: set it"),
                )
            })?;
            Keyring::from_text(&text)
        }
        KeySource::File => {
            let found = match disk.open_read(&dir.join(KEYRING_FILE)) {
                Ok(_) => true,
                // Something of this name is there and is no file: it is not replaced.
                Err(cause) => cause.kind() == std::io::ErrorKind::InvalidInput,
            };
            if exists || found {
                return Keyring::load(disk, dir);
            }
            let keyring = Keyring::generate()?;
            keyring.stage(disk, dir)?;
            Keyring::exchange(disk, dir)?;
            Ok(keyring)
        }
    }
}

/// Makes sure that what is read from here on is on the device, and of a format that is known.
pub(super) fn believe(disk: &dyn Disk, dir: &Path, options: &Options, lock: &Lock) -> Result<()> {
    if lock.left != Left::Closed {
        distrust_cache(disk, dir)?;
    }
    if options.restored && backup::is_marked(disk, dir) {
        // What copies files alone leaves it out where it is empty.
        let log = dir.join(LOG_DIR);
        let making = |cause| Error::file("create the directory", log.display(), cause);
        disk.create_dir(&log).map_err(making)?;
    }
    check_formats(disk, dir)
}

/// Refuses a store of another format, before anything of it is repaired, cut, or removed.
fn check_formats(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let path = dir.join(TABLE_FILE);
    let opened = disk.open_read(&path);
    let file = opened.map_err(|cause| Error::file("open the table", path.display(), cause))?;
    let meta = table::peek(&file)?;
    list_segments(disk, dir)?.into_iter().filter(|name| is_segment(name)).try_for_each(|name| {
        Segment::open(disk, dir.join(LOG_DIR).join(name), &meta.store).map(drop)
    })
}

fn open_table(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    space: &Arc<Space>,
    options: &Options,
    exists: bool,
) -> Result<(Table, Meta)> {
    let path = dir.join(TABLE_FILE);
    let failed = |cause| Error::file("open the table", path.display(), cause);
    let cache = options.table_cache_bytes;
    if exists {
        let file = disk.open(&path, OpenMode::Existing).map_err(failed)?;
        return Table::open(file, Arc::clone(space), cache, None);
    }
    let mut store = [0; 16];
    random(&mut store)?;
    let fresh = dir.join(TABLE_FRESH);
    let file = disk.open(&fresh, OpenMode::Any).map_err(failed)?;
    file.set_len(0).map_err(failed)?;
    let opened = Table::open(file, Arc::clone(space), cache, Some(store))?;
    let log = dir.join(LOG_DIR);
    let making = |cause| Error::file("create the directory", log.display(), cause);
    disk.create_dir(&log).map_err(making)?;
    // Names reach the device in any order: a table without a log would be damage.
    disk.sync_dir(dir).map_err(failed)?;
    disk.rename(&fresh, &path).map_err(failed)?;
    disk.sync_dir(dir).map_err(failed)?;
    Ok(opened)
}

/// Starts the threads of a store. Where there can be no more, those that were started end. Each
/// keeps the lock while it runs: what it writes to is nobody else's.
fn start(
    core: &Arc<Core>,
    lock: &Arc<Lock>,
    keeper: Keeper,
    supplier: Supplier,
) -> Result<Threads> {
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let held = Arc::clone(lock);
        let work = move || {
            work();
            drop(held);
        };
        let named = thread::Builder::new().name(name.to_owned()).spawn(work);
        named.map_err(|cause| {
            // Whoever runs already looks at this.
            core.poison("a thread could not be started");
            Error::file("start a thread for", core.dir.display(), cause)
        })
    };
    let own = Arc::clone(core);
    let log = spawn("grantkeep-log", Box::new(move || logger::run(&own)))?;
    let joined = |log: thread::JoinHandle<()>, cause| {
        // It ends at once, and a panic of it is told by that alone.
        let _ = log.join();
        cause
    };
    let supply = match spawn("grantkeep-supply", Box::new(move || supplier.run())) {
        Ok(supply) => supply,
        Err(cause) => return Err(joined(log, cause)),
    };
    match spawn("grantkeep-keeper", Box::new(move || keeper.run())) {
        Ok(keeper) => Ok(Threads { log, supply, keeper }),
        Err(cause) => Err(joined(supply, joined(log, cause))),
    }
}
