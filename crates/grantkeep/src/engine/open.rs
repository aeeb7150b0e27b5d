//! Opening a store: lock, believe nothing cached, read the table's index, replay the log.

use super::core::{Core, Counters};
use super::index::Index;
use super::keeper::{Keeper, Work};
use super::latency::Latencies;
use super::lock::{LOCK_FILE, Lock};
use super::log::Segments;
use super::log::frame::Frame;
use super::log::plan::Planner;
use super::log::replay;
use super::log::segment::Segment;
use super::options::{KeySource, Options};
use super::place::{Place, Where};
use super::signal::Signal;
use super::space::Space;
use super::table::{self, DEATHS, Meta, TABLE_FILE, TAGS, Table, failed};
use super::window::Window;
use super::windows::{Slots, Windows};
use super::writer::{Group, Mode, Writer};
use super::{Embedded, Threads, logger};
use crate::backend::{Key, Kind, Term, record};
use crate::clock::Timestamp;
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{KEYRING_FILE, Keyring, random};
use crate::sync::{Arc, Condvar, Mutex, thread};
use crate::timekeeper::Timekeeper;
use hashbrown::HashTable;
use redb::ReadableTableMetadata as _;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Instant;

/// The log's directory in a store directory.
pub(crate) const LOG_DIR: &str = "log";

/// A table that is being made has this name until it is whole.
const TABLE_FRESH: &str = "table.redb.new";
const RESERVE_FILE: &str = "reserve";

/// Opens the store in `dir`.
pub(crate) fn open(options: Options, dir: &Path) -> Result<(Embedded, Keyring)> {
    let started = Instant::now();
    let disk = Arc::clone(&options.disk);
    let exists = find(&*disk, dir, options.create)?;
    let lock = Lock::take(&*disk, dir)?;
    if exists && !lock.was_clean {
        distrust_cache(&*disk, dir)?;
    }
    let keyring = load_keyring(&*disk, dir, &options.keys, exists)?;
    let space = Arc::new(Space::new(Arc::clone(&disk), dir, options.reserve_bytes));
    let (table, meta) = open_table(&disk, dir, &space, &options, exists)?;
    let segments = open_segments(&*disk, dir, &meta)?;
    lock.mark_open().map_err(|cause| Error::file("mark", dir.join(LOCK_FILE).display(), cause))?;
    space.take().map_err(|cause| Error::file("take the reserve in", dir.display(), cause))?;

    let slots = Arc::new(Slots::new());
    let seed = record::u64_at(&meta.store, 0).unwrap_or(0);
    let mut loading = Loading {
        index: Index::new(seed, options.live_set_bytes, options.tag_bits),
        windows: Windows::new(Arc::clone(&slots)),
        young_terms: BTreeSet::new(),
        aliases: HashSet::new(),
        shared: HashSet::new(),
        resolved: HashSet::new(),
        high_water: meta.high_water,
        slots: Arc::clone(&slots),
        log: Segments::default(),
        needed: BTreeSet::new(),
        in_table: BTreeSet::new(),
    };
    for segment in &segments {
        loading.log.push(Arc::clone(segment));
    }
    loading.read_table(&table)?;
    let end = replay::replay(&segments, meta.carried, |segment, offset, frame| {
        loading.replay(&table, segment, offset, frame)
    })?;
    if lock.was_clean && exists && !end.closed {
        return Err(Error::corrupt(
            "the log ends before the store was closed: restore it from a backup",
        ));
    }
    // Before its first checkpoint a store has its largest time in the log alone.
    let high_water = Some(loading.high_water).filter(|mark| mark.as_millis() > 0);
    let time = Timekeeper::new(Arc::clone(&options.clock), high_water);
    for window in loading.windows.live() {
        time.note_lifetime(window.lifetime());
    }
    let log_dir = dir.join(LOG_DIR);
    let planner = Planner { disk: &*disk, dir: &log_dir, store: &meta.store, options: &options };
    let goes_on = lock.was_clean && exists;
    let plan = space
        .write(|| planner.plan(&segments, &loading.needed, &end, goes_on))
        .map_err(|cause| Error::file("prepare the log in", log_dir.display(), cause))?;
    let (sender, receiver) = crossbeam::channel::unbounded();
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
        noted_at: time.settled(),
        framed_at: loading.high_water,
        log_idle: false,
    };
    let held = Segments::default();
    plan.held.into_iter().for_each(|segment| held.push(segment));
    let core = Arc::new(Core {
        dir: dir.to_path_buf(),
        disk,
        store: meta.store,
        time,
        space,
        writer: Mutex::new(writer),
        work: Condvar::new(),
        durable: Signal::new(end.sequence),
        supplied: Signal::new(0),
        slots,
        index: loading.index,
        segments: held,
        young_terms: Mutex::new(loading.young_terms),
        aliases: Mutex::new(loading.aliases),
        table,
        keeper: sender,
        commit_latencies: Latencies::new(),
        counters: Counters::default(),
        open_took: started.elapsed(),
        options,
    });
    let keeper = Keeper {
        core: Arc::clone(&core),
        retired: plan.retired,
        next_number: plan.next_number,
        carrying: None,
    };
    let threads = start(&core, keeper, receiver)?;
    Ok((Embedded::new(core, threads, lock), keyring))
}

