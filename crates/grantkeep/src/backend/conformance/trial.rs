//! One backend on its clock, and the steps that checks are made of.

use crate::backend::{
    Backend, Batch, Budget, Key, Kind, NewRow, Outcome, Row, Term, Terms, Version,
};
use crate::clock::ManualClock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::wait::Wait as _;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The lifetime that most rows of the suite have.
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) const TOKEN: Kind = Kind::write_once(1);
pub(super) const FAMILY: Kind = Kind::revised(2);
pub(super) const CLIENT: Kind = Kind::revised(3);

/// A sweep that is called this often and still says there is more does not get on.
const SWEEPS_MAX: u32 = 100_000;

/// Ends a check with what happened instead of what was promised.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err($crate::backend::conformance::trial::Why::new(format!($($why)+)));
        }
    };
}
pub(super) use ensure;

/// What happened instead of what was promised.
#[derive(Debug)]
pub(super) struct Why(String);

impl Why {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<Error> for Why {
    fn from(error: Error) -> Self {
        Self(format!("it answered an error of kind {:?}: {error}", error.kind()))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) type Verdict<T = ()> = Result<T, Why>;

/// One backend on its clock.
#[derive(Debug)]
pub(super) struct Trial<B> {
    pub(super) backend: B,
    pub(super) clock: Arc<ManualClock>,
}

impl<B: Backend> Trial<B> {
    pub(super) fn new(make: &mut impl FnMut(Arc<ManualClock>) -> B) -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        Self { backend: make(Arc::clone(&clock)), clock }
    }

    /// A row that lives for an hour and is not listed.
    pub(super) fn row(&self, value: impl Into<Vec<u8>>) -> NewRow {
        self.row_for(HOUR, value)
    }

    pub(super) fn row_for(&self, lifetime: Duration, value: impl Into<Vec<u8>>) -> NewRow {
        let expires_at = self.backend.now().saturating_add(lifetime);
        NewRow { value: value.into(), expires_at, terms: Terms::NONE }
    }

    pub(super) fn get(&self, key: Key) -> Verdict<Option<Row>> {
        let row = self.backend.get(key).wait()?;
        if let Some(row) = &row {
            ensure!(row.key() == key, "get of {key:?} answered the row of {:?}", row.key());
        }
        Ok(row)
    }

    /// The row that must be there.
    pub(super) fn held(&self, key: Key) -> Verdict<Row> {
        self.get(key)?.ok_or_else(|| Why::new(format!("{key:?} has no row, and should have one")))
    }

    /// No row may be there.
    pub(super) fn absent(&self, key: Key) -> Verdict {
        let row = self.get(key)?;
        ensure!(row.is_none(), "{key:?} has a row, and should have none: {row:?}");
        Ok(())
    }

    /// The row must be there to the last byte as it was read before.
    pub(super) fn unchanged(&self, before: &Row) -> Verdict {
        let row = self.held(before.key())?;
        ensure!(same(&row, before), "the row changed, from {before:?} to {row:?}");
        Ok(())
    }

    pub(super) fn commit(&self, batch: &Batch) -> Verdict<Outcome> {
        Ok(self.backend.commit(batch.clone()).wait()?)
    }

    pub(super) fn applies(&self, batch: &Batch) -> Verdict {
        let outcome = self.commit(batch)?;
        ensure!(outcome == Outcome::Applied, "{outcome:?}, although every expectation holds");
        Ok(())
    }

    /// The batch must conflict, and name `first`.
    pub(super) fn conflicts(&self, batch: &Batch, first: Key) -> Verdict {
        let outcome = self.commit(batch)?;
        ensure!(
            outcome == Outcome::Conflict(first),
            "{outcome:?}, although the expectation on {first:?} is the first that fails"
        );
        Ok(())
    }

    /// The batch must be refused with an error of `kind`.
    pub(super) fn refuses(&self, batch: &Batch, kind: ErrorKind) -> Verdict {
        match self.backend.commit(batch.clone()).wait() {
            Ok(outcome) => Err(Why::new(format!("{outcome:?}, although it is to be refused"))),
            Err(error) if error.kind() == kind => Ok(()),
            Err(error) => Err(Why::new(format!(
                "it was refused with an error of kind {:?} in place of {kind:?}: {error}",
                error.kind()
            ))),
        }
    }

