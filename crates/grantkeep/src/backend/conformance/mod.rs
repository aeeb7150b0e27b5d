//! What any backend must do, as checks that anyone can run against their own.
//!
//! [`run`] puts a fresh backend on a clock of its own through each check and reports which of the
//! promises of [`Backend`] it keeps. A check panics at nothing and needs no test framework.
//!
//! # What is expected of the backend under test
//! - It is empty, judges time by the clock it is given and by no other, and sweeps only when it
//!   is told to: where an engine sweeps by itself, this is switched off for the suite.
//! - It follows leaps of the clock by [`LEAP_HOLD`](crate::LEAP_HOLD) and
//!   [`LEAP_BELIEVED_MIN`](crate::LEAP_BELIEVED_MIN): a leap counts for validity at once, and for
//!   sweeping once it has held.
//! - It stays up. What a crash, a full disk, or a lost connection may do is the engine's to test.
//!
//! # What is left to the engine
//! - *When the dead are swept.* Engines cut whole windows of time, so a row may stay for a
//!   sixteenth of its lifetime after it expired. The suite asks for removal only after twice the
//!   lifetime has passed, and after an hour where that is longer. A row whose expiry was brought
//!   forward may stay until the window of its first expiry is cut.
//! - *How far a budget reaches.* A sweep may finish the window it is in. It must get on at each
//!   call, and say [`more`](super::Swept::more) as long as anything that must go is left.
//! - *How full a page is.* It may hold fewer rows than asked for, but not none while it names a
//!   next one.
//! - *What versions are*, beyond that they grow with each write of one key, even if the key was
//!   deleted or swept in between.

mod batches;
mod conditions;
mod expiry;
mod keys;
mod limits;
mod listing;
mod races;
#[cfg(test)]
mod saboteurs;
mod sweeping;
mod time;
mod trial;

use super::Backend;
use crate::clock::ManualClock;
use std::fmt;
use std::sync::Arc;
use trial::{Trial, Verdict};

/// Runs every check, each on a fresh backend that `make` opens on the clock it is given.
///
/// ```
/// use grantkeep::backend::{
///     Backend, Batch, Budget, Key, Outcome, Page, Row, Stats, Swept, Term, conformance,
/// };
/// use grantkeep::{Memory, Result, Timestamp};
///
/// struct Mine(Memory);
///
/// impl Backend for Mine {
///     fn now(&self) -> Timestamp {
///         self.0.now()
///     }
///     async fn get(&self, key: Key) -> Result<Option<Row>> {
///         self.0.get(key).await
///     }
///     async fn commit(&self, batch: Batch) -> Result<Outcome> {
///         self.0.commit(batch).await
///     }
///     async fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
///         self.0.list(term, after, limit).await
///     }
///     async fn sweep(&self, budget: Budget) -> Result<Swept> {
///         self.0.sweep(budget).await
///     }
///     fn accept_clock(&self) {
///         self.0.accept_clock();
///     }
///     fn stats(&self) -> Stats {
///         self.0.stats()
///     }
/// }
///
/// let report = conformance::run(|clock| Mine(Memory::with_clock(clock)));
/// assert!(report.is_clean(), "{report}");
/// ```
pub fn run<B: Backend>(make: impl FnMut(Arc<ManualClock>) -> B) -> Report {
    run_some(make, |_| true)
}

/// Runs the checks whose names `wanted` accepts, as [`run`] does: to look closer at one that
/// failed.
///
/// ```
/// use grantkeep::Memory;
/// use grantkeep::backend::conformance;
///
/// let wanted = |check: &str| check.contains("idle sweep");
/// let report = conformance::run_some(|clock| Memory::with_clock(clock), wanted);
/// assert!(report.is_clean() && report.passed.len() == 1, "{report}");
/// ```
pub fn run_some<B: Backend>(
    mut make: impl FnMut(Arc<ManualClock>) -> B,
    wanted: impl Fn(&str) -> bool,
) -> Report {
    let mut report = Report::default();
    for check in checks::<B>().into_iter().filter(|check| wanted(check.name)) {
        match (check.run)(&Trial::new(&mut make)) {
            Ok(()) => report.passed.push(check.name),
            Err(why) => {
                report.failed.push(Failure { check: check.name, why: why.to_string() });
            }
        }
    }
    report
}

/// What a run of the suite found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a report that nobody reads proves nothing"]
pub struct Report {
    /// The promises that are kept.
    pub passed: Vec<&'static str>,
    /// The promises that are not.
    pub failed: Vec<Failure>,
}

impl Report {
    /// True if checks ran and none of them failed.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && !self.passed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checks passed, {} failed", self.passed.len(), self.failed.len())?;
        for failure in &self.failed {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

/// A promise that the backend does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The promise.
    pub check: &'static str,
    /// What happened instead.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.why)
    }
}

/// One promise, and how it is put to the test.
struct Check<B> {
    name: &'static str,
    run: fn(&Trial<B>) -> Verdict,
}

impl<B> Check<B> {
    const fn new(name: &'static str, run: fn(&Trial<B>) -> Verdict) -> Self {
        Self { name, run }
    }
}

fn checks<B: Backend>() -> Vec<Check<B>> {
    let mut checks = conditions::checks();
    checks.extend(batches::checks());
    checks.extend(keys::checks());
    checks.extend(limits::checks());
    checks.extend(listing::checks());
    checks.extend(expiry::checks());
    checks.extend(sweeping::checks());
    checks.extend(time::checks());
    checks.extend(races::checks());
    checks
}
