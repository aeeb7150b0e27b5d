//! Processes killed at work: what they were told was done is done, and nothing else is.

use grantkeep::{Options, Owner, Store, Wait as _};
use grantkeep_tests::files::copy_dir;
use grantkeep_tests::ledger::{self, ABSENT, Effects, observe};
use grantkeep_tests::pseudorandom::Pseudorandom;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const KILLS: u64 = 50;
const THREADS: u64 = 4;
/// Names that a child is given to go on with, of each sort.
const KNOWN_MAX: usize = 400;

fn options() -> Options {
    Store::options()
        .log_budget_bytes(2 << 20)
        .live_set_bytes(1 << 20)
        .table_cache_bytes(1 << 20)
        .reserve_bytes(1 << 20)
        .create(false)
        .by_itself(false)
}

// Goal: P1, P2, P3, P4, P7, P8 over SIGKILL. Method: a child works from four threads with a
// ledger of intents and acknowledgments, and is killed at a random moment; every name it ever used
// is then compared with the ledger, and the next child goes on with the same store. In every other
// round the comparison is made on a copy, so that the child itself opens after the crash.
#[test]
fn nothing_acknowledged_is_lost_to_sigkill() {
    let kills = std::env::var("GRANTKEEP_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let seed = Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Pseudorandom::new(seed);
    let mut crashing = Crashing::new();
    for round in 0..kills {
        let wait_ms = match round % 5 {
            // While it opens, and recovers.
            4 => 1 + random.below(25),
            _ => 20 + random.below(280),
        };
        crashing.run_and_kill(round, random.number() >> 1, Duration::from_millis(wait_ms));
        crashing.check(round);
    }
    crashing.report(kills);
}

struct Crashing {
    dir: TempDir,
    /// What every name must be by what was acknowledged.
    model: BTreeMap<String, String>,
    acknowledged: u64,
    checked: u64,
    in_flight: (u64, u64),
    /// Entries and rows that verified.
    verified: u64,
    checkpoints: u64,
    swept: u64,
    opens: Vec<Duration>,
}

impl Crashing {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        options().create(true).open(dir.path().join("store")).unwrap().close().unwrap();
        Self {
            dir,
            model: BTreeMap::new(),
            acknowledged: 0,
            checked: 0,
            in_flight: (0, 0),
            verified: 0,
            checkpoints: 0,
            swept: 0,
            opens: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run_and_kill(&self, round: u64, seed: u64, after: Duration) {
        std::fs::write(self.path("known"), self.known()).unwrap();
        std::fs::write(self.path("ledger"), "").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_child"))
            .arg("work")
            .args([self.path("store"), self.path("ledger"), self.path("known")])
            .args([round.to_string(), seed.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(after);
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the child ended by itself: {ended:?}, see its message above");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The latest names that a child may spend, rotate, or replace.
    fn known(&self) -> String {
        let mut known = String::new();
        for (what, state) in [("code:", "fresh"), ("fam:", "active"), ("raw:", "turn")] {
            let usable = |(name, held): &(&String, &String)| {
                let first = !name.starts_with("raw:") || name.ends_with(".0");
                name.starts_with(what) && held.contains(state) && first
            };
            for (name, _) in self.model.iter().filter(usable).take(KNOWN_MAX) {
                known.push_str(name.strip_suffix(".0").unwrap_or(name));
                known.push('\n');
            }
        }
        known
    }

    fn check(&mut self, round: u64) {
        let noted = ledger::read(&std::fs::read_to_string(self.path("ledger")).unwrap());
        self.checkpoints += noted.checkpoints;
        self.swept += noted.swept;
        self.acknowledged += noted.acknowledged.len() as u64;
        for effects in noted.acknowledged {
            self.model.extend(effects);
        }
        let dir = if round.is_multiple_of(2) { self.path("store") } else { self.path("copy") };
        if !round.is_multiple_of(2) {
            copy_dir(&self.path("store"), &dir);
        }
        let store = options().open(&dir).unwrap();
        self.opens.push(store.stats().open_took);
        for effects in noted.in_flight {
            self.settle(&store, effects);
        }
        let verified = store.verify(|_| {}).wait().unwrap();
        assert_eq!(verified.damages, 0, "after kill {round}: {:#?}", verified.named);
        self.verified += verified.index_entries + verified.block_rows + verified.rows;
        self.compare(&store, round);
        self.compare_lists(&store);
        Self::check_unused(&store, round);
        store.close().unwrap();
        if !round.is_multiple_of(2) {
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }

    /// A batch in flight happened as a whole, or not at all (P8).
    fn settle(&mut self, store: &Store, effects: Effects) {
        let mut happened = BTreeSet::new();
        for (name, new) in &effects {
            let seen = observe(store, name);
            // After the look: a row may be swept between two of them.
            let now_ms = store.now().as_millis();
            let old = self.model.get(name).map_or(ABSENT, String::as_str);
            let expired = ledger::expiry(new).is_some_and(|at| at <= now_ms);
            if seen == ABSENT && old == ABSENT && expired {
                continue;
            }
            let new = seen == *new || new == "another" && seen != old && seen != ABSENT;
            assert!(new || seen == old, "{name} is {seen}, was {old}; in flight: {effects:?}");
            happened.insert(new);
        }
        assert!(happened.len() <= 1, "half of a batch happened: {effects:?}");
        self.in_flight.0 += 1;
        if happened.contains(&true) {
            self.in_flight.1 += 1;
            for (name, _) in effects {
                let seen = observe(store, &name);
                self.model.insert(name, seen);
            }
        }
    }

    fn compare(&mut self, store: &Store, round: u64) {
        let mut lost = Vec::new();
        let mut gone = Vec::new();
        for (name, state) in &self.model {
            let seen = observe(store, name);
            self.checked += 1;
            let expired = ledger::expiry(state).is_some_and(|at| at <= store.now().as_millis());
            match () {
                () if seen == *state => {}
                () if seen == ABSENT && expired => gone.push(name.clone()),
                () => lost.push(format!("{name} is {seen}, was acknowledged as {state}")),
            }
        }
        assert!(lost.is_empty(), "round {round}, {} lost: {:#?}", lost.len(), lost);
        gone.iter().for_each(|name| drop(self.model.remove(name)));
    }

    /// The families of a subject are those of the ledger: none lost, none made up.
    fn compare_lists(&self, store: &Store) {
        for thread in 0..THREADS {
            let thread = thread.to_string();
            let expected: BTreeSet<_> = self
                .model
                .keys()
                .filter(|name| name.starts_with("fam:") && ledger::thread_of(name) == thread)
                .map(|name| format!("read {name}"))
                .collect();
            let subject = ledger::subject(&thread);
            let (mut listed, mut after) = (BTreeSet::new(), None);
            loop {
                let owner = Owner::Subject(&subject);
                let page = store.list::<grantkeep::Family>(owner, after, 100).wait().unwrap();
                listed.extend(page.records.into_iter().map(|held| held.record.scopes));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(listed, expected, "the families of {subject}");
        }
    }

    /// Nothing is found under names that nobody used (P4).
    fn check_unused(store: &Store, round: u64) {
        for what in ["code", "tok", "fam", "once", "raw", "rev"] {
            for number in 0..20 {
                let name = format!("{what}:{}-0-{number}", round + 1);
                assert_eq!(observe(store, &name), ABSENT, "{name}");
            }
        }
    }

    fn report(mut self, kills: u64) {
        self.opens.sort_unstable();
        let table = std::fs::metadata(self.path("store").join("table.redb")).unwrap().len();
        println!(
            "kills {kills}, acknowledged operations {}, comparisons {}, lost 0, in flight {} \
             (happened {}), verified {}, checkpoints {}, swept rows {}, table {table} bytes, \
             reopened in {:?} (median) to {:?} (longest)",
            self.acknowledged,
            self.checked,
            self.in_flight.0,
            self.in_flight.1,
            self.verified,
            self.checkpoints,
            self.swept,
            self.opens[self.opens.len() / 2],
            self.opens.last().unwrap(),
        );
        assert!(self.acknowledged >= kills, "hardly anything was acknowledged");
        assert!(self.checkpoints > 0, "no checkpoint was in the way of a kill");
        assert!(Path::new(&self.path("store")).exists());
    }
}
