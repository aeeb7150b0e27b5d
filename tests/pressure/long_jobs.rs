//! How long commits take while a long job runs over many rows.

use futures_executor::block_on;
use futures_util::future::join_all;
use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Embedded, KeySource, Keyring, ManualClock, OsDisk, Store, Wait as _};
use grantkeep_tests::pressure::strained::{Strain, Strained};
use grantkeep_tests::{manual_clock, samples, setting};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROWS: u64 = 1_000_000;
const LOG_BUDGET_BYTES: u64 = 16 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A quarter of the rows lives so long each.
const LIVES: [Duration; 4] = [
    Duration::from_secs(600),
    Duration::from_secs(6_000),
    Duration::from_secs(60_000),
    Duration::from_secs(30 * 24 * 3600),
];
const WRITERS: u64 = 4;
/// How long a writer rests between two commits, and how long they are measured beforehand.
const REST: Duration = Duration::from_micros(500);
const BEFORE: Duration = Duration::from_secs(2);
/// A job that holds a commit up does so whenever it runs; another process that takes the processors
/// or the device away for a moment does not. So a job must keep to the bound in one of so many
/// rounds.
const ROUNDS: usize = 3;
/// How much longer a slow target takes for each MiB.
const SLOW: Duration = Duration::from_millis(10);

const KIND: Kind = Kind::write_once(200);

fn key(number: u64) -> Key {
    samples::key(KIND, number)
}

fn row(engine: &Embedded, lifetime: Duration, bytes: usize) -> NewRow {
    let expires_at = engine.now().saturating_add(lifetime);
    NewRow { value: vec![7; bytes], expires_at, terms: Terms::NONE }
}

/// Inserts so many rows, many batches at a time.
fn fill(engine: &Embedded, rows: u64) {
    const BATCH: u64 = 60;
    const BATCHES: u64 = 200;
    let mut numbers = (0..rows).peekable();
    while numbers.peek().is_some() {
        let batches = (0..BATCHES).map_while(|_| {
            let own: Vec<u64> = numbers.by_ref().take(usize::try_from(BATCH).ok()?).collect();
            let mut batch = Batch::new().ok()?;
            for number in &own {
                // Rows that die together are together.
                let life = LIVES[usize::try_from(number * 4 / rows).unwrap_or(0)];
                batch.insert(key(*number), row(engine, life, 200));
            }
            (!own.is_empty()).then(|| engine.commit(batch))
        });
        for done in block_on(join_all(batches.collect::<Vec<_>>())) {
            assert_eq!(done.unwrap(), Outcome::Applied);
        }
    }
}

/// The latencies of commits since they were taken last.
type Taken = Mutex<Vec<Duration>>;

fn take(taken: &Taken) -> Vec<Duration> {
    let mut all = std::mem::take(&mut *taken.lock().unwrap());
    all.sort_unstable();
    all
}

fn write_steadily(engine: &Embedded, writer: u64, taken: &Taken, ended: &AtomicBool) {
    for number in 0.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let mut batch = Batch::new().unwrap();
        batch.insert(key((writer + 1) << 40 | number), row(engine, 30 * DAY, 1_000));
        let begun = Instant::now();
        assert_eq!(engine.commit(batch).wait().unwrap(), Outcome::Applied);
        taken.lock().unwrap().push(begun.elapsed());
        std::thread::sleep(REST);
    }
}

/// What is measured beside: the store, its disk, and the writers' latencies.
struct Measured<'a> {
    engine: &'a Embedded,
    clock: &'a ManualClock,
    strain: &'a Strain,
    taken: &'a Taken,
    place: &'a Path,
}

