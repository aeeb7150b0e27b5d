//! Each call that a store makes of its disk fails: once, for a while, and for good. What follows is
//! the table of calls in `docs/design.md`.

use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Embedded, ErrorKind, Health, ManualClock, Wait as _};
use grantkeep_tests::refusing::{Call, Part, RefusingDisk};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const DIR: &str = "/store";
const DEADLINE: Duration = Duration::from_secs(60);
/// So many rows of so many bytes outgrow a log of 2 MiB.
const ROWS: u64 = 500;
const ROW_BYTES: usize = 6_000;
const KIND: Kind = Kind::write_once(100);
const LONG: Duration = Duration::from_secs(3_600);

/// What a failed call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The store is poisoned: what was promised may or may not be on the device.
    Poisons,
    /// It is tried again, or refused once; the store recovers by itself.
    Recovers,
}

/// How long calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Once,
    AWhile,
    ForGood,
}

const CALLS: [(Part, Call, Effect); 23] = [
    (Part::Segment, Call::Write, Effect::Poisons),
    (Part::Segment, Call::Sync, Effect::Poisons),
    (Part::Segment, Call::Read, Effect::Recovers),
    (Part::Segment, Call::Remove, Effect::Recovers),
    (Part::FreshSegment, Call::Open, Effect::Recovers),
    (Part::FreshSegment, Call::Write, Effect::Recovers),
    (Part::FreshSegment, Call::Sync, Effect::Recovers),
    (Part::FreshSegment, Call::Rename, Effect::Recovers),
    (Part::Log, Call::Sync, Effect::Recovers),
    (Part::Lock, Call::Write, Effect::Recovers),
    (Part::Lock, Call::Sync, Effect::Recovers),
    (Part::Lock, Call::SetLength, Effect::Recovers),
    (Part::Reserve, Call::Open, Effect::Recovers),
    (Part::Reserve, Call::Length, Effect::Recovers),
    (Part::Reserve, Call::Write, Effect::Recovers),
    (Part::Reserve, Call::Sync, Effect::Recovers),
    (Part::Reserve, Call::Remove, Effect::Recovers),
    (Part::Table, Call::Read, Effect::Recovers),
    (Part::Table, Call::Write, Effect::Recovers),
    (Part::Table, Call::Sync, Effect::Recovers),
    (Part::Table, Call::SetLength, Effect::Recovers),
    (Part::Table, Call::Length, Effect::Recovers),
    (Part::Table, Call::DropCache, Effect::Recovers),
];

fn key(number: u64) -> Key {
    samples::key(KIND, number)
}

/// A store under faults, and what it has acknowledged.
struct Subject {
    disk: RefusingDisk,
    clock: Arc<ManualClock>,
    store: Embedded,
    /// True for a row that is there, false for one that was deleted.
    acknowledged: BTreeMap<u64, bool>,
    next: u64,
    /// Errors by kind.
    errors: BTreeMap<String, u64>,
}

impl Subject {
    fn new() -> Self {
        let (disk, clock) = (RefusingDisk::over(SimDisk::new()), manual_clock());
        let store = open(&disk, &clock).unwrap();
        let (acknowledged, errors) = (BTreeMap::new(), BTreeMap::new());
        Self { disk, clock, store, acknowledged, next: 0, errors }
    }

    fn note(&mut self, kind: ErrorKind) {
        *self.errors.entry(format!("{kind:?}")).or_default() += 1;
    }

    /// Issues rows, some of which die soon; answers how many.
    fn issue(&mut self, rows: u64) -> u64 {
        let mut issued = 0;
        for _ in 0..rows {
            let number = self.next;
            self.next += 1;
            let lifetime = if number.is_multiple_of(5) { LONG / 60 } else { 24 * LONG };
            let expires_at = self.store.now().saturating_add(lifetime);
            let mut batch = Batch::new().unwrap();
            let value = vec![7; ROW_BYTES];
            batch.insert(key(number), NewRow { value, expires_at, terms: Terms::NONE });
            match self.store.commit(batch).wait() {
                Ok(outcome) => {
                    assert_eq!(outcome, Outcome::Applied);
                    // Those that die soon are swept while others are checked.
                    if !number.is_multiple_of(5) {
                        self.acknowledged.insert(number, true);
                    }
                    issued += 1;
                }
                Err(error) => self.note(error.kind()),
            }
        }
        issued
    }

