//! Stores for the scenarios: made once, copied for each schedule, opened on a disk of steps.

use crate::explore::{config, seed};
use crate::sim_disk::SimDisk;
use crate::stepping::SteppingDisk;
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Row, Term, Terms};
use grantkeep::{
    Digest, Disk, Embedded, Error, ErrorKind, KeySource, Keyring, ManualClock, OpenMode, Options,
    Store, Timestamp, Wait as _,
};
use shuttle::Runner;
use shuttle::rand::{Rng as _, RngCore as _, thread_rng};
use shuttle::scheduler::RandomScheduler;
use std::path::Path;
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

const DIR: &str = "/store";
/// An eighth of the smallest log.
const SEGMENT_BYTES: u64 = 256 << 10;
/// A commit of one or two small rows fits in this, and not many do.
const LEFT_BYTES: u64 = 700;
/// The longest value.
const VALUE_BYTES_MAX: u64 = 32_000;
/// Stores whose rows are dealt to shards in other ways.
const DEALS: u64 = 4;

/// Long enough to outlive every scenario.
pub const LONG: Duration = Duration::from_secs(24 * 3600);

/// What a schedule starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A store with four rows, closed in order.
    Few,
    /// The same with so little room left in its segment that the scenario outgrows it.
    NearlyFull,
    /// A store with four rows, older versions of which are in the table beside those of the log.
    Revised,
}

/// Stores that each schedule gets a copy of.
#[derive(Debug, Clone)]
pub struct Images(Arc<Vec<SimDisk>>);

impl Images {
    /// A copy of one of them.
    pub fn choose(&self) -> SimDisk {
        self.0[thread_rng().gen_range(0..self.0.len())].kill()
    }
}

/// Makes the stores, once in a process.
pub fn images(start: Start) -> Images {
    static MADE: [OnceLock<Images>; 3] = [const { OnceLock::new() }; 3];
    MADE[start as usize]
        .get_or_init(|| {
            name_batches();
            let made = Arc::new(Mutex::new(Vec::new()));
            for deal in 0..DEALS {
                let made = Arc::clone(&made);
                let scheduler = RandomScheduler::new_from_seed(seed() + deal, 1);
                Runner::new(scheduler, config()).run(move || {
                    let disk = SimDisk::new();
                    prepare(&disk, start, deal);
                    made.lock().unwrap().push(disk);
                });
            }
            Images(Arc::new(std::mem::take(&mut *made.lock().unwrap())))
        })
        .clone()
}

/// Has the first random number of a process drawn: where batches begin to be named. Whatever is
/// played first, no schedule has that draw of its own.
fn name_batches() {
    static NAMED: Once = Once::new();
    NAMED.call_once(|| {
        let scheduler = RandomScheduler::new_from_seed(seed(), 1);
        Runner::new(scheduler, config()).run(|| drop(Batch::new()));
    });
}

fn prepare(disk: &SimDisk, start: Start, deal: u64) {
    let world = World::quiet(disk);
    let put_all = || {
        for number in 0..4 {
            assert_eq!(world.put(&[(key(number), 0)]).unwrap(), Outcome::Applied);
        }
    };
    put_all();
    if start == Start::Revised {
        // One kind stays in blocks, the other is filed by id the second time.
        for _ in 0..2 {
            world.store.checkpoint().wait().unwrap();
            put_all();
        }
    }
    if start == Start::NearlyFull {
        fill(&world);
    }
    world.store.close().unwrap();
    if start == Start::NearlyFull && deal.is_multiple_of(2) {
        // No segment is ready for when this one is full: commits wait until one is.
        let log = Path::new(DIR).join("log");
        let spares = [2, 3].map(|number| log.join(format!("{number:012}.seg")));
        if spares.map(|spare| disk.remove(&spare).is_ok()).contains(&true) {
            disk.sync_dir(&log).unwrap();
            // As of a store that never made one: the lock says nothing of it.
            let lock = disk.open(&Path::new(DIR).join("LOCK"), OpenMode::Existing).unwrap();
            let closed = b"closed\n";
            lock.set_len(closed.len() as u64).unwrap();
            lock.write_at(closed, 0).unwrap();
            lock.sync_data().unwrap();
        }
    }
}

/// Leaves little room in the segment that is written to.
fn fill(world: &World) {
    loop {
        let left = SEGMENT_BYTES - world.store.stats().log_backlog_bytes;
        if left <= LEFT_BYTES {
            break;
        }
        let bytes = VALUE_BYTES_MAX.min(left.saturating_sub(LEFT_BYTES / 2));
        let value = vec![7; usize::try_from(bytes).unwrap()];
        let mut id = [0; 32];
        thread_rng().fill_bytes(&mut id);
        let expires_at = world.store.now().saturating_add(LONG);
        let key = Key::new(Kind::write_once(102), Digest::from_bytes(id));
        let mut batch = Batch::new().unwrap();
        batch.insert(key, NewRow { value, expires_at, terms: Terms::NONE });
        assert_eq!(world.store.commit(batch).wait().unwrap(), Outcome::Applied);
    }
}

