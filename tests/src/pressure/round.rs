//! A round: one store on a small disk, all that presses on it, and how it comes out.

use super::client::Client;
use super::operator::{OPERATORS, Office, Operator, check};
use super::strained::Strain;
use super::straits::{Ground, Straits};
use super::world::{Thing, World, chain};
use crate::manual_clock;
use crate::pseudorandom::Pseudorandom;
use grantkeep::{Clock, Disk, ErrorKind, Health, Options, Store, Wait as _};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clients of a round.
pub const CLIENTS: usize = 4;
/// A store has recovered within this, once everything is given back.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// What each client issues at the end, to see that issuing works.
const ISSUED_AT_LAST: usize = 20;
/// Below this it is the machine that decides how long a commit takes, where more threads compute
/// than there are processors and syncs cost nothing. The exact bound has a test of its own.
const MACHINE: Duration = Duration::from_millis(500);
/// How often whoever watches looks, and how often it says so.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_A_WORD: u32 = 10;

/// What a round is played with.
#[derive(Debug)]
pub struct Plan {
    /// The disk, under `strain`.
    pub disk: Arc<dyn Disk>,
    /// What is taken from it.
    pub strain: Arc<Strain>,
    /// Where its room is.
    pub ground: Ground,
    /// The directory of the store, and the one of its copies.
    pub dirs: (PathBuf, PathBuf),
    /// The budget of the log.
    pub log_budget_bytes: u64,
    /// The reserve.
    pub reserve_bytes: u64,
    /// How long things are taken and given.
    pub lasts: Duration,
    /// What is drawn.
    pub seed: u64,
}

/// What rounds came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rounds.
    pub rounds: u64,
    /// Calls by what they were and how they went.
    pub counts: BTreeMap<String, u64>,
    /// How often each thing was taken.
    pub taken: BTreeMap<String, u64>,
    /// Look-ups that were held against a book at the end of a round.
    pub audited: u64,
    /// The longest call of a client that changes something, and what it was.
    pub longest: (Duration, String),
    /// The longest one while nothing was away, but for jobs.
    pub calm: Duration,
    /// The longest hold.
    pub hold: Duration,
    /// The longest recovery.
    pub recovery: Duration,
}

impl Plan {
    fn options(&self, clock: Arc<dyn Clock>) -> Options {
        Store::options()
            .clock(clock)
            .disk(Arc::clone(&self.disk))
            .log_budget_bytes(self.log_budget_bytes)
            .row_cache_bytes(1 << 20)
            .table_cache_bytes(1 << 20)
            .reserve_bytes(self.reserve_bytes)
    }
}

/// Ends the process with a message: a thread of a round that dies, or hangs, would leave the
/// others.
fn end(why: &str) -> ! {
    eprintln!("pressure: {why}");
    std::process::exit(3)
}

/// Runs a part of a round; the process ends with it if it panics.
fn guarded<T>(part: impl FnOnce() -> T) -> T {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part));
    done.unwrap_or_else(|_| end("see the message above"))
}

/// Plays a round. Ends the process where anything is not as it must be.
///
/// # Panics
/// Never; a panic ends the process.
pub fn play(plan: &Plan, outcome: &mut Outcome) {
    guarded(|| play_guarded(plan, outcome));
}

fn play_guarded(plan: &Plan, outcome: &mut Outcome) {
    let clock = manual_clock();
    let open = || {
        let opened = plan.options(clock.clone()).open(&plan.dirs.0);
        opened.unwrap_or_else(|error| panic!("an open: {}", chain(&error)))
    };
    let store = match plan.options(clock.clone()).open(&plan.dirs.0) {
        Ok(store) => store,
        Err(error) if error.kind() == ErrorKind::Full => {
            // Too small for the first segments.
            *outcome.counts.entry("seen too small".to_owned()).or_default() += 1;
            return;
        }
        Err(error) => panic!("a first open: {}", chain(&error)),
    };
    let world = World::new(Arc::clone(&clock), store, CLIENTS + OPERATORS);
    let mut random = Pseudorandom::new(plan.seed);
    let mut clients: Vec<Client<'_>> =
        (0..CLIENTS).map(|number| Client::new(&world, number, random.number())).collect();
    let office = Office {
        disk: Arc::clone(&plan.disk),
        copies: plan.dirs.1.clone(),
        options: plan.options(clock.clone()).log_budget_bytes(2 << 20).reserve_bytes(0),
        tokens: Mutex::new(clients.iter_mut().flat_map(Client::begin).collect()),
        made: AtomicU64::new(0),
        rotations: AtomicU64::new(0),
        rotating: Mutex::new(()),
    };
    let mut straits = Straits::new(&world, &plan.strain, &plan.ground, random.number());
    let mut hold = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| guarded(|| watch(&world)));
        for client in &mut clients {
            scope.spawn(|| guarded(|| client.work()));
        }
        for number in CLIENTS..CLIENTS + OPERATORS {
            let mut operator = Operator::new(&world, &office, number, random.number());
            scope.spawn(move || guarded(|| operator.work()));
        }
        straits.work(plan.lasts, &open);
        hold = world.session().store.stats().hold_longest;
        world.ended.store(true, Ordering::Relaxed);
    });
    let calm = calm_longest(&world, &plan.strain);
    straits.give_all_room();
    let recovery = recover(&world);
    outcome.audited += come_out(&world, &mut clients, &open);
    outcome.calm = outcome.calm.max(calm);
    note(outcome, &world, hold, recovery);
}

