//! Runs a case on the embedded engine and on plain maps side by side.

use crate::plan::{
    Case, DAY, KEYS, LEAP_BELIEVED, LEAP_NOT_BELIEVED, LIFETIME_MAX, Op, Step, TERMS, Write,
};
use crate::residue::{self, Residue};
use grantkeep::backend::{
    self, Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Row, Term, Terms, Version,
};
use grantkeep::{
    Digest, Embedded, ErrorKind, KeySource, Keyring, ManualClock, Timestamp, Wait as _,
};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::store_time::StoreTime;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";

/// What was covered, summed over cases.
#[derive(Debug, Default, Clone, Copy)]
pub struct Covered {
    pub cases: u64,
    pub applied: u64,
    pub conflicts: u64,
    pub refused: u64,
    pub sweeps: u64,
    pub swept_rows: u64,
    pub checkpoints: u64,
    pub carried_rows: u64,
    pub reopens: u64,
    pub kills: u64,
    pub crashes: u64,
    pub looks: u64,
}

impl Covered {
    pub fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.applied += other.applied;
        self.conflicts += other.conflicts;
        self.refused += other.refused;
        self.sweeps += other.sweeps;
        self.swept_rows += other.swept_rows;
        self.checkpoints += other.checkpoints;
        self.carried_rows += other.carried_rows;
        self.reopens += other.reopens;
        self.kills += other.kills;
        self.crashes += other.crashes;
        self.looks += other.looks;
    }
}

/// A row as it was acknowledged.
#[derive(Clone)]
struct Known {
    row: NewRow,
    version: Version,
    op: backend::Op,
    /// The run in which it was found swept.
    gone_in: Option<u64>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, version, gone_in, .. } = self;
        let (expires_at, bytes) = (row.expires_at.as_millis(), row.value.len());
        write!(f, "{version:?} until {expires_at}, {bytes} bytes, gone in run {gone_in:?}")
    }
}

/// What was acknowledged of a key.
#[derive(Debug, Clone, Default)]
struct History {
    now: Option<Known>,
    /// The largest version that the key ever had.
    newest: u64,
}

/// How a step of a batch must be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Holds,
    Fails,
    /// The row has expired, and whether it is swept is not known.
    Either,
}

pub struct Machine<'a> {
    case: &'a Case,
    keys: Keyring,
    disk: SimDisk,
    backend: Option<Embedded>,
    time: StoreTime,
    histories: BTreeMap<Key, History>,
    newest: u64,
    /// The settled time that the last acknowledged commit has made durable.
    noted_ms: u64,
    /// Opens so far.
    run: u64,
    covered: Covered,
}

/// Runs a case to its end, and panics where the engine breaks a promise.
pub fn run(case: &Case) -> Covered {
    let mut machine = Machine::new(case);
    for (at, op) in case.ops.iter().enumerate() {
        machine.apply(at as u64, op);
    }
    machine.end()
}

pub fn key(number: u8) -> Key {
    let kinds = [Kind::write_once(1), Kind::revised(1), Kind::write_once(2), Kind::revised(2)];
    let id = Digest::from_bytes([number / 4 * 51; 32]);
    Key::new(kinds[usize::from(number % 4)], id)
}

pub fn term(number: u8) -> Term {
    Term([number; 16])
}

/// The terms of this number, of those that a row of the kind may carry.
fn terms(kind: Kind, number: u8) -> Terms {
    match number {
        _ if !kind.is_revised() => Terms::NONE,
        0 => Terms::NONE,
        1..=3 => Terms::one(term(number - 1)),
        4 => Terms::two(term(0), term(1)),
        5 => Terms::two(term(2), term(1)),
        6 => Terms::of([3, 1, 0, 2].map(|number| Some(term(number)))),
        _ => Terms::of([Some(term(0)), None, Some(term(3)), Some(term(2))]),
    }
}