/// Looks at what is in `dir`: true for a store, false for room to make one.
fn find(disk: &dyn Disk, dir: &Path, create: bool) -> Result<bool> {
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
        for name in names.iter().filter(|name| **name != LOG_DIR && **name != RESERVE_FILE) {
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
            keyring.save(disk, dir)?;
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
        if name_ends(&name, "new") {
            disk.remove(&path).map_err(failed)?;
        } else if is_segment(&name) {
            segments.push(Arc::new(Segment::open(disk, path, &meta.store)?));
        }
    }
    segments.sort_unstable_by_key(|segment| segment.number);
    Ok(segments)
}

fn is_segment(name: &str) -> bool {
    name_ends(name, "seg")
}

fn name_ends(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|own| own == extension)
}

/// What an open fills before anybody else sees it.
struct Loading {
    index: Index,
    windows: Windows,
    young_terms: BTreeSet<(Term, Key)>,
    aliases: HashSet<u64>,
    /// Tags that several rows of the table have.
    shared: HashSet<u64>,
    /// Hashes of keys with such a tag whose rows in the table the log has replaced.
    resolved: HashSet<u64>,
    high_water: Timestamp,
    slots: Arc<Slots>,
    log: Segments,
    /// The numbers of the segments with frames that are not carried.
    needed: BTreeSet<u64>,
    /// The windows that the table holds something of.
    in_table: BTreeSet<Window>,
}

impl Loading {
    /// Reads the tags of the blocks and the deaths of the revised rows: not the rows.
    fn read_table(&mut self, table: &Table) -> Result<()> {
        let damaged = || Error::corrupt(format!("an index entry in {TABLE_FILE} is damaged"));
        table.read(|transaction| {
            let tags = transaction.open_table(TAGS).map_err(failed)?;
            let mut left = tags.len().map_err(failed)?;
            for entry in tags.range::<table::BlockKey>(..).map_err(failed)? {
                let (key, value) = entry.map_err(failed)?;
                let (key, value) = (key.value(), value.value());
                let (rows, check) = value.split_last_chunk().ok_or_else(damaged)?;
                if u64::from_le_bytes(*check) != table::entry_check(&key, rows) {
                    return Err(damaged());
                }
                left = left.checked_sub(1).ok_or_else(damaged)?;
                let (window, block) = table::read_block_key(&key).ok_or_else(damaged)?;
                let slot = self.windows.slot(window)?;
                self.in_table.insert(window);
                if window.end() <= self.high_water {
                    // Dead for good, and what was said of its rows since may be swept already.
                    continue;
                }
                for (at, row) in rows.chunks(9).enumerate() {
                    let row: &[u8; 9] = row.try_into().map_err(|_| damaged())?;
                    let [a, b, c, d, e, f, g, h, kind] = *row;
                    let tag = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                    let row = u16::try_from(at).map_err(|_| damaged())?;
                    let place = Place::new(slot, Where::Block { block, row });
                    self.add(tag, place, Kind::from_byte(kind));
                }
            }
            let deaths = transaction.open_table(DEATHS).map_err(failed)?;
            left = left.checked_add(deaths.len().map_err(failed)?).ok_or_else(damaged)?;
            for entry in deaths.range::<table::DeathKey>(..).map_err(failed)? {
                let (death, check) = entry.map_err(failed)?;
                let death = death.value();
                if check.value() != table::entry_check(&death, &[]) {
                    return Err(damaged());
                }
                left = left.checked_sub(1).ok_or_else(damaged)?;
                let key = table::key_of(&death).ok_or_else(damaged)?;
                let window = table::window_of(&death).ok_or_else(damaged)?;
                let slot = self.windows.slot(window)?;
                self.in_table.insert(window);
                self.add(self.index.tag(&key), Place::new(slot, Where::ById), key.kind);
            }
            // A damaged inner page loses all entries below it.
            if left == 0 { Ok(()) } else { Err(damaged()) }
        })
    }