    /// Deletes some of what is there, which is what a revocation does; answers how many could not
    /// be deleted. There may be fewer rows than asked for: what was issued may have been refused.
    fn revoke(&mut self, rows: usize) -> usize {
        let there = |(number, there): (&u64, &bool)| there.then_some(*number);
        let numbers: Vec<u64> = self.acknowledged.iter().filter_map(there).take(rows).collect();
        let mut refused = numbers.len();
        for number in numbers {
            let row = match self.store.get(key(number)).wait() {
                Ok(row) => row.expect("acknowledged"),
                Err(error) => {
                    self.note(error.kind());
                    continue;
                }
            };
            let mut batch = Batch::new().unwrap();
            batch.delete(key(number), row.version());
            match self.store.commit(batch).wait() {
                Ok(_) => {
                    self.acknowledged.insert(number, false);
                    refused -= 1;
                }
                Err(error) if error.kind() == ErrorKind::Unknown => {
                    self.acknowledged.remove(&number);
                    self.note(ErrorKind::Unknown);
                }
                Err(error) => self.note(error.kind()),
            }
        }
        refused
    }

    /// Everything that a store does; what fails is counted.
    fn work(&mut self) {
        self.issue(ROWS / 2);
        let carried = self.store.checkpoint().wait();
        self.clock.advance(LONG / 30);
        let swept = self.store.sweep(Budget::ALL).wait().map(|_| ());
        self.issue(ROWS / 2);
        let found: Vec<_> =
            (0..self.next).step_by(7).map(|number| self.store.get(key(number)).wait()).collect();
        let looked = found.into_iter().map(|found| found.map(|_| ()));
        for error in looked.chain([carried, swept]).filter_map(Result::err) {
            self.note(error.kind());
        }
    }

    /// Everything acknowledged is as it was told.
    fn check(&self, what: &str) {
        check(&self.store, &self.acknowledged, what);
    }