impl<'a> Machine<'a> {
    fn new(case: &'a Case) -> Self {
        let clock = grantkeep_tests::manual_clock();
        let keys = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let disk = SimDisk::new();
        let backend = Some(open(case, &clock, &keys, &disk));
        let time = StoreTime::new(clock, LEAP_BELIEVED..=LEAP_NOT_BELIEVED);
        let histories = (0..KEYS).map(|number| (key(number), History::default())).collect();
        let covered = Covered { cases: 1, ..Covered::default() };
        Self { case, keys, disk, backend, time, histories, newest: 0, noted_ms: 0, run: 0, covered }
    }

    fn backend(&self) -> &Embedded {
        self.backend.as_ref().unwrap()
    }

    fn apply(&mut self, at: u64, op: &Op) {
        match op {
            Op::Commit(steps) => self.commit(at, steps, false),
            Op::Revoke(steps) => self.commit(at, steps, true),
            Op::List(number, limit) => self.check_list(*number, *limit),
            Op::Sweep(rows) => {
                let swept = self.backend().sweep(Budget::rows(*rows)).wait().unwrap();
                self.covered.sweeps += 1;
                self.covered.swept_rows += swept.rows;
                self.check();
            }
            Op::Checkpoint => {
                self.backend().checkpoint().wait().unwrap();
                self.check();
            }
            Op::Advance(ms) => {
                self.time.advance(*ms);
                self.check();
            }
            Op::StepAhead(ms) => {
                self.time.step_ahead(*ms);
                self.check();
            }
            Op::StepBehind(ms) => {
                self.time.step_behind(*ms);
                self.check();
            }
            Op::AcceptClock => {
                self.backend().accept_clock();
                self.time.accept();
                self.check();
            }
            Op::Reopen => self.reopen_in_order(),
            Op::Kill => {
                self.covered.kills += 1;
                self.reopen_abruptly(self.disk.kill());
            }
            Op::Crash(seed) => {
                self.covered.crashes += 1;
                self.reopen_abruptly(self.disk.crash(*seed));
            }
        }
    }

    fn reopen_in_order(&mut self) {
        self.covered.reopens += 1;
        let (settled, lead) = (self.time.settled(), self.time.noted());
        self.close();
        // The handle of the closed store is still there: a close gives everything back.
        let closed = self.backend.take();
        self.backend = Some(open(self.case, &self.time.clock, &self.keys, &self.disk));
        drop(closed);
        self.run += 1;
        self.time.reopened(settled, lead);
        self.noted_ms = settled;
        self.check_all();
    }

    fn close(&mut self) {
        let stats = self.backend().stats();
        self.covered.checkpoints += stats.checkpoints;
        self.covered.carried_rows += stats.carried_rows;
        self.backend().close().unwrap();
    }

    fn reopen_abruptly(&mut self, disk: SimDisk) {
        let before = self.time.settled();
        self.backend = None;
        self.disk = disk;
        self.backend = Some(open(self.case, &self.time.clock, &self.keys, &self.disk));
        self.run += 1;
        let wall = self.time.wall();
        let now = self.backend().now().as_millis();
        assert!(now >= wall && now >= self.noted_ms, "time went back behind what is durable");
        let most = (wall + self.time.lead_peak).max(before);
        assert!(now <= most, "time went ahead of both clocks");
        // How far the store's own time had come, and its lead, is not known from outside: it goes
        // on from here.
        self.backend().accept_clock();
        self.time.reopened(now, 0);
        self.time.accept();
        self.check_all();
    }

