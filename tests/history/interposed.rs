//! Between the grants and an engine: pauses at every step, so that calls interleave, and flaws, as
//! a broken build would have them.

use grantkeep::backend::{
    Backend, Batch, Budget, Expect, Key, Outcome, Page, Row, Stats, Step, Swept, Term, Write,
};
use grantkeep::{Result, Timestamp};
use grantkeep_tests::pseudorandom::Pseudorandom;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

/// How a caller stands back before and after each step of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// By being pending once: whoever polls decides who goes on.
    Turns,
    /// By yielding its thread now and then.
    Threads,
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// A batch whose conditions fail is applied to what is there.
    ConditionsDropped,
    /// Conditions on rows that the batch does not write are not held: epochs, and the family of a
    /// retry.
    KeptConditionsDropped,
    /// A look-up may answer what the row was before its last change.
    StaleReads,
    /// A batch is seen in two halves.
    TornBatches,
    /// An acknowledged change of a row is lost now and then.
    LostChanges,
}

/// One call in so many meets a flaw that is not always there.
const FLAWED_ONE_IN: u64 = 8;

pub(crate) struct Interposed<B> {
    inner: B,
    pace: Pace,
    flaw: Flaw,
    chance: Mutex<Pseudorandom>,
    /// For each row the one before it, and itself.
    seen: Mutex<HashMap<Key, (Row, Row)>>,
}

impl<B: Backend> Interposed<B> {
    pub(crate) fn new(inner: B, pace: Pace, flaw: Flaw, seed: u64) -> Self {
        let chance = Mutex::new(Pseudorandom::new(seed));
        Self { inner, pace, flaw, chance, seen: Mutex::default() }
    }

    /// Draws all that follows from this seed.
    pub(crate) fn reseed(&self, seed: u64) {
        *self.chance() = Pseudorandom::new(seed);
        self.seen.lock().unwrap().clear();
    }

    pub(crate) fn chance(&self) -> MutexGuard<'_, Pseudorandom> {
        self.chance.lock().unwrap()
    }

    async fn pause(&self) {
        match self.pace {
            Pace::Turns => {
                let mut paused = false;
                poll_fn(|_| {
                    if std::mem::replace(&mut paused, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            Pace::Threads => {
                let yields = self.chance().below(4);
                (0..yields).for_each(|_| std::thread::yield_now());
            }
        }
    }

    fn strikes(&self) -> bool {
        self.chance().below(FLAWED_ONE_IN) == 0
    }

    /// Keeps the row before this one, and answers it now and then.
    fn stale(&self, row: Row) -> Row {
        let mut seen = self.seen.lock().unwrap();
        let (before, latest) = seen.entry(row.key()).or_insert_with(|| (row.clone(), row.clone()));
        if latest.version() != row.version() {
            (*before, *latest) = (latest.clone(), row.clone());
        }
        let before = before.clone();
        drop(seen);
        if self.strikes() { before } else { row }
    }

    async fn commit_flawed(&self, batch: Batch) -> Result<Outcome> {
        match self.flaw {
            Flaw::ConditionsDropped => {
                let mut batch = batch;
                while let Outcome::Conflict(_) = self.inner.commit(batch.clone()).await? {
                    batch = self.as_it_is(batch.steps()).await?;
                }
                Ok(Outcome::Applied)
            }
            Flaw::KeptConditionsDropped => {
                let written = |step: &&Step| !matches!(step.write, Write::Keep);
                self.inner.commit(made_of(batch.steps().iter().filter(written))?).await
            }
            Flaw::TornBatches => {
                // What is changed first, what is new after it: a code is spent, its family opened.
                let (old, new): (Vec<_>, Vec<_>) =
                    batch.steps().iter().partition(|step| step.expect != Expect::Absent);
                let is_written =
                    |steps: &[&Step]| steps.iter().any(|step| !matches!(step.write, Write::Keep));
                if !is_written(&old) || !is_written(&new) {
                    return self.inner.commit(batch).await;
                }
                let outcome = self.inner.commit(made_of(old)?).await?;
                if outcome == Outcome::Applied {
                    self.pause().await;
                    return self.inner.commit(made_of(new)?).await;
                }
                Ok(outcome)
            }
            Flaw::LostChanges => {
                let changes = |step: &Step| {
                    step.expect != Expect::Absent && matches!(step.write, Write::Put(_))
                };
                let only_changes =
                    batch.steps().iter().all(|s| changes(s) || matches!(s.write, Write::Keep));
                if only_changes && self.strikes() {
                    return Ok(Outcome::Applied);
                }
                self.inner.commit(batch).await
            }
            Flaw::None | Flaw::StaleReads => self.inner.commit(batch).await,
        }
    }

    /// The same writes, expecting whatever is there.
    async fn as_it_is(&self, steps: &[Step]) -> Result<Batch> {
        let mut loose = Vec::new();
        for step in steps {
            let stored = self.inner.get(step.key).await?;
            let expect = stored.map_or(Expect::Absent, |row| Expect::Is(row.version()));
            loose.push(Step { expect, ..step.clone() });
        }
        made_of(&loose)
    }
}

/// A batch of these steps.
fn made_of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Result<Batch> {
    let mut batch = Batch::new()?;
    for step in steps {
        match (&step.write, step.expect) {
            (Write::Keep, expect) => batch.require(step.key, expect),
            (Write::Put(row), Expect::Absent) => batch.insert(step.key, row.clone()),
            (Write::Put(row), Expect::Is(version)) => batch.replace(step.key, version, row.clone()),
            (Write::Delete, Expect::Is(version)) => batch.delete(step.key, version),
            (Write::Delete, Expect::Absent) => &mut batch,
        };
    }
    Ok(batch)
}

impl<B: Backend> Backend for Interposed<B> {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn get(&self, key: Key) -> Result<Option<Row>> {
        self.pause().await;
        let row = self.inner.get(key).await?;
        self.pause().await;
        Ok(if self.flaw == Flaw::StaleReads { row.map(|row| self.stale(row)) } else { row })
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome> {
        self.pause().await;
        let outcome = self.commit_flawed(batch).await;
        self.pause().await;
        outcome
    }

    async fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
        self.pause().await;
        let page = self.inner.list(term, after, limit).await;
        self.pause().await;
        page
    }

    async fn sweep(&self, budget: Budget) -> Result<Swept> {
        self.pause().await;
        self.inner.sweep(budget).await
    }

    fn accept_clock(&self) {
        self.inner.accept_clock();
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}