    fn add(&mut self, tag: u64, place: Place, kind: Kind) {
        let met = self.index.change(tag, |shard| {
            let met = shard.places(tag).next().is_some();
            shard.insert(tag, place);
            met
        });
        if met == Some(true) {
            self.shared.insert(tag);
        }
        self.windows.add(place.slot(), kind);
    }

    /// Puts a frame of the log into the index. Rows that have died are put there as well: they
    /// stand before older versions in the table until both are swept.
    fn replay(
        &mut self,
        table: &Table,
        segment: &Segment,
        offset: u32,
        frame: Frame,
    ) -> Result<()> {
        self.high_water = self.high_water.max(frame.header.settled);
        self.needed.insert(segment.number);
        for (at, row) in frame.records {
            let key = row.key();
            let tag = self.index.tag(&key);
            let before: Vec<Place> =
                self.index.read(tag, |shard| shard.places(tag).collect()).unwrap_or_default();
            // As in a commit: never under a window swept earlier than that of the version before.
            let windows = before.iter().filter_map(|place| self.slots.window(place.slot()));
            let own = Window::of(row.expires_at(), frame.header.settled);
            let window = windows.chain([own]).max_by_key(|window| window.turn()).unwrap_or(own);
            if self.windows.is_crowded_for(window) {
                self.forget_ended(frame.header.settled);
            }
            let slot = self.windows.slot(window)?;
            let at = offset.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            self.supersede(table, tag, &key, before)?;
            let place = Place::in_log(slot, segment.number, at);
            self.index.change(tag, |shard| shard.insert(tag, place));
            if !row.is_tombstone() {
                self.windows.add(slot, key.kind);
                self.young_terms.extend(row.terms().iter().map(|term| (term, key)));
            }
        }
        Ok(())
    }

    /// Forgets the windows that had ended by `settled`: a long log of short lifetimes has more
    /// windows than live at any one time. What the table holds of a window is still to be cut, so
    /// those stay.
    fn forget_ended(&mut self, settled: Timestamp) {
        let ended: Vec<Window> = self
            .windows
            .live()
            .filter(|window| window.end() <= settled && !self.in_table.contains(window))
            .collect();
        for window in ended {
            self.windows.kill(window);
        }
        let dead = self.windows.dead();
        self.index.forget(|slot| dead.binary_search(&slot).is_ok());
        self.windows.forget(&dead);
    }

    /// Takes away the entry of an older version in the log. One in the table is left until the
    /// row is carried or written again: to look at it now would cost a read for each family that
    /// was rotated since the last checkpoint; where tags meet, there is no other way.
    fn supersede(&mut self, table: &Table, tag: u64, key: &Key, before: Vec<Place>) -> Result<()> {
        // Two keys under one window have the same place by id: only one of them is the key's own.
        let first = self.shared.contains(&tag) && self.resolved.insert(self.index.hash(key));
        let mut by_id = first;
        for place in before {
            let Where::Log { segment, offset } = place.at() else {
                if !self.shared.contains(&tag) {
                    self.aliases.insert(self.index.hash(key));
                } else if first
                    && (by_id || place.at() != Where::ById)
                    && self.is_own(table, key, place)?
                {
                    by_id &= place.at() != Where::ById;
                    self.index.change(tag, |shard| shard.remove(tag, place));
                    self.windows.remove(place.slot(), key.kind);
                }
                continue;
            };
            if let Some(row) = self.log.row(segment, offset)?.filter(|row| row.key() == *key) {
                self.index.change(tag, |shard| shard.remove(tag, place));
                if !row.is_tombstone() {
                    self.windows.remove(place.slot(), key.kind);
                }
            }
        }
        Ok(())
    }
}

impl Loading {
    /// True if a place in the table is that of `key`.
    fn is_own(&self, table: &Table, key: &Key, place: Place) -> Result<bool> {
        let Some(window) = self.slots.window(place.slot()) else { return Ok(false) };
        if place.at() == Where::ById {
            return Ok(table.view()?.filed(key)?.is_some_and(|(filed, _)| filed == window));
        }
        let row = table.view()?.row(key, window, place.at())?;
        Ok(row.is_some_and(|row| row.key() == *key))
    }
}

fn start(
    core: &Arc<Core>,
    keeper: Keeper,
    work: crossbeam::channel::Receiver<Work>,
) -> Result<Threads> {
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