    fn commit(&mut self, at: u64, steps: &[Step], revoking: bool) {
        let concerned: Vec<Key> = steps.iter().map(|step| key(step.key)).collect();
        concerned.iter().for_each(|key| self.check_get(*key));
        let settled = self.time.settled();
        let mut batch = Batch::new().unwrap();
        if revoking {
            batch.revoking();
        }
        let mut judged: Vec<(Key, Judged)> = Vec::new();
        let mut other_terms = false;
        for step in steps {
            if judged.iter().any(|(used, _)| *used == key(step.key)) {
                continue;
            }
            other_terms |= matches!(step.write, Write::PutOtherTerms);
            judged.push((key(step.key), self.add_step(&mut batch, at, step, settled)));
        }
        let writes = batch.steps().iter().any(|step| !matches!(step.write, backend::Write::Keep));
        let disbelieved = self.time.disbelieved().is_some();
        let answer = self.backend().commit(batch.clone()).wait();
        match answer {
            Err(error) => {
                self.covered.refused += 1;
                match error.kind() {
                    ErrorKind::Clock => assert!(disbelieved && batch.issues(), "{error}"),
                    ErrorKind::Limit => assert!(!writes || other_terms, "{error}"),
                    _ => panic!("{error:?}"),
                }
            }
            Ok(outcome) => {
                assert!(writes, "a batch that writes nothing is refused");
                assert!(!(disbelieved && batch.issues()), "issued on a clock out of bounds");
                self.take_outcome(&batch, &judged, outcome);
                if outcome == Outcome::Applied {
                    self.noted_ms = settled;
                }
            }
        }
        concerned.iter().for_each(|key| self.check_get(*key));
        self.check();
    }

    /// Adds a step to the batch; answers how it must be judged.
    fn add_step(&self, batch: &mut Batch, at: u64, step: &Step, settled: u64) -> Judged {
        let key = key(step.key);
        let history = &self.histories[&key];
        let there = history.now.as_ref().filter(|known| known.gone_in.is_none());
        let value = |bytes: usize| {
            let seed = (at << 8 | u64::from(step.key)).to_le_bytes();
            seed.iter().copied().cycle().take(bytes).collect::<Vec<u8>>()
        };
        let new = match step.write {
            Write::Put { lifetime_ms, bytes, terms: number } => Some(NewRow {
                value: value(bytes),
                expires_at: Timestamp::from_millis(settled + lifetime_ms),
                terms: there.map_or(terms(key.kind, number), |known| known.row.terms),
            }),
            Write::PutOtherTerms => Some(NewRow {
                value: value(1),
                expires_at: Timestamp::from_millis(settled + DAY),
                terms: match there {
                    Some(known) if known.row.terms == terms(key.kind, 5) => terms(key.kind, 4),
                    _ => terms(key.kind, 5),
                },
            }),
            Write::Delete | Write::Keep => None,
        };
        let expect = match (there, step.wrong) {
            (Some(known), false) => backend::Expect::Is(known.version),
            (Some(known), true) if step.key.is_multiple_of(2) => {
                backend::Expect::Is(Version(known.version.0.wrapping_sub(1)))
            }
            (Some(_), true) | (None, false) => backend::Expect::Absent,
            (None, true) => backend::Expect::Is(Version(history.newest.max(1))),
        };
        let expect = match (&step.write, expect, new) {
            (Write::Delete, backend::Expect::Absent, _) if there.is_some() => {
                let version = Version(history.newest + 1);
                batch.delete(key, version);
                backend::Expect::Is(version)
            }
            (Write::Delete, backend::Expect::Is(version), _) => {
                batch.delete(key, version);
                expect
            }
            (_, backend::Expect::Absent, Some(new)) => {
                batch.insert(key, new);
                expect
            }
            (_, backend::Expect::Is(version), Some(new)) => {
                batch.replace(key, version, new);
                expect
            }
            (_, _, None) => {
                batch.require(key, expect);
                expect
            }
        };
        self.judge(history, expect)
    }

    fn judge(&self, history: &History, expect: backend::Expect) -> Judged {
        let holds = |there: Option<&Known>| match expect {
            backend::Expect::Absent => there.is_none(),
            backend::Expect::Is(version) => there.is_some_and(|known| known.version == version),
        };
        let there = history.now.as_ref();
        let unsure = there.is_some_and(|known| self.may_be_swept(known));
        match (holds(there), unsure && holds(None) != holds(there)) {
            (_, true) => Judged::Either,
            (true, false) => Judged::Holds,
            (false, false) => Judged::Fails,
        }
    }

