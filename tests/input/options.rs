use super::HOUR;
use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Embedded, KeySource, Keyring, ManualClock, Options, Store, Wait as _};
use grantkeep_tests::{manual_clock, samples};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn key(number: u64) -> Key {
    samples::key(Kind::write_once(100), number)
}

/// Commits rows of 8 KiB, a few at a time.
fn fill(engine: &Embedded, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(8) {
        let mut batch = Batch::new().unwrap();
        for number in some {
            let expires_at = engine.now().saturating_add(24 * HOUR);
            let value = vec![7; 8_192];
            batch.insert(key(*number), NewRow { value, expires_at, terms: Terms::NONE });
        }
        assert_eq!(engine.commit(batch).wait().unwrap(), Outcome::Applied);
    }
}

fn there(engine: &Embedded, numbers: std::ops::Range<u64>) -> u64 {
    numbers.filter(|number| engine.get(key(*number)).wait().unwrap().is_some()).count() as u64
}

fn segments(dir: &Path) -> Vec<u64> {
    let files = std::fs::read_dir(dir.join("log")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).collect()
}

/// Copies an open store that nobody commits to, as a crash would leave it: what its threads make
/// ready meanwhile is made, or is not.
fn copy_at_rest(path: &Path, copy: &Path) {
    let state = || {
        let names = std::fs::read_dir(path.join("log")).unwrap();
        let mut names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
        names.sort();
        let made = names.iter().all(|name| !name.to_string_lossy().ends_with(".new"));
        made.then(|| (names, std::fs::read(path.join("LOCK")).unwrap()))
    };
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the store never rests");
        let before = state();
        let _ = std::fs::remove_dir_all(copy);
        grantkeep_tests::files::copy_dir(path, copy);
        if before.is_some() && before == state() {
            return;
        }
    }
}

