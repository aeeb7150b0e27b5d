//! A store held against the ledgers of the processes that worked on it: what was acknowledged is
//! there, what was refused is not, what was in flight happened as a whole or not at all.

use crate::ledger::{self, ABSENT, Effects, observe};
use grantkeep::{Family, Owner, Store, Wait as _};
use std::collections::{BTreeMap, BTreeSet};

/// Names that a process is given to go on with, of each sort.
const KNOWN_MAX: usize = 400;

/// What an audit has seen so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// Operations that failed for certain.
    pub refused: u64,
    /// Those whose outcome was open, and how many of them had happened.
    pub in_flight: (u64, u64),
    /// Names compared with what they must be.
    pub compared: u64,
    /// Index entries and rows that verified.
    pub verified: u64,
    /// Checkpoints of the processes.
    pub checkpoints: u64,
    /// Rows that they swept.
    pub swept: u64,
    /// Errors that they were told, by kind.
    pub errors: BTreeMap<String, u64>,
}

/// What every name must be, by all ledgers read.
#[derive(Debug, Default)]
pub struct Audit {
    model: BTreeMap<String, String>,
    in_flight: Vec<Effects>,
    touched: BTreeSet<String>,
    threads: BTreeSet<String>,
    /// What was seen so far.
    pub counts: Counts,
}

impl Audit {
    /// Reads the ledger of one process.
    ///
    /// # Panics
    /// If it is none.
    pub fn note(&mut self, text: &str) {
        let noted = ledger::read(text);
        self.counts.checkpoints += noted.checkpoints;
        self.counts.swept += noted.swept;
        self.counts.acknowledged += noted.acknowledged.len() as u64;
        self.counts.refused += noted.refused.len() as u64;
        for (kind, count) in noted.errors {
            *self.counts.errors.entry(kind).or_default() += count;
        }
        for (name, state) in noted.acknowledged.into_iter().flatten() {
            self.touch(&name);
            self.model.insert(name, state);
        }
        for (name, _) in noted.refused.into_iter().flatten() {
            self.touch(&name);
            self.model.entry(name).or_insert_with(|| ABSENT.to_owned());
        }
        self.in_flight.extend(noted.in_flight);
    }

    fn touch(&mut self, name: &str) {
        self.touched.insert(name.to_owned());
        let thread = ledger::thread_of(name);
        if !self.threads.contains(thread) {
            self.threads.insert(thread.to_owned());
        }
    }

    /// How many names there are.
    pub fn names(&self) -> usize {
        self.model.len()
    }

    /// Names that a process may spend, rotate, or replace: none whose outcome is open.
    pub fn known(&self) -> String {
        let mut known = String::new();
        let open: BTreeSet<&String> =
            self.in_flight.iter().flatten().map(|(name, _)| name).collect();
        for (what, state) in [("code:", "fresh"), ("fam:", "active"), ("raw:", "turn")] {
            let end = what.replace(':', ";");
            let usable = |(name, held): &(&String, &String)| {
                held.contains(state)
                    && !open.contains(name)
                    && (what != "raw:" || name.ends_with(".0"))
            };
            let names = self.model.range(what.to_owned()..end);
            let names: Vec<&String> = names.filter(usable).map(|(name, _)| name).collect();
            // Of all ages: the oldest are in the table, the latest in the log.
            for name in names.iter().step_by(names.len().div_ceil(KNOWN_MAX).max(1)) {
                known.push_str(name.strip_suffix(".0").unwrap_or(name));
                known.push('\n');
            }
        }
        known
    }

    /// The names of what was done, or may have been done, since the last comparison.
    pub fn due(&self) -> BTreeSet<&str> {
        let open = self.in_flight.iter().flatten().map(|(name, _)| name.as_str());
        open.chain(self.touched.iter().map(String::as_str)).collect()
    }

    /// Compares what is due with what `look` answers: the state of a name, and the time after the
    /// look. `when` is for the message.
    ///
    /// # Panics
    /// If anything was lost, made up, or done by halves.
    pub fn check_due(&mut self, when: &str, mut look: impl FnMut(&str) -> (String, u64)) {
        for effects in std::mem::take(&mut self.in_flight) {
            self.settle(when, effects, &mut look);
        }
        let due = std::mem::take(&mut self.touched);
        self.compare(when, due.into_iter(), &mut look);
    }

    /// Compares everything: every name ever used, the lists, and the store as a whole.
    ///
    /// # Panics
    /// If anything was lost, made up, done by halves, or is damaged.
    pub fn check_all(&mut self, when: &str, store: &Store) {
        let mut look = |name: &str| seen_in(store, name);
        self.check_due(when, &mut look);
        let names: Vec<String> = self.model.keys().cloned().collect();
        self.compare(when, names.into_iter(), &mut look);
        self.compare_lists(when, store);
        let verified = store.verify(|_| {}).wait().unwrap();
        assert_eq!(verified.damages, 0, "{when}: {:#?}", verified.named);
        self.counts.verified += verified.index_entries + verified.block_rows + verified.rows;
    }