    fn take_outcome(&mut self, batch: &Batch, judged: &[(Key, Judged)], outcome: Outcome) {
        if let Outcome::Conflict(failed) = outcome {
            self.covered.conflicts += 1;
            let first = judged.iter().find(|(key, judged)| {
                *judged == Judged::Fails || (*key == failed && *judged == Judged::Either)
            });
            assert_eq!(first.map(|(key, _)| *key), Some(failed), "{judged:?}");
            return;
        }
        self.covered.applied += 1;
        assert!(judged.iter().all(|(_, judged)| *judged != Judged::Fails), "{judged:?}");
        let mut version = None;
        for step in batch.steps() {
            let found = self.backend().get(step.key).wait().unwrap();
            let history = self.histories.get_mut(&step.key).unwrap();
            match &step.write {
                backend::Write::Keep => {}
                backend::Write::Delete => history.now = None,
                backend::Write::Put(new) => {
                    let fixed = history.now.as_ref().is_none_or(|known| {
                        known.row.terms == new.terms || step.expect == backend::Expect::Absent
                    });
                    assert!(fixed, "the terms of {:?} were changed", step.key);
                    // What is read back tells the version; that it is the batch's row is checked
                    // there. Only a row that died at once may be gone again.
                    let given = found.map(|row| row.version());
                    let given = given.or(version).unwrap_or(Version(self.newest + 1));
                    assert!(given.0 > self.newest, "{given:?} is not new");
                    assert!(version.is_none_or(|version| version == given), "one version a batch");
                    version = Some(given);
                    history.newest = given.0;
                    let row = new.clone();
                    let (op, gone_in) = (batch.op(), None);
                    history.now = Some(Known { row, version: given, op, gone_in });
                }
            }
        }
        self.newest = version.map_or(self.newest, |version| version.0);
    }

    /// True if the row's window may have been cut.
    fn may_be_swept(&self, known: &Known) -> bool {
        known.row.expires_at.as_millis() <= self.time.peak
    }

    fn check(&mut self) {
        if self.case.look_at_all {
            self.check_all();
        } else {
            assert_eq!(self.backend().now().as_millis(), self.time.now());
        }
    }

    fn check_all(&mut self) {
        assert_eq!(self.backend().now().as_millis(), self.time.now());
        let keys: Vec<Key> = self.histories.keys().copied().collect();
        keys.into_iter().for_each(|key| self.check_get(key));
        (0..TERMS).for_each(|number| self.check_list(number, 1_000));
        self.check_stats();
        let verified = self.backend().verify(|_| {}).wait().unwrap();
        assert_eq!(verified.damages, 0, "{:#?}", verified.named);
    }

    fn check_get(&mut self, key: Key) {
        let found = self.backend().get(key).wait().unwrap();
        self.covered.looks += 1;
        let now = self.time.now();
        let (run, swept) = (self.run, self.histories[&key].now.as_ref());
        let swept = swept.is_some_and(|known| self.may_be_swept(known));
        let history = self.histories.get_mut(&key).unwrap();
        match (&found, &mut history.now) {
            (None, None) => {}
            (None, Some(known)) => {
                assert!(swept, "{key:?} is lost: {known:?} at {now}");
                known.gone_in.get_or_insert(run);
            }
            (Some(row), None) => panic!("{row:?} was deleted, or never put"),
            (Some(row), Some(known)) => {
                assert_same(row, key, known);
                if let Some(gone_in) = known.gone_in {
                    assert!(row.expires_at().as_millis() <= now, "{row:?} is revived at {now}");
                    assert_ne!(gone_in, run, "{row:?} was swept in this run");
                    known.gone_in = None;
                }
            }
        }
    }