    /// Waits until the store says that it is open.
    fn recovered(&self, what: &str) {
        let begun = Instant::now();
        while self.store.health() != Health::Open {
            assert!(begun.elapsed() < DEADLINE, "{what}: {}", self.store.health());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn open(disk: &RefusingDisk, clock: &Arc<ManualClock>) -> grantkeep::Result<Embedded> {
    let keys = grantkeep::KeySource::Given(grantkeep::Keyring::generate()?);
    let options = options(clock).disk(Arc::new(disk.clone())).row_cache_bytes(0).keys(keys);
    Ok(options.reserve_bytes(1 << 20).by_itself(true).open_backend(Path::new(DIR))?.0)
}

fn check(store: &Embedded, acknowledged: &BTreeMap<u64, bool>, what: &str) {
    for (number, there) in acknowledged {
        let row = store.get(key(*number)).wait().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(row.is_some(), *there, "{what}: row {number}");
    }
}

/// Opens the store as a crash and as the end of the process leave it.
fn reopen(disk: &SimDisk, clock: &Arc<ManualClock>, told: &BTreeMap<u64, bool>, what: &str) {
    for (how, image) in [("process ended", disk.kill()), ("power cut", disk.crash(1))] {
        let store = open(&RefusingDisk::over(image), clock)
            .unwrap_or_else(|error| panic!("{what}, {how}: {error}"));
        check(&store, told, &format!("{what}, {how}"));
        let found = store.verify(|_| {}).wait().unwrap();
        assert_eq!(found.damages, 0, "{what}, {how}: {:?}", found.named);
        store.close().unwrap();
    }
}

/// Plays one kind of call that fails; answers how many have, and what was answered.
fn play(
    (part, call, effect): (Part, Call, Effect),
    lasting: Lasting,
    error: io::ErrorKind,
) -> (u64, BTreeMap<String, u64>) {
    let what = format!("{call:?} of {part:?} fails with {error:?}, {lasting:?}");
    let mut subject = Subject::new();
    subject.issue(20);
    let times = if lasting == Lasting::Once { 1 } else { u64::MAX };
    subject.disk.refuse(part, call, error, times);
    // What is called after another failure alone.
    match (part, call) {
        (Part::Reserve, _) => {
            subject.disk.refuse(Part::FreshSegment, Call::Write, io::ErrorKind::StorageFull, 1);
        }
        (Part::Table, Call::DropCache | Call::Length) => {
            subject.disk.refuse(Part::Table, Call::Sync, io::ErrorKind::Other, 1);
        }
        _ => {}
    }
    subject.work();
    let poisoned = matches!(subject.store.health(), Health::Poisoned { .. });
    if effect == Effect::Poisons {
        assert!(poisoned, "{what}: {}", subject.store.health());
    } else {
        assert!(!poisoned, "{what}: {}", subject.store.health());
        // Of what is still read: a row whose read fails cannot be revoked.
        let reads = matches!(call, Call::Read | Call::DropCache | Call::Length);
        let refused = subject.revoke(20);
        let told = &subject.errors;
        assert!(
            refused == 0 || reads || part == Part::Table,
            "{what}: {refused} refused, {told:?}"
        );
        if lasting != Lasting::ForGood {
            subject.disk.heal();
            subject.recovered(&what);
            assert!(subject.issue(20) == 20, "{what}: {:?}", subject.errors);
            subject.work();
            subject.store.checkpoint().wait().unwrap_or_else(|error| panic!("{what}: {error}"));
            subject.check(&what);
        }
    }
    let Subject { disk, clock, store, acknowledged, errors, .. } = subject;
    reopen(&disk.disk, &clock, &acknowledged, &what);
    // With the fault still there, if it is: it ends, and may say that it could not do all.
    let _ = store.close();
    let refused = disk.refused();
    disk.heal();
    reopen(&disk.disk, &clock, &acknowledged, &format!("{what}, closed"));
    (refused, errors)
}

// Goal: P1, P2, P7, only a write or sync of what was promised ends a store; every other call that
// fails is tried again, revoking goes on meanwhile, and the store recovers by itself. Method: each
// kind of call on each kind of file fails once, for a while, and for good, with an I/O error and
// for want of room, under everything that a store does; then the store as it is, as a power cut
// leaves it, and as its process does, is compared with what was acknowledged. Each within a minute.
#[test]
fn each_call_fails_once_for_a_while_and_for_good() {
    let (mut runs, mut refused) = (0, 0);
    let mut answered: BTreeMap<String, u64> = BTreeMap::new();
    let mut met_of = [0; CALLS.len()];
    for (case, met_of) in CALLS.into_iter().zip(&mut met_of) {
        for lasting in [Lasting::Once, Lasting::AWhile, Lasting::ForGood] {
            for error in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
                if error == io::ErrorKind::StorageFull
                    && (case.1 != Call::Write || case.2 == Effect::Poisons)
                {
                    continue;
                }
                let (told, done) = mpsc::channel();
                let playing = std::thread::spawn(move || {
                    let _ = told.send(play(case, lasting, error));
                });
                let what = format!("{case:?}, {lasting:?}, {error:?}");
                match done.recv_timeout(2 * DEADLINE) {
                    Ok((met, errors)) => {
                        (runs, refused, *met_of) = (runs + 1, refused + met, *met_of + met);
                        for (kind, count) in errors {
                            *answered.entry(kind).or_default() += count;
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        std::panic::resume_unwind(playing.join().unwrap_err())
                    }
                }
            }
        }
    }
    let unmet: Vec<_> = CALLS.iter().zip(met_of).filter(|(_, met)| *met == 0).collect();
    assert!(unmet.is_empty(), "never called: {unmet:?}");
    println!(
        "calls: {} kinds of call failed once, for a while, and for good: {runs} runs, {refused} \
         calls refused, 0 promises broken; answered: {answered:?}",
        CALLS.len()
    );
}