impl Measured<'_> {
    /// Runs a job until it keeps to the bound, a few times at most; prints the figures.
    fn keeps(&self, what: &str, job: impl Fn(&Self, usize)) {
        let mut all = Vec::new();
        for round in 0..ROUNDS {
            take(self.taken);
            std::thread::sleep(BEFORE);
            let before = take(self.taken);
            let p99 = before[before.len() * 99 / 100];
            self.strain.take_longest_log_sync();
            let begun = Instant::now();
            job(self, round);
            let took = begun.elapsed();
            // One that began while the job ran may not have ended yet.
            std::thread::sleep(10 * REST);
            let (sync, during) = (self.strain.take_longest_log_sync(), take(self.taken));
            let longest = during.last().copied().unwrap_or_default();
            let bound = (10 * p99).max(3 * sync);
            all.push(format!(
                "{took:.1?}, {} commits, p99 before {p99:.1?}, longest sync {sync:.1?}, longest \
                 commit {longest:.1?} of {bound:.1?} allowed",
                during.len()
            ));
            if longest <= bound {
                println!(
                    "pressure: {what} kept to the bound in round {}: {}",
                    round + 1,
                    all[round]
                );
                return;
            }
        }
        panic!("{what} held commits up: {all:#?}");
    }
}

// Goal: while a long job runs over a million rows and a log of 16 MiB, no commit takes longer than
// ten times the p99 of commits before it, or three times the longest sync meanwhile, whichever is
// larger. Method: four steady writers; each job in turn, a backup also to a target that is slow;
// every commit is timed, and every sync of the log.
#[test]
fn no_job_holds_up_commits() {
    let _alone = super::alone();
    let place = tempfile::tempdir().unwrap();
    let (clock, strain, taken) = (manual_clock(), Strain::new(), Taken::default());
    let slow = place.path().join("slow");
    strain.slow_down(&slow, SLOW);
    let options = Store::options()
        .clock(clock.clone())
        .keys(KeySource::Given(Keyring::generate().unwrap()))
        .disk(Strained::over(Arc::new(OsDisk), &strain))
        .log_budget_bytes(LOG_BUDGET_BYTES)
        .row_cache_bytes(64 << 20);
    let (engine, _) = options.open_backend(&place.path().join("store")).unwrap();
    let rows = setting("GRANTKEEP_PRESSURE_ROWS", ROWS);
    let begun = Instant::now();
    fill(&engine, rows);
    engine.checkpoint().wait().unwrap();
    let table_mib = engine.stats().table_bytes >> 20;
    println!("pressure: {rows} rows, table of {table_mib} MiB, filled in {:.0?}", begun.elapsed());
    let ended = AtomicBool::new(false);
    let measured = Measured {
        engine: &engine,
        clock: &clock,
        strain: &strain,
        taken: &taken,
        place: place.path(),
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (engine, taken, ended) = (&engine, &taken, &ended);
            scope.spawn(move || write_steadily(engine, writer, taken, ended));
        }
        let all = std::panic::AssertUnwindSafe(|| run_jobs(&measured, &slow));
        let done = std::panic::catch_unwind(all);
        ended.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    });
    println!("pressure: longest hold {:.1?}", engine.stats().hold_longest);
    engine.close().unwrap();
}

fn run_jobs(measured: &Measured<'_>, slow: &Path) {
    measured.keeps("verify", |all, _| {
        let found = all.engine.verify(|_| {}).wait().unwrap();
        assert_eq!(found.damages, 0, "{:?}", found.named);
    });
    measured.keeps("backup", |all, round| {
        let to = all.place.join(format!("copy-{round}"));
        all.engine.backup(&to).wait().unwrap();
        std::fs::remove_dir_all(to).unwrap();
    });
    std::fs::create_dir(slow).unwrap();
    measured.keeps("backup to a slow target", |all, round| {
        let to = slow.join(format!("copy-{round}"));
        all.engine.backup(&to).wait().unwrap();
        std::fs::remove_dir_all(to).unwrap();
    });
    measured.keeps("checkpoint", |all, _| all.engine.checkpoint().wait().unwrap());
    measured.keeps("sweep", |all, round| {
        all.clock.advance(2 * LIVES[round]);
        let swept = all.engine.sweep(Budget::ALL).wait().unwrap();
        assert!(swept.rows > 0 || all.engine.stats().swept_rows > 0, "{swept:?}");
    });
}