/// Runs `work` on a thread of its own, and fails if it takes too long.
fn in_time(what: &str, work: impl FnOnce() + Send + 'static) {
    let (told, done) = mpsc::channel();
    let working = std::thread::spawn(move || {
        work();
        let _ = told.send(());
    });
    match done.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
        _ => working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// What a store is opened with.
struct Choices {
    clock: Arc<ManualClock>,
    keys: Keyring,
}

impl Choices {
    fn new() -> Self {
        Self { clock: manual_clock(), keys: Keyring::generate().unwrap() }
    }

    fn options(&self) -> Options {
        let keys = KeySource::Given(self.keys.clone());
        Store::options().clock(self.clock.clone()).keys(keys).reserve_bytes(0)
    }
}

// Goal: P1, P7, whatever the options of the last open were, those of this one hold and nothing is
// lost. Method: each option one way and the other between two opens, with commits, a checkpoint, a
// sweep, and look-ups after each.
#[test]
fn every_option_can_be_changed_between_two_opens() {
    type Change = fn(Options) -> Options;
    let changes: [(&str, Change, Change); 6] = [
        ("log budget", |o| o.log_budget_bytes(64 * MIB), |o| o.log_budget_bytes(2 * MIB)),
        ("row cache", |o| o.row_cache_bytes(64 << 20), |o| o.row_cache_bytes(0)),
        ("table cache", |o| o.table_cache_bytes(64 << 20), |o| o.table_cache_bytes(0)),
        ("reserve", |o| o.reserve_bytes(4 * MIB), |o| o.reserve_bytes(0)),
        (
            "longest lifetime",
            |o| o.lifetime_max(Duration::from_secs(100 * 365 * 24 * 3_600)),
            |o| o.lifetime_max(Duration::from_secs(1)),
        ),
        ("background work", |o| o.by_itself(true), |o| o.by_itself(false)),
    ];
    for (what, one, other) in changes {
        let (dir, choices) = (tempfile::tempdir().unwrap(), Choices::new());
        let path = dir.path().join("store");
        let mut next = 0;
        for change in [one, other, one, other] {
            let (engine, _) = change(choices.options()).open_backend(&path).unwrap();
            assert_eq!(there(&engine, 0..next), next, "{what}");
            fill(&engine, next..next + 400);
            next += 400;
            engine.checkpoint().wait().unwrap();
            engine.sweep(Budget::ALL).wait().unwrap();
            assert_eq!(there(&engine, 0..next), next, "{what}");
            assert!(engine.health().is_open(), "{what}: {}", engine.health());
            engine.close().unwrap();
        }
        let reserve = std::fs::metadata(path.join("reserve")).map_or(0, |file| file.len());
        assert_eq!(reserve, 0, "{what}: the reserve of an earlier open is left");
    }
}

// Goal: a reserve is as long as the last open says. Method: 4 MiB, 1 MiB, 2 MiB, none.
#[test]
fn a_reserve_follows_its_option() {
    let (dir, choices) = (tempfile::tempdir().unwrap(), Choices::new());
    let path = dir.path().join("store");
    for mib in [4, 1, 2, 0] {
        let options = choices.options().reserve_bytes(mib * MIB);
        let (engine, _) = options.open_backend(&path).unwrap();
        let reserve = std::fs::metadata(path.join("reserve")).map_or(0, |file| file.len());
        assert_eq!(reserve, mib * MIB);
        engine.close().unwrap();
    }
}

// Goal: P1, no commit waits for a segment that nobody will make, whatever lengths are found on
// disk. Method: stores filled with a large log are opened with a small one, closed in order and
// not, and issue and delete more than a small log holds; each within a minute.
#[test]
fn a_smaller_log_hangs_nothing() {
    for (large, small, rows, closes) in
        [(512, 2, 2_000, true), (512, 2, 2_000, false), (512, 3, 0, true), (64, 2, 1_000, false)]
    {
        let what = format!("a log of {large} MiB, then {small}, closed in order: {closes}");
        let (dir, choices) = (tempfile::tempdir().unwrap(), Choices::new());
        let path = dir.path().join("store");
        let options = choices.options().log_budget_bytes(large * MIB);
        let (engine, _) = options.open_backend(&path).unwrap();
        fill(&engine, 0..rows);
        let path = if closes {
            engine.close().unwrap();
            path
        } else {
            let copy = dir.path().join("copy");
            copy_at_rest(&path, &copy);
            copy
        };
        let options = choices.options().log_budget_bytes(small * MIB);
        in_time(&what, move || {
            let (engine, _) = options.open_backend(&path).unwrap();
            fill(&engine, 10_000..12_000);
            for number in 10_000..10_500 {
                let row = engine.get(key(number)).wait().unwrap().unwrap();
                let mut batch = Batch::new().unwrap();
                batch.delete(key(number), row.version());
                engine.commit(batch).wait().unwrap();
            }
            engine.checkpoint().wait().unwrap();
            assert_eq!(there(&engine, 0..rows), rows);
            assert_eq!(there(&engine, 10_000..12_000), 1_500);
            engine.close().unwrap();
        });
    }
}

// Goal: P1, issuing goes on where the only segment that holds rows is longer than the whole log may
// be, and the only spare one is short: issuing leaves that to revoking, and nothing can be carried
// that would make another. Method: a log of one long segment is opened with a small budget, again
// and again, each time with what is left of it.
#[test]
fn a_long_segment_and_a_short_spare_hang_nothing() {
    for rows in [100, 300, 480, 505] {
        let (dir, choices) = (tempfile::tempdir().unwrap(), Choices::new());
        let path = dir.path().join("store");
        let options = choices.options().log_budget_bytes(64 * MIB).in_passing(true);
        let (engine, _) = options.open_backend(&path).unwrap();
        fill(&engine, 0..rows);
        engine.close().unwrap();
        let options = choices.options().log_budget_bytes(2 * MIB);
        in_time(&format!("{rows} rows, then more"), move || {
            let (engine, _) = options.open_backend(&path).unwrap();
            fill(&engine, 10_000..11_500);
            assert_eq!(there(&engine, 10_000..11_500), 1_500);
            engine.close().unwrap();
        });
    }
}

// Goal: a command leaves a store in the shape it was found in. Method: a store with a small log and
// no reserve is opened in passing, with other options, and read, backed up, and changed.
#[test]
fn a_store_opened_in_passing_keeps_its_shape() {
    let (dir, choices) = (tempfile::tempdir().unwrap(), Choices::new());
    let path = dir.path().join("store");
    let options = || choices.options().log_budget_bytes(2 * MIB);
    let (engine, _) = options().open_backend(&path).unwrap();
    fill(&engine, 0..500);
    engine.close().unwrap();
    let before = segments(&path);
    let passing = choices.options().log_budget_bytes(1 << 30).reserve_bytes(16 * MIB);
    let (engine, _) = passing.in_passing(true).open_backend(&path).unwrap();
    assert_eq!(there(&engine, 0..500), 500);
    engine.backup(&dir.path().join("copy")).wait().unwrap();
    fill(&engine, 500..1_000);
    engine.close().unwrap();
    assert!(!path.join("reserve").exists());
    let longest = |lengths: &[u64]| lengths.iter().max().copied();
    assert_eq!(longest(&segments(&path)), longest(&before));
    let (engine, _) = options().open_backend(&path).unwrap();
    fill(&engine, 1_000..1_500);
    assert_eq!(there(&engine, 0..1_500), 1_500);
}
