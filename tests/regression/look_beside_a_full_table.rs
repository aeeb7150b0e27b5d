use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Terms};
use grantkeep::{Embedded, ErrorKind, Wait as _};
use grantkeep_tests::pressure::strained::{Strain, Strained};
use grantkeep_tests::process::DEADLINE;
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROWS: u64 = 3_000;
const ROUNDS: u64 = 40;
const READERS: usize = 3;

fn key(number: u64) -> Key {
    samples::key(Kind::write_once(200), number)
}

fn insert(engine: &Embedded, from: u64, rows: u64) {
    for number in from..from + rows {
        let expires_at = engine.now().saturating_add(Duration::from_secs(3_600));
        let row = NewRow { value: vec![7; 200], expires_at, terms: Terms::NONE };
        let mut batch = Batch::new().unwrap();
        batch.insert(key(number), row);
        engine.commit(batch).wait().unwrap();
    }
}

/// Carries to a table without room, again and again; answers how often that was refused.
fn press(engine: &Embedded, strain: &Strain) -> u64 {
    let mut refused = 0;
    for round in 0..ROUNDS {
        insert(engine, ROWS + round * 100, 100);
        strain.resize(strain.used_bytes());
        let carried = engine.checkpoint().wait();
        refused += u64::from(carried.is_err_and(|error| error.kind() == ErrorKind::Full));
        strain.resize(64 << 20);
        let begun = Instant::now();
        while !engine.health().is_open() {
            assert!(begun.elapsed() < DEADLINE, "{:?}", engine.health());
            std::thread::yield_now();
        }
    }
    refused
}

// Goal: P8, a table that has no room for a checkpoint is no reason to refuse a look-up. redb gives
// the whole database up after a refused write, and look-ups that were under way answered `Io`.
// Method: threads look cold rows up while the table is carried to on a disk without room, again and
// again.
#[test]
fn look_ups_go_on_beside_a_table_without_room() {
    let (clock, strain) = (manual_clock(), Strain::with_room(64 << 20, true));
    let disk = Strained::over(Arc::new(SimDisk::new()), &strain);
    let keys = grantkeep::KeySource::Given(grantkeep::Keyring::generate().unwrap());
    let options = options(&clock).disk(disk).keys(keys).row_cache_bytes(0).table_cache_bytes(0);
    let (engine, _) = options.open_backend(Path::new("/store")).unwrap();
    insert(&engine, 0, ROWS);
    engine.checkpoint().wait().unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    for number in 0..ROWS {
                        assert!(engine.get(key(number)).wait().unwrap().is_some());
                    }
                }
            });
        }
        let press = std::panic::AssertUnwindSafe(|| press(&engine, &strain));
        let refused = std::panic::catch_unwind(press);
        ended.store(true, Ordering::Relaxed);
        assert!(refused.unwrap() > 0, "the table was never without room");
    });
    engine.close().unwrap();
}