    /// Puts a row where none is, and reads it back.
    pub(super) fn insert(&self, key: Key, row: NewRow) -> Verdict<Row> {
        self.applies(&batch(|batch| batch.insert(key, row))?)?;
        self.held(key)
    }

    /// Puts a row in place of the one that was read, and reads it back.
    pub(super) fn replace(&self, old: &Row, row: NewRow) -> Verdict<Row> {
        self.applies(&batch(|batch| batch.replace(old.key(), old.version(), row))?)?;
        self.held(old.key())
    }

    /// Removes the row that was read.
    pub(super) fn delete(&self, old: &Row) -> Verdict {
        self.applies(&batch(|batch| batch.delete(old.key(), old.version()))?)
    }

    /// All rows that carry `term`, read in pages of at most `limit`.
    pub(super) fn list(&self, term: Term, limit: usize) -> Verdict<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        let mut after = None;
        loop {
            let page = self.backend.list(term, after, limit).wait()?;
            let count = page.rows.len();
            ensure!(count <= limit, "a page of {limit} rows at most has {count}");
            for row in page.rows {
                let last = rows.last().map(Row::key);
                ensure!(last < Some(row.key()), "{:?} is listed after {last:?}", row.key());
                let carried = row.terms().iter().any(|carried| carried == term);
                ensure!(carried, "{:?} is listed by {term:?}, which it lacks", row.key());
                rows.push(row);
            }
            if page.next.is_none() {
                return Ok(rows);
            }
            ensure!(count > 0, "a page without rows names a next one");
            after = page.next;
        }
    }

    /// The listing of `term` must be exactly the rows stored under `keys`.
    pub(super) fn lists(&self, term: Term, keys: impl IntoIterator<Item = Key>) -> Verdict {
        let mut keys: Vec<Key> = keys.into_iter().collect();
        keys.sort_unstable();
        let rows = self.list(term, 1_000)?;
        let listed: Vec<Key> = rows.iter().map(Row::key).collect();
        ensure!(
            listed == keys,
            "{} rows are listed by {term:?}, and not the {} that carry it",
            listed.len(),
            keys.len()
        );
        for row in &rows {
            self.unchanged(row)?;
        }
        Ok(())
    }

    /// Sweeps until nothing is left to do, and answers how many rows were removed.
    pub(super) fn sweep(&self, budget: Budget) -> Verdict<u64> {
        let mut rows = 0;
        for _ in 0..SWEEPS_MAX {
            let swept = self.backend.sweep(budget).wait()?;
            rows += swept.rows;
            if !swept.more {
                return Ok(rows);
            }
            let progress = swept.rows > 0 || swept.windows > 0;
            ensure!(progress, "a sweep says there is more, and did nothing: {swept:?}");
        }
        Err(Why::new(format!("{SWEEPS_MAX} sweeps in a row say there is more")))
    }

    /// A full sweep must remove exactly `rows`.
    pub(super) fn sweeps(&self, rows: u64) -> Verdict {
        let swept = self.sweep(Budget::ALL)?;
        ensure!(swept == rows, "a sweep reports {swept} rows removed in place of {rows}");
        Ok(())
    }
}

/// What the clock of a trial shows at first, on a whole second.
pub(super) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(super) fn batch(fill: impl FnOnce(&mut Batch) -> &mut Batch) -> Verdict<Batch> {
    let mut batch = Batch::new()?;
    fill(&mut batch);
    Ok(batch)
}

/// The `n`th of a kind's keys, in no particular order.
pub(super) fn nth(kind: Kind, n: u64) -> Key {
    Key::new(kind, Digest::of_name("conformance", &n.to_le_bytes()))
}

pub(super) fn term(n: u8) -> Term {
    Term([n; 16])
}

/// The same row with these terms.
pub(super) fn listed(row: NewRow, terms: Terms) -> NewRow {
    NewRow { terms, ..row }
}

/// True for two rows that are the same to the last byte.
pub(super) fn same(one: &Row, other: &Row) -> bool {
    one.as_record() == other.as_record()
}

/// A version that no row of a short trial reaches.
pub(super) const NEVER: Version = Version(u64::MAX);