/// The key of this number: odd ones are of a kind that is revised.
pub fn key(number: u8) -> Key {
    let kind = if number.is_multiple_of(2) { Kind::write_once(100) } else { Kind::revised(101) };
    Key::new(kind, Digest::from_bytes([number; 32]))
}

/// The term that each row of a revised kind carries; others carry none.
pub fn term() -> Term {
    Term([9; 16])
}

/// A row that says which turn it was written in.
pub fn row(key: Key, turn: u64, expires_at: Timestamp) -> NewRow {
    let mut value = turn.to_le_bytes().to_vec();
    value.resize(64, 0);
    let terms = if key.kind.is_revised() { Terms::one(term()) } else { Terms::NONE };
    NewRow { value, expires_at, terms }
}

/// The turn that a row was written in.
pub fn turn(row: &Row) -> u64 {
    u64::from_le_bytes(*row.value().first_chunk().unwrap())
}

/// An open store, the disk below it, and its clock.
#[derive(Clone)]
pub struct World {
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    pub store: Arc<Embedded>,
}

impl World {
    /// Opens the store on `disk` where the log takes steps, as `change` of the options says.
    pub fn open(disk: &SimDisk, change: impl Fn(Options) -> Options) -> Self {
        Self::on(disk, DIR, Arc::new(SteppingDisk(disk.clone())), change)
    }

    /// Opens the store on `disk` as it is.
    pub fn quiet(disk: &SimDisk) -> Self {
        Self::on(disk, DIR, Arc::new(disk.clone()), |options| options)
    }

    /// Opens the backup in `dir` on `disk` as it is, and without the keyring: rows need none.
    pub fn restored(disk: &SimDisk, dir: &str) -> Self {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        Self::on(disk, dir, Arc::new(disk.clone()), |options| {
            options.restored(true).keys(KeySource::Given(keyring.clone()))
        })
    }

    fn on(
        disk: &SimDisk,
        dir: &str,
        through: Arc<dyn Disk>,
        change: impl Fn(Options) -> Options,
    ) -> Self {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let options = Store::options()
            .clock(clock.clone())
            .disk(through)
            .log_budget_bytes(2 << 20)
            .row_cache_bytes(1 << 20)
            .table_cache_bytes(1 << 20)
            .reserve_bytes(0)
            .by_itself(false);
        let (store, _) = change(options).open_backend(Path::new(dir)).expect("the store opens");
        Self { disk: disk.clone(), clock, store: Arc::new(store) }
    }

    /// The turn in which the row under this key was written.
    pub fn turn(&self, key: Key) -> Result<Option<u64>, Error> {
        Ok(self.store.get(key).wait()?.as_ref().map(turn))
    }

    /// Writes rows in one batch, in place of what is there.
    pub fn put(&self, rows: &[(Key, u64)]) -> Result<Outcome, Error> {
        let mut batch = Batch::new()?;
        for (key, turn) in rows {
            let new = row(*key, *turn, self.store.now().saturating_add(LONG));
            match self.store.get(*key).wait()? {
                Some(held) => batch.replace(*key, held.version(), new),
                None => batch.insert(*key, new),
            };
        }
        self.store.commit(batch).wait()
    }

    /// Deletes rows in one batch.
    pub fn delete(&self, keys: &[Key]) -> Result<Outcome, Error> {
        let mut batch = Batch::new()?;
        for key in keys {
            let held = self.store.get(*key).wait()?.expect("a row to delete");
            batch.delete(*key, held.version());
        }
        self.store.commit(batch).wait()
    }

    /// The disk as a power cut at this moment leaves it.
    pub fn power_cut(&self) -> SimDisk {
        self.disk.crash(thread_rng().next_u64())
    }

    /// Reads everything that is stored; nothing of it is damaged.
    pub fn verify(&self) {
        let found = self.store.verify(|_| {}).wait().unwrap();
        assert_eq!(found.damages, 0, "{:?}", found.named);
    }
}

/// Holds what an image of the disk holds against what it must hold at least: for each key, the turn
/// that was acknowledged or seen before the image was taken.
pub fn holds(image: &SimDisk, at_least: &[(Key, u64)]) {
    let world = World::quiet(image);
    for (key, seen) in at_least {
        let stored = world.turn(*key).unwrap();
        assert!(stored >= Some(*seen), "{key:?}: turn {seen} was seen, {stored:?} is stored");
    }
    world.verify();
    world.store.close().unwrap();
}

/// Opens the store as it was left: of each writer the turn that was acknowledged, or the next one
/// if nobody could know, and no half of a batch.
pub fn agrees(image: &SimDisk, told: impl Iterator<Item = (u8, (u64, bool))>) {
    let again = World::quiet(image);
    for (number, (turn, unknown)) in told {
        let stored = again.turn(key(number)).unwrap().unwrap();
        assert!(stored == turn || (unknown && stored == turn + 1), "{number}: {stored}");
        let other = again.turn(key(number + 10)).unwrap().unwrap_or(0);
        assert_eq!(other, stored, "half of a batch");
    }
    again.store.close().unwrap();
}

/// Fails unless the error is what a store answers that takes no more work.
pub fn refused(error: &Error) {
    let kind = error.kind();
    let expected = matches!(kind, ErrorKind::Unavailable | ErrorKind::Unknown);
    assert!(expected, "{kind:?}: {error}");
}