/// Sees to it that no call is overdue, and that the store is never poisoned.
fn watch(world: &World) {
    let mut looks = 0;
    while !world.is_over() {
        std::thread::sleep(LOOK);
        if let Some(overdue) = world.overdue() {
            end(&format!("{overdue}: {:?}", world.session().store.stats()));
        }
        let health = world.session().store.health();
        assert!(!matches!(health, Health::Poisoned { .. }), "{health:?}");
        world.count(&format!("seen {}", health.word()));
        looks += 1;
        if looks % LOOKS_A_WORD == 0 {
            println!("{} after {looks} looks", health.word());
        }
    }
}

/// The longest call of a client while nothing was away and jobs ran.
///
/// # Panics
/// If that is beyond the bound.
fn calm_longest(world: &World, strain: &Strain) -> Duration {
    let mut calm = world.take_calm();
    calm.sort_unstable();
    let longest = calm.last().copied().unwrap_or_default();
    let p99 = calm.get(calm.len() * 99 / 100).copied().unwrap_or_default();
    let bound = (10 * p99).max(3 * strain.take_longest_log_sync()).max(MACHINE);
    assert!(longest <= bound, "a commit took {longest:?}, more than {bound:?}; p99 {p99:?}");
    longest
}

/// Waits until the store has recovered by itself; answers how long that took.
fn recover(world: &World) -> Duration {
    let begun = Instant::now();
    let store = &world.session().store;
    while !store.health().is_open() {
        let waited = begun.elapsed();
        assert!(waited < RECOVERY_MAX, "not recovered: {:?}, {:?}", store.health(), store.stats());
        std::thread::sleep(LOOK);
    }
    world.roomy.store(true, Ordering::Relaxed);
    begun.elapsed()
}

/// Issuing works, everything is as the books say, nothing is damaged, and all of that once more
/// after an open. Answers how much was looked up.
fn come_out(world: &World, clients: &mut [Client<'_>], open: &dyn Fn() -> Store) -> u64 {
    let mut audited = 0;
    for turn in 0..2 {
        for client in &mut *clients {
            for _ in 0..ISSUED_AT_LAST {
                client.issue_at_last();
            }
            audited += client.audit();
        }
        let store = &world.session().store;
        check(&store.verify(|_| {}).wait().unwrap());
        store.checkpoint().wait().unwrap();
        check(&store.verify(|_| {}).wait().unwrap());
        if turn == 0 {
            super::operator::close_and_open(world, open);
        }
    }
    let store = &world.session().store;
    store.close().unwrap();
    audited
}

fn note(outcome: &mut Outcome, world: &World, hold: Duration, recovery: Duration) {
    outcome.rounds += 1;
    for (what, count) in world.counts() {
        *outcome.counts.entry(what).or_default() += count;
    }
    for thing in Thing::ALL {
        *outcome.taken.entry(format!("{thing:?}").to_lowercase()).or_default() +=
            world.times(thing);
    }
    outcome.hold = outcome.hold.max(hold);
    outcome.recovery = outcome.recovery.max(recovery);
    if world.longest() > outcome.longest {
        outcome.longest = world.longest();
    }
}

/// What of a client's calls is told together.
const CLIENT_CALLS: [&str; 10] = [
    "issue",
    "issue for good",
    "authorize",
    "redeem",
    "refresh",
    "look up",
    "revoke",
    "revoke subject",
    "revoke client",
    "burn",
];
const JOBS: [&str; 8] = [
    "verify",
    "backup",
    "restore",
    "checkpoint",
    "sweep",
    "rotate keyring",
    "close a copy",
    "look up in a copy",
];

impl Outcome {
    /// What the rounds covered, in one line.
    pub fn line(&self, what: &str) -> String {
        let done = |names: &[&str]| {
            let of = |name: &&str| self.counts.get(&format!("{name} done")).copied().unwrap_or(0);
            names.iter().map(of).sum::<u64>()
        };
        let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
        for (what, count) in &self.counts {
            if let Some((_, kind)) = what.rsplit_once(' ')
                && kind.starts_with(|first: char| first.is_uppercase())
            {
                *refused.entry(kind).or_default() += count;
            }
        }
        let jobs: Vec<String> =
            JOBS[..6].iter().map(|name| format!("{name} {}", done(&[name]))).collect();
        let seen: Vec<String> = self
            .counts
            .iter()
            .filter_map(|(what, count)| Some(format!("{} {count}", what.strip_prefix("seen ")?)))
            .collect();
        let list = |all: &BTreeMap<String, u64>| {
            all.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let refused = refused.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
        format!(
            "pressure: {what}, {} rounds: client calls {} (refused: {}), jobs: {}, taken away: {}, \
             seen: {}, audited {}, lost 0, recovered {} times within {:.1?}, longest commit {:.1?} \
             ({}), with jobs alone {:.1?}, longest hold {:.1?}",
            self.rounds,
            done(&CLIENT_CALLS),
            list(&refused),
            jobs.join(", "),
            list(&self.taken),
            seen.join(", "),
            self.audited,
            self.rounds,
            self.recovery,
            self.longest.0,
            self.longest.1,
            self.calm,
            self.hold,
        )
    }
}
