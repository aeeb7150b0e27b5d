//! What clients, operators, and whoever takes things away share in one round.

use super::operator::OPERATORS;
use grantkeep::{Error, ErrorKind, ManualClock, Result, Store};
use grantkeep_grants::{Grants, Policy, Refreshing, Retries};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// No call takes longer, whatever was taken away.
pub const CALL_MAX: Duration = Duration::from_secs(5);
/// No job of an operator takes longer.
pub const JOB_MAX: Duration = Duration::from_secs(50);
/// How long after something was given back it may still explain a refusal: what failed is tried
/// again at each tick, of 100 ms.
const GRACE: Duration = Duration::from_secs(5);

/// How long tokens live: each is issued under one of these.
pub const LIVES_S: [u64; 4] = [1, 60, 3_600, 30 * 24 * 3600];

/// Something that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Room on the disk.
    Room,
    /// Descriptors of the process.
    Descriptors,
    /// Reads of the table.
    Reads,
    /// Writes and syncs of the table.
    Writes,
    /// The right time.
    Clock,
    /// The store: it is closed, and opened again.
    Store,
}

impl Thing {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Room, Self::Descriptors, Self::Reads, Self::Writes, Self::Clock, Self::Store];
}

/// One opening of the store.
#[derive(Debug)]
pub struct Session {
    /// The store.
    pub store: Store,
    /// Its grants, for each of [`LIVES_S`].
    pub grants: Vec<Grants<grantkeep::Embedded>>,
}

impl Session {
    /// Over an open store.
    ///
    /// # Panics
    /// If a policy is refused.
    pub fn over(store: Store) -> Arc<Self> {
        let grants = LIVES_S.map(|life_s| Grants::new(store.clone(), policy(life_s)).unwrap());
        Arc::new(Self { store, grants: grants.into() })
    }
}

/// The policy under which tokens live so long.
pub fn policy(life_s: u64) -> Policy {
    let life = Duration::from_secs(life_s);
    Policy {
        code_lifetime: life.min(Duration::from_secs(600)),
        access_lifetime: life,
        client_credentials_lifetime: life,
        personal_without_expiry: true,
        refresh_idle: 2 * life,
        refresh_absolute: 3 * life,
        refresh_grace: Duration::ZERO,
        refreshing: Refreshing::Rotating,
        refresh_retries: Retries::UntilUsed,
        repeat_devices: false,
        ..Policy::default()
    }
}

/// A call under way: since when, in milliseconds of the round, and what.
#[derive(Debug, Default)]
struct Call {
    since_ms: AtomicU64,
    what: Mutex<String>,
}

/// Since when something is away, and until when it was.
#[derive(Debug, Default)]
struct Away {
    now: AtomicBool,
    until_ms: AtomicU64,
    times: AtomicU64,
}

/// The shared state of a round.
#[derive(Debug)]
pub struct World {
    begun: Instant,
    /// The clock of the store.
    pub clock: Arc<ManualClock>,
    /// How often the clock was moved in another way than by passing.
    pub steps: AtomicU64,
    session: RwLock<Arc<Session>>,
    /// True once clients and operators are to end.
    pub ended: AtomicBool,
    /// True once nothing may be refused for want of room.
    pub roomy: AtomicBool,
    away: [Away; Thing::ALL.len()],
    calls: Vec<Call>,
    counts: Mutex<BTreeMap<String, u64>>,
    longest: Mutex<(Duration, String)>,
    /// How long calls took that change something while nothing was away.
    calm: Mutex<Vec<Duration>>,
}

impl World {
    /// Of a round over `store` with so many threads that call it.
    pub fn new(clock: Arc<ManualClock>, store: Store, threads: usize) -> Self {
        Self {
            begun: Instant::now(),
            clock,
            steps: AtomicU64::new(0),
            session: RwLock::new(Session::over(store)),
            ended: AtomicBool::new(false),
            roomy: AtomicBool::new(false),
            away: Default::default(),
            calls: (0..threads).map(|_| Call::default()).collect(),
            counts: Mutex::default(),
            longest: Mutex::default(),
            calm: Mutex::default(),
        }
    }

    /// The present opening of the store.
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another opening of the store in the place of the one before.
    pub fn open_again(&self, store: Store) {
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = Session::over(store);
    }

