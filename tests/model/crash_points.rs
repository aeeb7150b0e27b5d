//! A scripted workload on a disk that fails at every one of its operations in turn.

use crate::machine::{key, term};
use grantkeep::backend::{Backend as _, Batch, Budget, Key, NewRow, Outcome, Terms, Version};
use grantkeep::{
    Embedded, Error, ErrorKind, KeySource, Keyring, ManualClock, Timestamp, Wait as _,
};
use grantkeep_tests::setting;
use grantkeep_tests::sim_disk::{Fault, SimDisk};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DIR: &str = "/store";
/// Power cuts at each operation unless `GRANTKEEP_MODEL_CRASHES` says otherwise.
const CRASHES: u64 = 4;

/// The rows by key: a version of the workload's own, and when it dies.
type Rows = BTreeMap<Key, (Vec<u8>, u64)>;

/// What a store may hold, by what was acknowledged.
#[derive(Debug, Clone, Default)]
struct Ledger {
    rows: Rows,
    /// The rows if the batch that was answered with `Unknown` happened.
    unknown: Option<Rows>,
    acknowledged: u64,
    /// True once an operation was refused: from then on the store stays open.
    failed: bool,
}

struct Workload {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    store: Option<Embedded>,
    ledger: Ledger,
}

fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Result<Embedded, Error> {
    let keys = Keyring::from_keys([(1, [7; 32])]).unwrap();
    let options = grantkeep_tests::options(clock).row_cache_bytes(0);
    let options = options.keys(KeySource::Given(keys)).disk(Arc::new(disk.clone()));
    options.open_backend(Path::new(DIR)).map(|(backend, _)| backend)
}

impl Workload {
    fn new(fault: Option<Fault>) -> Self {
        let (disk, clock) = (SimDisk::new(), grantkeep_tests::manual_clock());
        disk.set_fault(fault);
        Self { disk, clock, store: None, ledger: Ledger::default() }
    }

    /// Runs to the end, or until an operation fails and a while longer.
    fn run(&mut self) {
        self.reopen();
        self.write(&[(0, 60), (1, 60)], 100);
        self.write(&[(2, 3)], 100);
        self.write(&[(3, 3)], 100);
        self.delete(0);
        self.checkpoint();
        self.write(&[(1, 600), (5, 600)], 3_000);
        self.delete(2);
        self.clock.advance(Duration::from_secs(5));
        self.sweep();
        self.reopen();
        // More than a segment, so that the log goes on in the next one.
        for number in 8..20 {
            self.write(&[(number, 600)], 24_000);
        }
        self.write(&[(1, 30), (5, 900)], 200);
        self.checkpoint();
        self.delete(5);
        self.clock.advance(Duration::from_secs(40));
        self.sweep();
        self.write(&[(2, 60), (3, 60)], 100);
        self.reopen();
        self.delete(9);
        self.checkpoint();
    }

    fn now_ms(&self) -> u64 {
        1_800_000_000_000
            + u64::try_from(grantkeep::Clock::monotonic(&*self.clock).as_millis()).unwrap()
    }

    /// Takes down what an operation was answered; whether it was done.
    fn take<T>(&mut self, answer: Result<T, Error>) -> Option<T> {
        match answer {
            Ok(done) => {
                assert!(self.ledger.unknown.is_none(), "acknowledged after an unknown outcome");
                Some(done)
            }
            Err(error) => {
                assert!(self.disk.failed() > 0, "failed on a good disk: {error:?}");
                self.ledger.failed = true;
                None
            }
        }
    }

    fn reopen(&mut self) {
        if self.ledger.failed {
            return;
        }
        if let Some(store) = &self.store {
            let closed = store.close();
            if self.take(closed).is_none() {
                return;
            }
        }
        let opened = open(&self.disk, &self.clock);
        self.store = self.take(opened);
    }

    fn checkpoint(&mut self) {
        let Some(store) = &self.store else { return };
        let done = store.checkpoint().wait();
        self.take(done);
    }

