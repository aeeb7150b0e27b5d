//! A store on a disk in memory whose clock is stepped, and the rows that are looked at: whatever is
//! done, each look is held against the oracle.

use grantkeep::backend::{
    Backend as _, Batch, Budget, Expect, Key, Kind, NewRow, Outcome, Row, Term, Terms, Version,
};
use grantkeep::{
    Digest, Embedded, ErrorKind, KeySource, Keyring, LEAP_BELIEVED_MIN, Timestamp, Wait as _,
};
use grantkeep_tests::samples;
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::store_time::{StoreTime, ms};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TERM: Term = Term([7; 16]);

/// A row as it was put.
#[derive(Debug)]
struct Known {
    version: Version,
    expires_ms: u64,
    /// It was found removed, so it may not be in force ever again.
    gone: bool,
}

/// Everything that a run of steps works on.
pub struct Subject {
    pub time: StoreTime,
    /// What is durable of it at least.
    noted_ms: u64,
    disk: SimDisk,
    keys: Keyring,
    backend: Option<Embedded>,
    rows: BTreeMap<Key, Known>,
    issued: u64,
    pub looks: u64,
    pub refused: u64,
    pub swept: u64,
}

fn key(number: u64) -> Key {
    let kind = if number.is_multiple_of(2) { Kind::write_once(1) } else { Kind::revised(1) };
    samples::key(kind, number)
}

impl Subject {
    pub fn new() -> Self {
        let believed = ms(LEAP_BELIEVED_MIN)..=ms(LEAP_BELIEVED_MIN) + 1;
        let time = StoreTime::new(grantkeep_tests::manual_clock(), believed);
        let keys = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let (disk, rows) = (SimDisk::new(), BTreeMap::new());
        let (issued, looks, refused, swept) = (0, 0, 0, 0);
        let backend = None;
        let mut made =
            Self { time, noted_ms: 0, disk, keys, backend, rows, issued, looks, refused, swept };
        made.open();
        made
    }

    fn open(&mut self) {
        let options = grantkeep_tests::options(&self.time.clock);
        let options = options.keys(KeySource::Given(self.keys.clone()));
        let opened = options.disk(Arc::new(self.disk.clone())).open_backend(Path::new("/store"));
        self.backend = Some(opened.unwrap().0);
    }

    fn backend(&self) -> &Embedded {
        self.backend.as_ref().unwrap()
    }

    /// Issues a row that lives so long: refused exactly where the clock is not believed, with a
    /// message that says what to do.
    pub fn issue(&mut self, lifetime: Duration) {
        let now = self.time.now();
        let disbelieved = self.time.disbelieved();
        let key = key(self.issued);
        self.issued += 1;
        let expires_at = Timestamp::from_millis(now).saturating_add(lifetime);
        let terms = if key.kind.is_revised() { Terms::one(TERM) } else { Terms::NONE };
        let mut batch = Batch::new().unwrap();
        batch.insert(key, NewRow { value: vec![1; 20], expires_at, terms });
        match (self.backend().commit(batch).wait(), disbelieved) {
            (Ok(outcome), None) => {
                assert_eq!(outcome, Outcome::Applied);
                let row = self.found(key).expect("what was issued is there");
                let (version, expires_ms) = (row.version(), expires_at.as_millis());
                self.rows.insert(key, Known { version, expires_ms, gone: false });
                self.noted_ms = self.time.settled();
            }
            (Err(error), Some(ahead)) => {
                assert_eq!(error.kind(), ErrorKind::Clock, "{error}");
                let text = error.to_string();
                let words =
                    [&format!("{} s ahead", ahead / 1_000), "correct the clock", "accept_clock"];
                assert!(words.iter().all(|word| text.contains(*word)), "{text}");
                self.refused += 1;
            }
            (answer, disbelieved) => panic!("{answer:?}, and it is ahead by {disbelieved:?} ms"),
        }
    }

    /// How far the clock is ahead of settled time; the store and the oracle both look.
    pub fn ahead_ms(&mut self) -> u64 {
        self.backend().now();
        self.time.now() - self.time.settled()
    }

    /// Takes a row away, and notes that it was taken: neither is ever refused.
    pub fn revoke(&mut self, nth: usize) {
        self.ahead_ms();
        let there =
            self.rows.iter().filter(|(key, known)| !known.gone && self.found(**key).is_some());
        let there: Vec<(Key, Version)> = there.map(|(key, known)| (*key, known.version)).collect();
        let Some((taken, version)) = there.get(nth % there.len().max(1)).copied() else { return };
        let note = Key::new(Kind::revised(2), taken.id);
        let mut batch = Batch::new().unwrap();
        let expires_at = Timestamp::NEVER;
        batch.insert(note, NewRow { value: Vec::new(), expires_at, terms: Terms::NONE });
        batch.delete(taken, version).require(key(u64::MAX), Expect::Absent).revoking();
        let answer = self.backend().commit(batch).wait();
        assert_eq!(answer.unwrap(), Outcome::Applied, "revoking is refused by no clock");
        self.rows.remove(&taken);
        assert!(self.found(taken).is_none());
        self.noted_ms = self.time.settled();
    }