    fn check_list(&mut self, number: u8, limit: usize) {
        let (term, mut after, mut rows) = (term(number), None, Vec::<Row>::new());
        loop {
            let page = self.backend().list(term, after, limit).wait().unwrap();
            assert!(page.rows.len() <= limit);
            rows.extend(page.rows);
            if page.next.is_none() {
                break;
            }
            after = page.next;
            assert_eq!(after, rows.last().map(Row::key), "the next page starts after the last");
        }
        self.covered.looks += 1;
        assert!(rows.is_sorted_by(|a, b| a.key() < b.key()), "in order, each once: {rows:?}");
        for row in &rows {
            let known = self.histories[&row.key()].now.as_ref();
            assert_same(row, row.key(), known.expect("a listed row was put"));
            assert!(row.terms().iter().any(|own| own == term), "{row:?} is not of the list");
        }
        for (key, history) in &self.histories {
            let Some(known) = &history.now else { continue };
            let due = known.row.terms.iter().any(|own| own == term) && !self.may_be_swept(known);
            assert!(
                !due || rows.iter().any(|row| row.key() == *key),
                "{key:?} is not listed: {known:?}"
            );
        }
    }

    fn check_stats(&self) {
        let stats = self.backend().stats();
        let known = || self.histories.values().filter_map(|history| history.now.as_ref());
        let least = known().filter(|known| !self.may_be_swept(known)).count() as u64;
        let most = known().filter(|known| known.gone_in.is_none()).count() as u64;
        let total = stats.rows_total();
        assert!(total >= least, "{total} rows, at least {least} are there");
        // An open counts what it finds both in the log and in the table twice, until the next
        // checkpoint.
        assert!(self.run > 0 || total <= most, "{total} rows, at most {most} are there");
    }

    /// Lets everything die, and looks for what is left.
    fn end(mut self) -> Covered {
        self.check_all();
        self.backend().accept_clock();
        self.time.accept();
        self.backend().checkpoint().wait().unwrap();
        self.check_all();
        self.time.advance(2 * LIFETIME_MAX + 20 * DAY);
        self.check_all();
        while self.backend().sweep(Budget::ALL).wait().unwrap().more {}
        self.check_nothing_left();
        self.reopen_in_order();
        self.backend().checkpoint().wait().unwrap();
        self.check_nothing_left();
        self.close();
        self.backend = None;
        assert_eq!(residue::count(&self.disk, Path::new(DIR)), Residue::default());
        self.covered
    }

    fn check_nothing_left(&mut self) {
        self.check_all();
        for key in self.histories.keys() {
            assert!(self.backend().get(*key).wait().unwrap().is_none(), "{key:?} is left");
        }
        for number in 0..TERMS {
            let page = self.backend().list(term(number), None, 1_000).wait().unwrap();
            assert!(page.rows.is_empty() && page.next.is_none(), "{page:?}");
        }
        let stats = self.backend().stats();
        assert_eq!((stats.rows_total(), stats.windows), (0, 0), "{stats:?}");
    }
}

fn assert_same(row: &Row, key: Key, known: &Known) {
    assert_eq!(row.key(), key);
    assert_eq!((row.version(), row.op()), (known.version, known.op), "{row:?}, not {known:?}");
    assert_eq!(row.value(), known.row.value);
    assert_eq!((row.expires_at(), row.terms()), (known.row.expires_at, known.row.terms));
}

fn open(case: &Case, clock: &Arc<ManualClock>, keys: &Keyring, disk: &SimDisk) -> Embedded {
    grantkeep_tests::options(clock)
        .keys(KeySource::Given(keys.clone()))
        .disk(Arc::new(disk.clone()))
        .tag_bits(case.tag_bits)
        .row_cache_bytes(case.row_cache_bytes)
        .by_itself(case.by_itself)
        .open_backend(Path::new(DIR))
        .unwrap()
        .0
}