    fn sweep(&mut self) {
        let Some(store) = &self.store else { return };
        let done = store.sweep(Budget::ALL).wait();
        self.take(done);
    }

    /// Puts rows with lifetimes in seconds, in place of those that are there.
    fn write(&mut self, rows: &[(u8, u64)], bytes: usize) {
        let Some(store) = &self.store else { return };
        let mut batch = Batch::new().unwrap();
        let mut after = self.ledger.rows.clone();
        for (number, lifetime_s) in rows {
            let key = key(*number);
            let dies = self.now_ms() + lifetime_s * 1_000;
            let value = vec![u8::try_from(self.ledger.acknowledged).unwrap(); bytes];
            let terms = if key.kind.is_revised() { Terms::one(term(0)) } else { Terms::NONE };
            let expires_at = Timestamp::from_millis(dies);
            let new = NewRow { value: value.clone(), expires_at, terms };
            match version(store, key) {
                Ok(Some(version)) => batch.replace(key, version, new),
                Ok(None) => batch.insert(key, new),
                Err(_) => return,
            };
            after.insert(key, (value, dies));
        }
        self.commit(batch, after);
    }

    fn delete(&mut self, number: u8) {
        let Some(store) = &self.store else { return };
        let key = key(number);
        let Ok(Some(version)) = version(store, key) else { return };
        let mut batch = Batch::new().unwrap();
        batch.delete(key, version);
        let mut after = self.ledger.rows.clone();
        after.remove(&key);
        self.commit(batch, after);
    }

    fn commit(&mut self, batch: Batch, after: Rows) {
        let Some(store) = &self.store else { return };
        let answer = store.commit(batch).wait();
        if let Err(error) = &answer {
            match error.kind() {
                ErrorKind::Unknown => {
                    let first = self.ledger.unknown.replace(after.clone()).is_none();
                    assert!(first, "unknown once more: {error}");
                }
                ErrorKind::Unavailable | ErrorKind::Io => {}
                kind => panic!("{kind:?}: {error}"),
            }
        }
        if self.take(answer).is_some_and(|outcome| outcome == Outcome::Applied) {
            self.ledger.rows = after;
            self.ledger.acknowledged += 1;
        }
    }
}

fn version(store: &Embedded, key: Key) -> Result<Option<Version>, Error> {
    Ok(store.get(key).wait()?.map(|row| row.version()))
}

/// Holds what an opened store answers against the ledger: the rows of every acknowledged commit,
/// and of the one in doubt all or none. Rows that have died may be gone.
fn compare(store: &Embedded, ledger: &Ledger, what: &str) -> Rows {
    let now = store.now().as_millis();
    let mut found = Rows::new();
    for number in 0..20 {
        if let Some(row) = store.get(key(number)).wait().unwrap() {
            found.insert(row.key(), (row.value().to_vec(), row.expires_at().as_millis()));
        }
    }
    let fits = |rows: &Rows| {
        found.iter().all(|(key, row)| rows.get(key) == Some(row))
            && rows.iter().all(|(key, row)| row.1 <= now || found.contains_key(key))
    };
    assert!(
        fits(&ledger.rows) || ledger.unknown.as_ref().is_some_and(fits),
        "{what}: {} commits were acknowledged; found {:?}",
        ledger.acknowledged,
        found.iter().map(|(key, (value, dies))| (key, value.first(), dies)).collect::<Vec<_>>()
    );
    found
}

