//! Opening a store: lock, believe nothing cached, read the table's index, replay the log.

use super::core::{Core, Counters};
use super::doorbell::Doorbell;
use super::keeper::Keeper;
use super::latency::Latencies;
use super::load::Loading;
use super::lock::{LOCK_FILE, Lock, Reached};
use super::log::plan::Planner;
use super::log::replay::{self, LogEnd};
use super::log::segment::Segment;
use super::log::{LOG_DIR, Segments};
use super::options::{KeySource, LOG_BUDGET_BYTES_MIN, Options};
use super::signal::Signal;
use super::space::{RESERVE_FILE, Space};
use super::table::{Meta, TABLE_FILE, Table};
use super::work::Work;
use super::writer::{Group, Mode, Writer};
use super::{Embedded, Threads, backup, logger};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{KEYRING_FILE, Keyring, random};
use crate::sync::{Arc, Instant, Mutex, Receiver, thread, unbounded};
use crate::timekeeper::Timekeeper;
use hashbrown::HashTable;
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
    let started = Instant::now();
    let disk = Arc::clone(&options.disk);
    let exists = find(&*disk, dir, options.create && !options.restored, options.restored)?;
    let lock = Lock::take(&*disk, dir)?;
    if exists && !lock.was_clean {
        distrust_cache(&*disk, dir)?;
    }
    let keyring = load_keyring(&*disk, dir, &options.keys, exists)?;
    let space = Arc::new(Space::new(Arc::clone(&disk), dir, options.reserve_bytes));
    let (table, meta) = open_table(&disk, dir, &space, &options, exists)?;
    let segments = open_segments(&*disk, dir, &meta)?;
    check_newest(&lock, &segments)?;
    space.take().map_err(|cause| Error::file("take the reserve in", dir.display(), cause))?;

    replay::read_ahead(&segments);
    let mut loading = Loading::new(&options, &meta, &segments);
    loading.read_table(&table)?;
    let end = replay::replay(&segments, meta.carried, |segment, offset, frame| {
        loading.replay(&table, segment, offset, frame)
    })?;
    loading.finish(&table)?;
    check_end(&lock, exists, &end)?;
    // Not before the log is found whole: what was refused once must be refused again.
    let marked = |cause| Error::file("mark", dir.join(LOCK_FILE).display(), cause);
    let newest = segments.last().map_or(0, |segment| segment.number);
    let written = end.segment.as_ref().map_or(0, |(segment, _)| segment.number);
    lock.mark_open(Reached { newest, written, commit: end.sequence }).map_err(marked)?;
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
    let log_dir = dir.join(LOG_DIR);
    let planner = Planner { disk: &*disk, dir: &log_dir, store: &meta.store, options: &options };
    let goes_on = lock.was_clean && exists;
    let plan = planner.plan(&space, &segments, &loading.needed, &end, goes_on)?;
    if plan.next_number - 1 > newest {
        let (newest, written) = (plan.next_number - 1, plan.active.number);
        lock.note(Reached { newest, written, commit: end.sequence }).map_err(marked)?;
    }
    let lock = Arc::new(lock);
    let (sender, receiver) = unbounded();
    let next_sequence = end.sequence + 1;
    let writer = Writer {
        mode: Mode::Open,
        next_sequence,
        base: end.sequence,
        segment: Arc::clone(&plan.active),
        tail: plan.tail,
        spares: plan.spares,
        group: Group::default(),
        pending: HashTable::new(),
        windows: loading.windows,
        noted: end.sequence,
        noted_at: time.mark(),
        framed_at: loading.high_water.settled.min(time.settled()),
        log_idle: false,
        led: false,
    };
    let held = Segments::default();
    plan.held.into_iter().for_each(|segment| held.push(segment));
    let core = Arc::new(Core {
        dir: dir.to_path_buf(),
        process: std::process::id(),
        disk,
        store: meta.store,
        time,
        set_back,
        space,
        writer: Mutex::new(writer),
        work: Doorbell::new(),
        durable: Signal::new(end.sequence),
        supplied: Signal::new(0),
        slots: loading.slots,
        index: loading.index,
        segments: held,
        young_terms: Mutex::new(loading.young_terms),
        aliases: Mutex::new(loading.aliases),
        struck: Mutex::new(loading.struck),
        table,
        keeper: sender,
        commit_latencies: Latencies::new(),
        counters: Counters::default(),
        open_took: started.elapsed(),
        options,
    });
    let keeper = Keeper {
        core: Arc::clone(&core),
        lock: Arc::clone(&lock),
        retired: plan.retired,
        next_number: plan.next_number,
        carrying: None,
    };
    let threads = start(&core, keeper, receiver)?;
    Ok((Embedded::new(core, threads, lock), keyring))
}

/// Refuses a log whose newest segment is not there, or the one that was written to before it was
/// made ready: the newest may hold nothing yet, and then nothing else would tell.
fn check_newest(lock: &Lock, segments: &[Arc<Segment>]) -> Result<()> {
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
             restore the store from a backup"
        ))),
    }
}