    fn found(&self, key: Key) -> Option<Row> {
        self.backend().get(key).wait().unwrap()
    }

    /// Looks at the time and at every row.
    pub fn look(&mut self) {
        let now = self.time.now();
        assert_eq!(self.backend().now().as_millis(), now, "the store's time");
        let lead = Duration::from_millis(self.time.lead());
        assert_eq!((self.backend().lead(), self.backend().stats().clock_lead), (lead, lead));
        let listed = self.backend().list(TERM, None, 1_000).wait().unwrap().rows;
        let peak_ms = self.time.peak;
        for key in self.rows.keys().copied().collect::<Vec<_>>() {
            self.looks += 1;
            let found = self.found(key);
            let known = self.rows.get_mut(&key).unwrap();
            match found {
                None => {
                    assert!(known.expires_ms <= peak_ms, "{key:?} {known:?} was cut too early");
                    known.gone = true;
                }
                Some(row) => {
                    assert_eq!(
                        (row.version(), row.expires_at().as_millis()),
                        (known.version, known.expires_ms)
                    );
                    let in_force = now < known.expires_ms;
                    assert!(!(known.gone && in_force), "{key:?} {known:?} is revived at {now}");
                    let due = in_force && key.kind.is_revised();
                    assert!(!due || listed.iter().any(|row| row.key() == key), "not listed");
                }
            }
        }
    }

    pub fn sweep(&mut self, rows: u64) {
        let before = self.time.settled();
        let swept = self.backend().sweep(Budget::rows(rows)).wait().unwrap();
        self.swept += swept.rows;
        if swept.windows > 0 {
            // What was cut has ended for good: at least that much is durable.
            self.noted_ms = self.noted_ms.max(self.latest_gone()).min(before);
        }
        self.look();
    }

    fn latest_gone(&self) -> u64 {
        let gone = self.rows.iter().filter(|(key, _)| self.found(**key).is_none());
        gone.map(|(_, known)| known.expires_ms).max().unwrap_or(0)
    }

    pub fn checkpoint(&mut self) {
        // It may look at the clock, or not, so both do.
        self.ahead_ms();
        self.backend().checkpoint().wait().unwrap();
    }

    pub fn accept(&mut self) {
        self.backend().accept_clock();
        self.time.accept();
    }

    pub fn close_and_open(&mut self) {
        let (settled, lead) = (self.time.settled(), self.time.noted());
        self.noted_ms = self.time.settled();
        self.backend().close().unwrap();
        self.backend = None;
        self.open();
        self.time.reopened(settled, lead);
        self.look();
    }

    pub fn kill_and_open(&mut self) {
        let before = self.disk.kill();
        let before_ms = self.time.now();
        self.backend = None;
        self.disk = before;
        self.open();
        let (now, wall) = (self.backend().now().as_millis(), self.time.wall());
        assert!(now >= wall && now >= self.noted_ms, "went back behind what is durable");
        let most = (wall + self.time.lead_peak).max(before_ms);
        assert!(now <= most, "went ahead of both clocks");
        // How far the store's own time had come, and its lead, is not known from outside: it goes
        // on from here.
        self.backend().accept_clock();
        self.time.reopened(now, 0);
        self.time.accept();
        self.look();
    }

    /// Killed right behind a commit: what is durable of the store's time is known to the
    /// millisecond, so the store goes on from there, and judges the clock by itself.
    pub fn note_kill_and_open(&mut self) {
        let (settled, lead) = (self.time.settled(), self.time.noted());
        self.note();
        self.disk = self.disk.kill();
        self.backend = None;
        self.open();
        self.time.reopened(settled, lead);
        self.look();
    }

    /// A commit that no clock refuses.
    fn note(&mut self) {
        let key = Key::new(Kind::revised(3), Digest::of_name("note", &self.issued.to_le_bytes()));
        self.issued += 1;
        let mut batch = Batch::new().unwrap();
        let expires_at = Timestamp::NEVER;
        batch.insert(key, NewRow { value: Vec::new(), expires_at, terms: Terms::NONE }).revoking();
        assert_eq!(self.backend().commit(batch).wait().unwrap(), Outcome::Applied);
        self.noted_ms = self.time.settled();
    }

    /// Steps the wall clock to so many milliseconds from where it should be.
    pub fn step_to(&mut self, wall_ms: u64) {
        self.time.step_to(wall_ms);
    }
}