    /// True once the round is over.
    pub fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Milliseconds since the round began, at least 1.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Says that a thing is away from now on.
    pub fn take(&self, thing: Thing) {
        let away = &self.away[thing as usize];
        away.now.store(true, Ordering::Relaxed);
        away.times.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that it was given back.
    pub fn give_back(&self, thing: Thing) {
        let away = &self.away[thing as usize];
        away.until_ms.store(self.now_ms(), Ordering::Relaxed);
        away.now.store(false, Ordering::Relaxed);
    }

    /// How often it was taken.
    pub fn times(&self, thing: Thing) -> u64 {
        self.away[thing as usize].times.load(Ordering::Relaxed)
    }

    /// True if a thing is away, or was given back not long before a call that began at `since_ms`.
    fn was_away(&self, thing: Thing, since_ms: u64) -> bool {
        let away = &self.away[thing as usize];
        let until_ms = away.until_ms.load(Ordering::Relaxed);
        let grace_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        away.now.load(Ordering::Relaxed) || until_ms > 0 && until_ms + grace_ms >= since_ms
    }

    /// Does a call of `thread`, times it, counts how it went, and sees to it that a refusal has a
    /// reason. `changes` is false for a look-up, which no full disk may refuse.
    ///
    /// # Panics
    /// If it is refused for nothing.
    pub fn call<T>(
        &self,
        thread: usize,
        what: &str,
        changes: bool,
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let since_ms = self.now_ms();
        let slot = &self.calls[thread];
        what.clone_into(&mut slot.what.lock().unwrap_or_else(PoisonError::into_inner));
        slot.since_ms.store(since_ms, Ordering::Relaxed);
        let begun = Instant::now();
        let done = call();
        let took = begun.elapsed();
        slot.since_ms.store(0, Ordering::Relaxed);
        if changes && thread < self.clients() {
            let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            if took > longest.0 {
                *longest = (took, what.to_owned());
            }
            drop(longest);
            if done.is_ok() && !Thing::ALL.iter().any(|thing| self.was_away(*thing, since_ms)) {
                self.calm.lock().unwrap_or_else(PoisonError::into_inner).push(took);
            }
        }
        match &done {
            Ok(_) => self.count(&format!("{what} done")),
            Err(error) => self.refused(what, changes, since_ms, error),
        }
        done
    }

    /// Counts a refusal.
    ///
    /// # Panics
    /// If nothing explains it.
    pub fn refused(&self, what: &str, changes: bool, since_ms: u64, error: &Error) {
        let was = |thing| self.was_away(thing, since_ms);
        let explained = match error.kind() {
            ErrorKind::Full => changes && !self.roomy.load(Ordering::Relaxed),
            // The store's clock passes much faster than the machine's: a token of a second may be
            // over before it is issued.
            ErrorKind::Lifetime => changes,
            ErrorKind::Clock => changes && was(Thing::Clock),
            ErrorKind::Io => was(Thing::Descriptors) || was(Thing::Reads) || was(Thing::Writes),
            ErrorKind::Unavailable => was(Thing::Store),
            _ => false,
        };
        let causes = chain(error);
        assert!(explained, "{what} was refused for nothing: {:?}, {causes}", error.kind());
        self.count(&format!("{what} {:?}", error.kind()));
    }

    /// Counts one more of something.
    pub fn count(&self, what: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.to_owned()).or_default() += 1;
    }

    /// How often each thing was counted.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest call of a client that changes something.
    pub fn longest(&self) -> (Duration, String) {
        self.longest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long calls took while nothing was away, since that was asked last.
    pub fn take_calm(&self) -> Vec<Duration> {
        std::mem::take(&mut self.calm.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn clients(&self) -> usize {
        self.calls.len() - OPERATORS
    }

    /// A call that is over its deadline, if there is one.
    pub fn overdue(&self) -> Option<String> {
        let now_ms = self.now_ms();
        self.calls.iter().enumerate().find_map(|(thread, call)| {
            let since_ms = call.since_ms.load(Ordering::Relaxed);
            let max = if thread < self.clients() { CALL_MAX } else { JOB_MAX };
            let late = since_ms > 0 && u128::from(now_ms - since_ms.min(now_ms)) > max.as_millis();
            late.then(|| {
                let what = call.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
                format!("{what} of thread {thread} for {} ms", now_ms - since_ms)
            })
        })
    }
}

/// An error and its causes in one line.
pub fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        line.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    line
}
