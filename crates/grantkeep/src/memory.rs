//! The plain-map engine: the model that tests hold other engines against, and a store for a
//! user's own tests. Nothing is on disk.

use crate::backend::{
    Backend, Batch, Budget, Expect, Key, Kind, KindRows, Outcome, PAGE_ROWS_MAX, Page, Row, Scan,
    Stats, Swept, Term, Version, Write,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::Result;
use crate::sync::{Arc, Mutex};
use crate::timekeeper::Timekeeper;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A backend of plain maps.
pub struct Memory {
    time: Timekeeper,
    maps: Mutex<Maps>,
}

impl fmt::Debug for Memory {
    /// Without what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Maps {
    rows: BTreeMap<Key, Row>,
    deaths: BTreeSet<(Timestamp, Key)>,
    terms: BTreeSet<(Term, Key)>,
    /// The paced time before which a remembered row is not swept.
    remembered: BTreeMap<Key, Timestamp>,
    /// The largest such time of a row that was swept.
    forgotten: Timestamp,
    commits: u64,
    swept: u64,
}

impl Memory {
    /// An empty backend on the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty backend on `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { time: Timekeeper::new(clock, None), maps: Mutex::new(Maps::default()) }
    }

    fn apply(&self, batch: &Batch) -> Result<Outcome> {
        batch.validate()?;
        if batch.issues() {
            self.time.check_believed()?;
        }
        let moment = self.time.moment();
        let maps = &mut *self.maps.lock();
        for step in batch.steps() {
            let stored = maps.rows.get(&step.key);
            let holds = match step.expect {
                Expect::Absent => stored.is_none(),
                Expect::Is(version) => stored.is_some_and(|row| row.version() == version),
            };
            if !holds {
                return Ok(Outcome::Conflict(step.key));
            }
            if let (Some(stored), Write::Put(row)) = (stored, &step.write) {
                stored.check_terms(row.terms)?;
            }
        }
        maps.commits += 1;
        let version = Version(maps.commits);
        for step in batch.steps() {
            match &step.write {
                Write::Keep => {}
                Write::Delete => maps.remove(&step.key),
                Write::Put(new) => {
                    let row = Row::new(step.key, new, version, batch.op())?;
                    self.time.note_lifetime(row.expires_at().since(moment.now));
                    maps.remove(&step.key);
                    if step.key.kind == Kind::REMEMBERED {
                        let until = row.expires_at().saturating_sub(moment.lead());
                        maps.remembered.insert(step.key, until);
                    }
                    maps.deaths.insert((row.expires_at(), step.key));
                    for term in row.terms().iter() {
                        maps.terms.insert((term, step.key));
                    }
                    maps.rows.insert(step.key, row);
                }
            }
        }
        Ok(Outcome::Applied)
    }
}

impl Maps {
    fn remove(&mut self, key: &Key) {
        if let Some(row) = self.rows.remove(key) {
            self.deaths.remove(&(row.expires_at(), *key));
            self.remembered.remove(key);
            for term in row.terms().iter() {
                self.terms.remove(&(term, *key));
            }
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Memory {
    fn now(&self) -> Timestamp {
        self.time.now()
    }

    fn settled(&self) -> Timestamp {
        self.time.settled()
    }

    fn wall(&self) -> Timestamp {
        self.time.wall()
    }

    fn lead(&self) -> Duration {
        self.time.lead()
    }

    fn forgotten(&self) -> Timestamp {
        self.maps.lock().forgotten
    }

    async fn get(&self, key: Key) -> Result<Option<Row>> {
        Ok(self.maps.lock().rows.get(&key).cloned())
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome> {
        let outcome = self.apply(&batch)?;
        if outcome == Outcome::Applied
            && let Some(applied) = batch.applied()
        {
            applied.call();
        }
        Ok(outcome)
    }

    async fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let maps = self.maps.lock();
        let keys = maps
            .terms
            .range((term, after.unwrap_or(Key::MIN))..)
            .map_while(|(t, key)| (*t == term).then_some(*key));
        let mut rows: Vec<Row> = keys
            .filter(|key| Some(*key) != after)
            .take(limit + 1)
            .filter_map(|key| maps.rows.get(&key).cloned())
            .collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(Page { next: rows.last().filter(|_| more).map(Row::key), rows })
    }

    async fn scan(&self, scan: &mut Scan) -> Result<Vec<Row>> {
        let maps = self.maps.lock();
        let after = scan.after();
        let behind = |key: &&Key| Some(**key) != after;
        let keys = maps.rows.range(after.unwrap_or(Key::MIN)..).map(|(key, _)| key).filter(behind);
        let rows: Vec<Row> =
            keys.take(PAGE_ROWS_MAX).filter_map(|key| maps.rows.get(key).cloned()).collect();
        match rows.last() {
            Some(last) => scan.go_on(&last.key().to_bytes()),
            None => scan.end(),
        }
        Ok(rows)
    }

    async fn sweep(&self, budget: Budget) -> Result<Swept> {
        let (settled, paced) = (self.time.settled(), self.time.paced());
        let maps = &mut *self.maps.lock();
        let dead = maps.deaths.iter().take_while(|(death, _)| *death <= settled);
        let dead = dead.map(|(_, key)| *key);
        let forgotten = |key: &Key| maps.remembered.get(key).is_none_or(|until| *until <= paced);
        let most = usize::try_from(budget.rows).unwrap_or(usize::MAX);
        let mut keys: Vec<Key> = dead.filter(forgotten).take(most.saturating_add(1)).collect();
        let more = keys.len() > most;
        keys.truncate(most);
        for key in &keys {
            let remembered = maps.remembered.get(key).copied().unwrap_or_default();
            maps.forgotten = maps.forgotten.max(remembered);
            maps.remove(key);
        }
        let swept = Swept { rows: keys.len() as u64, more, ..Swept::default() };
        maps.swept += swept.rows;
        Ok(swept)
    }

    fn accept_clock(&self) {
        self.time.accept();
    }

    fn stats(&self) -> Stats {
        let maps = self.maps.lock();
        let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
        for key in maps.rows.keys() {
            *kinds.entry(key.kind).or_default() += 1;
        }
        Stats {
            rows: kinds.into_iter().map(|(kind, rows)| KindRows { kind, rows }).collect(),
            commits: maps.commits,
            swept_rows: maps.swept,
            clock_lead: self.time.lead(),
            row_cache_bytes: maps.rows.values().map(|row| row.as_record().len() as u64).sum(),
            ..Stats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::conformance;

    // Goal: the plain-map engine keeps every promise of a backend. Method: the public suite.
    #[test]
    fn memory_conforms() {
        let report = conformance::run(|clock| Memory::with_clock(clock));
        println!("conformance of the memory engine: {report}");
        assert!(report.is_clean(), "{report}");
    }
}