fn open_image(disk: &SimDisk, clock: &Arc<ManualClock>, what: &str) -> Embedded {
    open(disk, clock).unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// Everything that is stored is whole.
fn verify(store: &Embedded, what: &str) {
    let found = store.verify(|_| {}).wait().unwrap();
    assert_eq!(found.damages, 0, "{what}: {:#?}", found.named);
}

/// Opens what is left, compares it, and makes sure that it works.
fn check(disk: &SimDisk, clock: &Arc<ManualClock>, ledger: &Ledger, what: &str) {
    let store = open_image(disk, clock, what);
    verify(&store, what);
    let found = compare(&store, ledger, what);
    let listed = store.list(term(0), None, 1_000).wait().unwrap();
    let revised = found.keys().filter(|key| key.kind.is_revised());
    assert!(listed.rows.iter().map(grantkeep::backend::Row::key).eq(revised.copied()), "{what}");
    // A new row is taken, and what is there can be carried.
    let mut batch = Batch::new().unwrap();
    let expires_at = store.now().saturating_add(Duration::from_secs(1));
    batch.insert(key(4), NewRow { value: Vec::new(), expires_at, terms: Terms::NONE });
    assert_eq!(store.commit(batch).wait().unwrap(), Outcome::Applied, "{what}");
    store.checkpoint().wait().unwrap();
    verify(&store, what);
    store.close().unwrap();
}

/// Opens what the end of the process leaves. What an open has shown once is there for good: power
/// cuts right after it change nothing, whatever was in the cache.
fn check_process_ended(
    disk: &SimDisk,
    clock: &Arc<ManualClock>,
    ledger: &Ledger,
    what: &str,
    crashes: u64,
) -> u64 {
    let what = format!("{what}, process ended");
    check(&disk.kill(), clock, ledger, &what);
    let image = disk.kill();
    let store = open_image(&image, clock, &what);
    let shown = Ledger { rows: compare(&store, ledger, &what), ..Ledger::default() };
    for seed in 0..crashes {
        check(&image.crash(seed), clock, &shown, &format!("{what}, opened, crash {seed}"));
    }
    crashes + 1
}

/// Runs the workload with a fault at each operation of this residue; answers the points and the
/// images that were checked.
fn sweep_faults(fault: fn(u64) -> Fault, residue: u64) -> (u64, u64) {
    let crashes = setting("GRANTKEEP_MODEL_CRASHES", CRASHES);
    let (mut points, mut images) = (0, 0);
    for operation in (residue..).step_by(2) {
        let mut workload = Workload::new(Some(fault(operation)));
        workload.run();
        if workload.disk.failed() == 0 {
            let acknowledged = workload.ledger.acknowledged;
            assert!(!workload.ledger.failed && acknowledged > 20, "{acknowledged} commits");
            break;
        }
        points += 1;
        let (disk, clock) = (workload.disk.clone(), Arc::clone(&workload.clock));
        drop(workload.store);
        let what = format!("{:?}", fault(operation));
        for seed in 0..crashes {
            let what = format!("{what}, crash {seed}");
            check(&disk.crash(seed), &clock, &workload.ledger, &what);
        }
        images += crashes + check_process_ended(&disk, &clock, &workload.ledger, &what, crashes);
    }
    (points, images)
}

fn sweep_all(fault: fn(u64) -> Fault) {
    let started = Instant::now();
    let halves = std::thread::scope(|scope| {
        let halves = [0, 1].map(|residue| scope.spawn(move || sweep_faults(fault, residue)));
        halves.map(|half| half.join().unwrap())
    });
    let (points, images) = halves.iter().fold((0, 0), |sum, half| (sum.0 + half.0, sum.1 + half.1));
    let seconds = started.elapsed().as_secs_f64();
    println!("{:?} and on: {points} fault points, {images} images, {seconds:.1} s", fault(0));
    assert!(points > 100, "{points} fault points");
}

// Goal: P1, P2, P8: a disk that dies at any operation loses nothing that was acknowledged, and
// nothing is acknowledged after. Method: a workload of every kind of operation, the disk dead from
// operation 0, 1, 2 .. on; power cuts and an end of the process, each opened and held against the
// ledger.
#[test]
fn disk_that_dies_at_any_operation_loses_nothing_acknowledged() {
    sweep_all(Fault::dead_from);
}

// Goal: P1, P2, P8: one failed operation loses nothing, nothing is acknowledged after one whose
// outcome is unknown, and a sync that fails once is not believed afterwards. Method: as above, with
// one failure at operation 0, 1, 2 .. and a disk whose cache takes the bytes of a failed sync for
// clean.
#[test]
fn one_failed_operation_loses_nothing_acknowledged() {
    sweep_all(Fault::once);
}