/// Refuses a log that ends before what `LOCK` says was durable.
fn check_end(lock: &Lock, exists: bool, end: &LogEnd) -> Result<()> {
    let reached = lock.reached.map_or(0, |reached| reached.commit);
    if end.sequence < reached {
        return Err(Error::corrupt(format!(
            "the log in `{LOG_DIR}` ends at commit {}, and {reached} was durable: restore the \
             store from a backup",
            end.sequence
        )));
    }
    if lock.was_clean && exists && !end.closed {
        return Err(Error::corrupt(
            "the log ends before the store was closed: restore it from a backup",
        ));
    }
    Ok(())
}

/// Looks at what is in `dir`: true for a store, false for room to make one.
fn find(disk: &dyn Disk, dir: &Path, create: bool, restored: bool) -> Result<bool> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && create => {
            make_dir(disk, dir)?;
            Vec::new()
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotADirectory => {
            let message = format!("{} is not a directory: name another", dir.display());
            return Err(Error::new(ErrorKind::NotAStore, message).with_source(cause));
        }
        Err(cause) => return Err(Error::file("open the store directory", dir.display(), cause)),
    };
    backup::check_mark(dir, &names, restored)?;
    if names.iter().any(|name| name == TABLE_FILE) {
        return Ok(true);
    }
    let ours = |name: &String| {
        let file = name.strip_suffix(".new").unwrap_or(name);
        [LOCK_FILE, KEYRING_FILE, TABLE_FILE, LOG_DIR, RESERVE_FILE].contains(&file)
    };
    if !names.iter().all(ours) {
        return Err(Error::new(
            ErrorKind::NotAStore,
            format!(
                "{} holds something that is not a store: name another directory",
                dir.display()
            ),
        ));
    }
    // The log is made after the table: segments without one mean that the table was lost.
    let log = disk.list(&dir.join(LOG_DIR)).unwrap_or_default();
    if log.iter().any(|name| is_segment(name)) {
        return Err(Error::corrupt(format!(
            "{} has a log and no {TABLE_FILE}: restore the store from a backup",
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

fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let failed = |cause| Error::file("create the store directory", dir.display(), cause);
    disk.create_dir(dir).map_err(failed)?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => disk.sync_dir(parent).map_err(failed),
        None => Ok(()),
    }
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
            let file = disk.open(&folder.join(name), OpenMode::Existing).map_err(failed)?;
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
            let found = disk.open(&dir.join(KEYRING_FILE), OpenMode::Existing).is_ok();
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
    disk.create_dir(&dir.join(LOG_DIR)).map_err(failed)?;
    // Names reach the device in any order: a table without a log would be damage.
    disk.sync_dir(dir).map_err(failed)?;
    disk.rename(&fresh, &path).map_err(failed)?;
    disk.sync_dir(dir).map_err(failed)?;
    Ok(opened)
}

/// Opens the log's segments, in the order of their numbers.
fn open_segments(disk: &dyn Disk, dir: &Path, meta: &Meta) -> Result<Vec<Arc<Segment>>> {
    let log = dir.join(LOG_DIR);
    let failed = |cause| Error::file("read the log directory", log.display(), cause);
    let mut segments = Vec::new();
    for name in disk.list(&log).map_err(failed)? {
        let path = log.join(&name);
        if is_of_log(&name) && !is_segment(&name) {
            disk.remove(&path).map_err(failed)?;
        } else if is_segment(&name) {
            segments.push(Arc::new(Segment::open(disk, path, &meta.store)?));
        }
    }
    segments.sort_unstable_by_key(|segment| segment.number);
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        // Both would be gone on with, and what is cut off one is still looked for in the other.
        if segment.number == next.number {
            return Err(Error::corrupt(format!(
                "the log segments {} and {} are one and the same: take the copy away",
                segment.path.display(),
                next.path.display()
            )));
        }
    }
    Ok(segments)
}

/// True for the name of a segment, and of one that was being made.
fn is_of_log(name: &str) -> bool {
    let numbered = |stem: &str| !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit());
    name.split_once('.').is_some_and(|(stem, end)| numbered(stem) && matches!(end, "seg" | "new"))
}

fn is_segment(name: &str) -> bool {
    is_of_log(name) && Path::new(name).extension().is_some_and(|own| own == "seg")
}

fn start(core: &Arc<Core>, keeper: Keeper, work: Receiver<Work>) -> Result<Threads> {
    let failed = |cause| Error::file("start a thread for", core.dir.display(), cause);
    let log = {
        let core = Arc::clone(core);
        let named = thread::Builder::new().name("grantkeep-log".to_owned());
        named.spawn(move || logger::run(&core)).map_err(failed)?
    };
    let named = thread::Builder::new().name("grantkeep-keeper".to_owned());
    let keeper = named.spawn(move || keeper.run(&work)).map_err(failed)?;
    Ok(Threads { log, keeper })
}
