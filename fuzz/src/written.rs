//! Stores to be damaged: each is written once, on a simulated disk, by the engine itself, and what
//! it held after each commit is known.

use crate::frames::{DATA, HEADER_COPIES};
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Row, Term, Terms};
use grantkeep::{
    Digest, Disk as _, DiskFile, Embedded, KeySource, Keyring, ManualClock, OpenMode, Result,
    Wait as _,
};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIFETIME: Duration = Duration::from_secs(3_600);

/// How many keys the stores have rows under.
pub(crate) const KEYS: u8 = 48;
/// How many index terms they have.
pub(crate) const TERMS: u8 = 3;

/// Everything a store held at one moment.
pub(crate) type State = BTreeMap<Key, Row>;

/// A store as it was left, and what it held after each commit.
pub(crate) struct Written {
    pub(crate) disk: SimDisk,
    pub(crate) states: Vec<State>,
}

/// Every second key is of a revised kind, which has index terms.
pub(crate) fn key(number: u8) -> Key {
    let kind = if number.is_multiple_of(2) { Kind::write_once(1) } else { Kind::revised(2) };
    Key::new(kind, Digest::from_bytes([number + 1; 32]))
}

pub(crate) fn keys() -> Vec<Key> {
    (0..KEYS).map(key).collect()
}

pub(crate) fn term(number: u8) -> Term {
    Term([number; 16])
}

pub(crate) fn dir() -> &'static Path {
    Path::new("/store")
}

/// Opens the store on `disk`.
pub(crate) fn open(disk: &SimDisk) -> Result<Embedded> {
    let keys = Keyring::from_keys([(1, [7; 32])]).expect("a keyring");
    let opened = options_on(disk, &manual_clock()).keys(KeySource::Given(keys)).create(false);
    Ok(opened.open_backend(dir())?.0)
}

fn options_on(disk: &SimDisk, clock: &Arc<ManualClock>) -> grantkeep::Options {
    options(clock).disk(Arc::new(disk.clone()))
}

/// Opens a file of the store.
pub(crate) fn file(disk: &SimDisk, name: &Path, mode: OpenMode) -> Arc<dyn DiskFile> {
    disk.open(&dir().join(name), mode).expect("a file of the store")
}

pub(crate) fn content(disk: &SimDisk, name: &Path) -> Vec<u8> {
    disk.content(&dir().join(name)).expect("a file of the store")
}

pub(crate) fn log_files(disk: &SimDisk) -> Vec<PathBuf> {
    let names = disk.list(&dir().join("log")).expect("a log");
    names.iter().map(|name| Path::new("log").join(name)).collect()
}

/// Segments that the store keeps ready.
const SPARES: usize = 2;
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Writes a store, commit by commit.
pub(crate) struct Author {
    disk: SimDisk,
    backend: Embedded,
    states: Vec<State>,
}

impl Author {
    pub(crate) fn new() -> Self {
        let disk = SimDisk::new();
        let keys = Keyring::from_keys([(1, [7; 32])]).expect("a keyring");
        let made = options_on(&disk, &manual_clock()).keys(KeySource::Given(keys));
        let (backend, _) = made.open_backend(dir()).expect("a fresh store");
        Self { disk, backend, states: vec![State::new()] }
    }

    /// One commit that puts a row of this many bytes under each of these keys.
    pub(crate) fn put(&mut self, numbers: Range<u8>, bytes: usize) {
        let state = self.states.last().expect("a state");
        let mut batch = Batch::new().expect("a batch");
        let turn = u8::try_from(self.states.len() % 251).expect("a byte");
        for number in numbers.clone() {
            let key = key(number);
            let row = NewRow {
                value: (0..bytes).map(|at| turn ^ number ^ at.to_le_bytes()[0]).collect(),
                expires_at: self.backend.now().saturating_add(LIFETIME),
                terms: terms(key, number),
            };
            match state.get(&key) {
                Some(there) => batch.replace(key, there.version(), row),
                None => batch.insert(key, row),
            };
        }
        self.commit(batch, numbers);
    }

    /// One commit that deletes these keys.
    pub(crate) fn delete(&mut self, numbers: Range<u8>) {
        let state = self.states.last().expect("a state");
        let mut batch = Batch::new().expect("a batch");
        for number in numbers.clone() {
            batch.delete(key(number), state[&key(number)].version());
        }
        self.commit(batch, numbers);
    }

    fn commit(&mut self, batch: Batch, numbers: Range<u8>) {
        assert_eq!(self.backend.commit(batch).wait().expect("a commit"), Outcome::Applied);
        let mut state = self.states.last().expect("a state").clone();
        for key in numbers.map(key) {
            match self.backend.get(key).wait().expect("an answer") {
                Some(row) => state.insert(key, row),
                None => state.remove(&key),
            };
        }
        self.states.push(state);
    }

    pub(crate) fn checkpoint(&self) {
        self.backend.checkpoint().wait().expect("a checkpoint");
    }

    /// The store makes its spares on its own time: with one of them in the making, an input would
    /// lead to something else each time.
    fn wait_for_spares(&self) {
        let begun = Instant::now();
        let spares = || {
            let disk = self.disk.kill();
            log_files(&disk).iter().filter(|name| is_spare(&content(&disk, name))).count()
        };
        while spares() < SPARES {
            assert!(begun.elapsed() < WAIT_MAX, "a store that does not make its spares");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The store as the end of its process leaves it.
    pub(crate) fn killed(self) -> Written {
        self.wait_for_spares();
        Written { disk: self.disk.kill(), states: self.states }
    }

    /// The store as an orderly close leaves it.
    pub(crate) fn closed(self) -> Written {
        self.wait_for_spares();
        self.backend.close().expect("an orderly close");
        Written { disk: self.disk.kill(), states: self.states }
    }
}

/// True for a segment that is ready, and that no frame was written to.
fn is_spare(bytes: &[u8]) -> bool {
    let begins = |at: usize| bytes.get(at..at + 8).is_some_and(|word| word != [0; 8]);
    bytes.len() > DATA && HEADER_COPIES.into_iter().all(begins) && !begins(DATA)
}

fn terms(key: Key, number: u8) -> Terms {
    match number / 2 % 4 {
        _ if !key.kind.is_revised() => Terms::NONE,
        0 => Terms::NONE,
        1 => Terms::two(term(0), term(2)),
        number => Terms::one(term(number - 1)),
    }
}
