//! An engine that looks through all of its rows at every step, and the flaws it may have.

use super::flaw::Flaw;
use crate::backend::{
    BATCH_BYTES_MAX, BATCH_STEPS_MAX, Backend, Batch, Budget, Expect, Key, Kind, KindRows, NewRow,
    Op, Outcome, PAGE_ROWS_MAX, Page, Row, Stats, Step, Swept, Term, Terms, VALUE_BYTES_MAX,
    Version, Write,
};
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Mutex};
use crate::timekeeper::Timekeeper;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::thread::{self, ThreadId};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Flawed {
    flaw: Option<Flaw>,
    clock: Arc<ManualClock>,
    opened: Timestamp,
    time: Timekeeper,
    state: Mutex<State>,
}

/// The rows, and what the flaws mistake for them.
#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Row>,
    applied: u64,
    swept: BTreeMap<Key, Row>,
    first: BTreeMap<Key, Row>,
    deleted: Vec<(Timestamp, Key)>,
    old_terms: BTreeSet<(Term, Key)>,
    writers: BTreeMap<Key, ThreadId>,
    ops: HashSet<Op>,
    kept_for_good: bool,
    disbelieved: bool,
}

impl Flawed {
    pub(super) fn new(flaw: Option<Flaw>, clock: Arc<ManualClock>) -> Self {
        Self {
            flaw,
            opened: clock.wall().into(),
            time: Timekeeper::new(clock.clone(), None),
            clock,
            state: Mutex::new(State::default()),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The key under which a row is filed.
    fn place(&self, key: Key) -> Key {
        let mut id = *key.id.as_bytes();
        if self.has(Flaw::CutsIds) {
            id[31] = 0;
        }
        let kind = key.kind.as_byte() & if self.has(Flaw::MixesKinds) { 0x80 } else { 0xff };
        Key::new(Kind::from_byte(kind), Digest::from_bytes(id))
    }

    fn expired(&self, row: &Row) -> bool {
        row.expires_at() <= self.now()
    }

    /// Waits for another commit, but not for ever: where a race is lost, it is lost here.
    fn lose_race(&self) {
        let before = self.state.lock().applied;
        for _ in 0..1_000 {
            if self.state.lock().applied != before {
                break;
            }
            thread::yield_now();
        }
    }

    fn validate(&self, batch: &Batch) -> Result<()> {
        let steps = batch.steps();
        let rows = || {
            steps.iter().filter_map(|step| match &step.write {
                Write::Put(row) => Some((step.key, row)),
                _ => None,
            })
        };
        let longest = rows().map(|(_, row)| row.value.len()).max().unwrap_or(0);
        let bytes: usize = rows().map(|(_, row)| row.value.len()).sum();
        let keys: HashSet<Key> = steps.iter().map(|step| step.key).collect();
        let excused = match self.flaw {
            Some(Flaw::AllowsManySteps) => steps.len() > BATCH_STEPS_MAX,
            Some(Flaw::CutsValues) => longest > VALUE_BYTES_MAX,
            Some(Flaw::AllowsBigBatches) => bytes > BATCH_BYTES_MAX && longest <= VALUE_BYTES_MAX,
            Some(Flaw::AllowsKeysTwice) => keys.len() < steps.len(),
            Some(Flaw::AllowsNothing) => steps.iter().all(|s| matches!(s.write, Write::Keep)),
            Some(Flaw::DropsTermsOfTokens) => {
                rows().any(|(key, row)| !row.terms.is_empty() && !key.kind.is_revised())
            }
            _ => false,
        };
        if excused { Ok(()) } else { batch.validate() }
    }

    fn holds(&self, state: &State, step: &Step) -> bool {
        let stored = state.rows.get(&self.place(step.key));
        match (step.expect, &step.write) {
            (_, Write::Keep) if self.has(Flaw::IgnoresRequires) => true,
            (Expect::Absent, Write::Put(_)) if self.has(Flaw::IgnoresAbsent) => true,
            (Expect::Absent, _) => {
                stored.is_none_or(|row| self.has(Flaw::OverwritesExpired) && self.expired(row))
            }
            (Expect::Is(version), _) => match stored {
                None => self.has(Flaw::TreatsAbsentAsVersionZero) && version == Version(0),
                Some(row) if self.has(Flaw::FreezesExpired) && self.expired(row) => false,
                Some(row) => row.version() == version || self.has(Flaw::IgnoresVersions),
            },
        }
    }

    fn check_clock(&self, state: &mut State) -> Result<()> {
        if self.has(Flaw::BelievesAnything)
            || self.has(Flaw::BelievesForGood) && state.kept_for_good
        {
            return Ok(());
        }
        let believed = self.time.check_believed();
        state.disbelieved |= believed.is_err();
        if self.has(Flaw::NeverForgives) && state.disbelieved {
            return Err(Error::new(ErrorKind::Clock, "the clock was wrong once"));
        }
        believed
    }

    /// What the batch comes to, before any of it is done.
    fn judge(&self, state: &mut State, steps: &[Step]) -> Result<Outcome> {
        let failed: Vec<Key> =
            steps.iter().filter(|step| !self.holds(state, step)).map(|step| step.key).collect();
        let named = if self.has(Flaw::NamesLastFailed) { failed.last() } else { failed.first() };
        if let Some(key) = named {
            return Ok(Outcome::Conflict(*key));
        }
        for step in steps {
            let Write::Put(new) = &step.write else { continue };
            if let Some(stored) = state.rows.get(&self.place(step.key))
                && !self.has(Flaw::AllowsOtherTerms)
            {
                stored.check_terms(new.terms)?;
            }
            if step.expect == Expect::Absent {
                self.check_clock(state)?;
            }
            if self.has(Flaw::RefusesExpired) && new.expires_at <= self.now() {
                return Err(Error::new(ErrorKind::Lifetime, "the row has expired already"));
            }
        }
        Ok(Outcome::Applied)
    }

    fn apply(&self, op: Op, steps: &[Step]) -> Result<Outcome> {
        let mut state = self.state.lock();
        if self.has(Flaw::ForgivesResending) && state.ops.contains(&op) {
            return Ok(Outcome::Applied);
        }
        let outcome = self.judge(&mut state, steps)?;
        if let Outcome::Conflict(at) = outcome {
            let until = steps.iter().position(|step| step.key == at).unwrap_or(0);
            if self.has(Flaw::AppliesUpToTheFailure) {
                steps[..until].iter().try_for_each(|step| self.write(&mut state, op, step))?;
            }
            return Ok(outcome);
        }
        if self.has(Flaw::ChecksBeforeTheLock) {
            drop(state);
            self.lose_race();
            state = self.state.lock();
        }
        state.applied += 1;
        state.ops.insert(op);
        let forgotten = self.has(Flaw::ForgetsTheSecondWrite).then_some(1);
        let writes = steps
            .iter()
            .filter(|step| !matches!(step.write, Write::Keep) || self.has(Flaw::RequireIsAWrite));
        for (_, step) in writes.enumerate().filter(|(at, _)| Some(*at) != forgotten) {
            self.write(&mut state, op, step)?;
            if self.has(Flaw::WritesStepByStep) {
                drop(state);
                self.lose_race();
                state = self.state.lock();
            }
        }
        Ok(outcome)
    }

    fn write(&self, state: &mut State, op: Op, step: &Step) -> Result<()> {
        let key = self.place(step.key);
        let stored = state.rows.get(&key).cloned();
        let new = match (&step.write, &stored) {
            (Write::Put(new), _) => new.clone(),
            (Write::Keep, Some(row)) => NewRow {
                value: row.value().to_vec(),
                expires_at: row.expires_at(),
                terms: row.terms(),
            },
            (Write::Delete, Some(row)) if !self.has(Flaw::ForgetsDeletes) => {
                state.deleted.push((row.expires_at(), key));
                state.old_terms.extend(row.terms().iter().map(|term| (term, key)));
                state.rows.remove(&key);
                return Ok(());
            }
            (Write::Keep | Write::Delete, _) => return Ok(()),
        };
        let row = self.shape(state, stored.as_ref(), step.key, new, op)?;
        self.time.note_lifetime(row.expires_at().since(self.now()));
        if self.has(Flaw::ForgetsEmptyValues) && row.value().is_empty() {
            return Ok(());
        }
        if stored.is_none() {
            state.first.insert(key, row.clone());
        }
        state.writers.insert(key, thread::current().id());
        state.rows.insert(key, row);
        Ok(())
    }

    /// The row as it is stored.
    fn shape(
        &self,
        state: &mut State,
        stored: Option<&Row>,
        key: Key,
        mut new: NewRow,
        op: Op,
    ) -> Result<Row> {
        let now = self.now();
        let before = stored.map_or(Version(0), Row::version);
        let alike = stored.is_some_and(|row| row.value() == new.value);
        let version = match self.flaw {
            Some(Flaw::KeepsVersions) if stored.is_some() => before,
            Some(Flaw::KeepsVersionOfSameContent) if alike => before,
            Some(Flaw::CountsVersionsPerRow) => Version(before.0 + 1),
            _ => Version(state.applied),
        };
        let for_good = new.expires_at.since(now) > Duration::from_secs(100 * 365 * 24 * 3600);
        state.kept_for_good |= for_good;
        new.expires_at = match self.flaw {
            Some(Flaw::ForgetsExpiry) => now.saturating_add(Duration::from_secs(60)),
            Some(Flaw::RoundsLifetimes) => {
                Timestamp::from_millis(new.expires_at.as_millis() / 1_000 * 1_000)
            }
            Some(Flaw::CapsLifetimes) => {
                new.expires_at.min(now.saturating_add(Duration::from_secs(365 * 24 * 3600)))
            }
            _ => new.expires_at,
        };
        if self.has(Flaw::DropsTermsOfTokens) && !key.kind.is_revised() {
            new.terms = Terms::NONE;
        }
        new.value.truncate(VALUE_BYTES_MAX);
        let op = if self.has(Flaw::ForgetsOps) { Op(0) } else { op };
        Row::new(key, &new, version, op)
    }

    /// What a reader is shown of a row.
    fn shown(&self, state: &State, row: &Row) -> Option<Row> {
        let key = row.key();
        let mine = state.writers.get(&self.place(key)) == Some(&thread::current().id());
        let extreme = [[0; 32], [u8::MAX; 32]].contains(key.id.as_bytes());
        let hidden = match self.flaw {
            Some(Flaw::HidesExpired) => self.expired(row),
            Some(Flaw::ReservesExtremes) => extreme,
            Some(Flaw::KeepsToItself) => !mine,
            _ => false,
        };
        (!hidden).then(|| row.clone())
    }

    fn lists(&self, state: &State, term: Term, row: &Row) -> bool {
        let key = self.place(row.key());
        match self.flaw {
            Some(Flaw::ForgetsTerms) => false,
            Some(Flaw::ForgetsSecondTerm) => row.terms().iter().next() == Some(term),
            Some(Flaw::ForgetsFourthTerm) => row.terms().iter().take(3).any(|own| own == term),
            Some(Flaw::ListsEverything) => true,
            Some(Flaw::ListsOldTerms) if state.old_terms.contains(&(term, key)) => true,
            _ => row.terms().iter().any(|carried| carried == term),
        }
    }

    /// When a row may be swept.
    fn death(&self, state: &State, key: &Key, row: &Row) -> Timestamp {
        let first = state.first.get(key).unwrap_or(row);
        match self.flaw {
            Some(Flaw::SweepsTheLiving) => Timestamp::default(),
            Some(Flaw::SweepsByFirstDeath) => first.expires_at(),
            Some(Flaw::NeverSweepsReplaced) if first.version() != row.version() => Timestamp::MAX,
            _ => row.expires_at(),
        }
    }
}

impl Backend for Flawed {
    fn now(&self) -> Timestamp {
        match self.flaw {
            Some(Flaw::StopsTheClock) => self.opened,
            Some(Flaw::FollowsTheClockBack) => self.clock.wall().into(),
            _ => self.time.now(),
        }
    }

    fn wall(&self) -> Timestamp {
        self.time.wall()
    }

    fn lead(&self) -> Duration {
        if self.has(Flaw::ForgetsTheLead) { Duration::ZERO } else { self.time.lead() }
    }

    async fn get(&self, key: Key) -> Result<Option<Row>> {
        let state = self.state.lock();
        if let Some(row) = state.rows.get(&self.place(key)) {
            return Ok(self.shown(&state, row));
        }
        if !self.has(Flaw::InventsRows) {
            return Ok(None);
        }
        let (value, expires_at) = (b"invented".to_vec(), Timestamp::MAX);
        let new = NewRow { value, expires_at, terms: Terms::NONE };
        Row::new(key, &new, Version(1), Op(1)).map(Some)
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome> {
        self.validate(&batch)?;
        let (op, steps) = (batch.op(), batch.steps());
        if self.has(Flaw::CommitsAtSecondPoll) && steps.len() > 1 {
            let (first, rest) = steps.split_at(1);
            let outcome = self.apply(op, first)?;
            if outcome != Outcome::Applied {
                return Ok(outcome);
            }
            let mut polled = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                let ready = std::mem::replace(&mut polled, true);
                if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            return self.apply(op, rest);
        }
        let outcome = self.apply(op, steps)?;
        let tells = outcome == Outcome::Applied || self.has(Flaw::TellsOfConflicts);
        if let Some(applied) = batch.applied().filter(|_| tells && !self.has(Flaw::NeverTells)) {
            applied.call();
        }
        Ok(outcome)
    }

    async fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
        let state = self.state.lock();
        if let Some(after) = after
            && self.has(Flaw::PagesByStoredKey)
            && !state.rows.contains_key(&after)
        {
            return Ok(Page::default());
        }
        let capped = !self.has(Flaw::PagesUnlimited);
        let limit = limit.clamp(1, if capped { PAGE_ROWS_MAX } else { 1_000_000 });
        let beyond = |row: &Row| match after {
            Some(after) if self.has(Flaw::PagesOverlap) => row.key() >= after,
            Some(after) => row.key() > after,
            None => true,
        };
        let mut all = state.rows.clone();
        if self.has(Flaw::ListsSwept) {
            all.extend(state.swept.clone());
        }
        if self.has(Flaw::ListsFirstVersions) {
            for (key, row) in &mut all {
                row.clone_from(&state.first[key]);
            }
        }
        let mut rows: Vec<Row> = all
            .into_values()
            .filter(|row| self.lists(&state, term, row) && beyond(row))
            .filter_map(|row| self.shown(&state, &row))
            .take(limit + 1)
            .collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(Page { next: rows.last().filter(|_| more).map(Row::key), rows })
    }

    async fn sweep(&self, budget: Budget) -> Result<Swept> {
        let until = match self.flaw {
            Some(Flaw::SweepsByTheWall) => self.now(),
            Some(Flaw::NeverBelieves) => self.opened.saturating_add(self.clock.monotonic()),
            _ => self.time.settled(),
        };
        let paced = self.time.paced();
        let mut state = self.state.lock();
        if self.has(Flaw::SweepsDeletedAgain) {
            for (_, key) in
                state.deleted.extract_if(.., |(death, _)| *death <= until).collect::<Vec<_>>()
            {
                state.rows.remove(&key);
            }
        }
        let dead: Vec<Key> = state
            .rows
            .iter()
            .filter(|(key, row)| {
                let death = self.death(&state, key, row);
                let remembered =
                    key.kind == Kind::REMEMBERED && !self.has(Flaw::ForgetsBurntValues);
                death <= until && (!remembered || death <= paced)
            })
            .map(|(key, _)| *key)
            .collect();
        if self.has(Flaw::SweepsWhatItSaw) {
            drop(state);
            self.lose_race();
            state = self.state.lock();
        }
        let count = usize::try_from(budget.rows).unwrap_or(usize::MAX).min(dead.len());
        for key in &dead[..count] {
            if let Some(row) = state.rows.remove(key) {
                state.swept.insert(*key, row);
            }
        }
        let more =
            (dead.len() > count && !self.has(Flaw::SweepsOnlyOnce)) || self.has(Flaw::AlwaysMore);
        Ok(Swept { rows: count as u64, windows: 0, more })
    }

    fn accept_clock(&self) {
        self.time.accept();
    }

    fn stats(&self) -> Stats {
        let state = self.state.lock();
        let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
        let ghosts = self.has(Flaw::CountsTheDead).then_some(&state.swept);
        for key in state.rows.keys().chain(ghosts.into_iter().flat_map(BTreeMap::keys)) {
            *kinds.entry(key.kind).or_default() += 1;
        }
        let rows = kinds.into_iter().map(|(kind, rows)| KindRows { kind, rows }).collect();
        Stats { rows, ..Stats::default() }
    }
}