    /// A batch in flight happened as a whole, or not at all (P8).
    fn settle(
        &mut self,
        when: &str,
        effects: Effects,
        look: &mut impl FnMut(&str) -> (String, u64),
    ) {
        let mut happened = BTreeSet::new();
        let mut found = Vec::new();
        for (name, new) in &effects {
            self.touch(name);
            let (seen, now_ms) = look(name);
            let old = self.model.get(name).map_or(ABSENT, String::as_str);
            let expired = ledger::expiry(new).is_some_and(|at| at <= now_ms);
            // What is the same before and after tells nothing.
            if seen == ABSENT && old == ABSENT && expired || seen == old && old == new {
                continue;
            }
            let new = seen == *new || new == "another" && seen != old && seen != ABSENT;
            let told = || format!("{when}: {name} is {seen}, was {old}; in flight: {effects:?}");
            assert!(new || seen == old, "{}", told());
            happened.insert(new);
            found.push((name.clone(), seen));
        }
        let half = || format!("half of a batch happened: found {found:?}, in flight {effects:?}");
        assert!(happened.len() <= 1, "{when}: {}", half());
        self.counts.in_flight.0 += 1;
        self.counts.in_flight.1 += u64::from(happened.contains(&true));
        self.model.extend(found);
    }

    fn compare(
        &mut self,
        when: &str,
        names: impl Iterator<Item = String>,
        look: &mut impl FnMut(&str) -> (String, u64),
    ) {
        let (mut lost, mut gone) = (Vec::new(), Vec::new());
        for name in names {
            let Some(state) = self.model.get(&name) else { continue };
            let (seen, now_ms) = look(&name);
            self.counts.compared += 1;
            let expired = ledger::expiry(state).is_some_and(|at| at <= now_ms);
            match () {
                () if seen == *state => {}
                () if seen == ABSENT && expired => gone.push(name),
                () => lost.push(format!("{name} is {seen}, was acknowledged as {state}")),
            }
        }
        assert!(lost.is_empty(), "{when}, {} lost: {lost:#?}", lost.len());
        gone.iter().for_each(|name| drop(self.model.remove(name)));
    }

    /// The families of a subject are those of the ledger: none lost, none made up.
    fn compare_lists(&self, when: &str, store: &Store) {
        let mut expected: BTreeMap<&str, BTreeSet<String>> =
            self.threads.iter().map(|thread| (thread.as_str(), BTreeSet::new())).collect();
        for (name, state) in self.model.range("fam:".to_owned().."fam;".to_owned()) {
            if let Some(own) = expected.get_mut(ledger::thread_of(name))
                && state != ABSENT
            {
                own.insert(format!("read {name}"));
            }
        }
        for (thread, expected) in expected {
            let subject = ledger::subject(thread);
            let (mut listed, mut after) = (BTreeSet::new(), None);
            loop {
                let page =
                    store.list::<Family>(Owner::Subject(&subject), after, 100).wait().unwrap();
                listed.extend(page.records.into_iter().map(|held| held.record.scopes));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(listed, expected, "{when}: the families of {subject}");
        }
    }

    /// Nothing is found under names that nobody used (P4).
    ///
    /// # Panics
    /// If something is.
    pub fn check_unused(store: &Store, round: u64) {
        for what in ["code", "tok", "fam", "once", "raw", "rev"] {
            for number in 0..20 {
                let name = format!("{what}:{round}-0-{number}");
                assert_eq!(observe(store, &name), ABSENT, "{name}");
            }
        }
    }
}

/// What a name is in a store, and the time after the look: a row may be swept between two.
pub fn seen_in(store: &Store, name: &str) -> (String, u64) {
    let seen = observe(store, name);
    (seen, store.now().as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    // Goal: P8 as it is audited: a batch in flight counts as done whole, or not at all, and a row
    // that it left as it was tells neither. Method: one batch over three rows, one of which is to
    // be what it is; every mixture of what may be found afterwards.
    #[test]
    fn batches_in_flight_are_whole() {
        let far = u64::MAX;
        let name = |row: u64| format!("raw:1-0-1.{row}");
        let state = |turn: u64| format!("turn_{turn}@{far}");
        let line = |turns: [u64; 3]| -> String {
            (0..3).map(|row| format!(" {}={}", name(row), state(turns[row as usize]))).collect()
        };
        let (old, new) = ([1, 2, 3], [1, 5, 6]);
        for found in [[1, 2, 3], [1, 5, 6], [1, 5, 3], [1, 2, 6], [1, 5, 9], [4, 5, 6]] {
            let mut audit = Audit::default();
            audit.note(&format!("I 0{}\nA 0\nI 0{}\n", line(old), line(new)));
            let mut look = |asked: &str| {
                let row = (0..3).find(|row| name(*row) == asked).unwrap();
                (state(found[row as usize]), 0)
            };
            let checked = AssertUnwindSafe(|| audit.check_due("a test", &mut look));
            let whole = catch_unwind(checked).is_ok();
            assert_eq!(whole, found == old || found == new, "{found:?}");
        }
    }
}
