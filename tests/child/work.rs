//! Work on a store until the process is killed, with a ledger of it.

use grantkeep::backend::{Backend as _, Batch, Budget, NewRow, Outcome, Terms};
use grantkeep::{
    Burned, Change, Code, Family, FamilyState, Owner, Store, Timestamp, Token, Wait as _,
};
use grantkeep_tests::ledger::{self, Effects, family, raw_key, raw_value, spent, subject};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::samples;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const THREADS: u64 = 4;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Rows of a raw batch at most.
const RAW_ROWS: u64 = 20;

/// Opens the store and works on it for ever. `known` names what threads may go on with.
pub fn run(dir: &Path, ledger: &Path, known: &Path, round: u64, seed: u64) {
    let store = Store::options()
        .log_budget_bytes(2 << 20)
        .live_set_bytes(1 << 20)
        .table_cache_bytes(1 << 20)
        .reserve_bytes(1 << 20)
        .open(dir)
        .unwrap();
    let ledger = OpenOptions::new().append(true).create(true).open(ledger).unwrap();
    let known = std::fs::read_to_string(known).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, ledger) = (&store, &ledger);
            let own = |name: &&str| ledger::thread_of(name) == thread.to_string();
            let names: Vec<String> = known.lines().filter(own).map(str::to_owned).collect();
            let of = |what: &str| names.iter().filter(|n| n.starts_with(what)).cloned().collect();
            let mut worker = Worker {
                store,
                ledger,
                thread,
                round,
                number: 0,
                random: Pseudorandom::new(seed + thread),
                codes: of("code:"),
                families: of("fam:"),
                raws: of("raw:"),
            };
            scope.spawn(move || {
                // A thread that dies takes the process along, so that the parent hears of it.
                let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.work()));
                died.unwrap_or_else(|_| std::process::exit(3));
            });
        }
    });
}

struct Worker<'a> {
    store: &'a Store,
    ledger: &'a File,
    thread: u64,
    round: u64,
    number: u64,
    random: Pseudorandom,
    codes: Vec<String>,
    families: Vec<String>,
    raws: Vec<String>,
}

impl Worker<'_> {
    fn work(&mut self) {
        loop {
            self.number += 1;
            match self.random.below(12) {
                0..=2 => self.issue_code(),
                3 => self.issue_token(),
                4 | 5 => self.redeem(),
                6 | 7 => self.change_family(),
                8 => self.burn(),
                9 => self.insert_raw(),
                10 => self.change_raw(),
                _ => self.revoke_or_keep(),
            }
        }
    }

    fn name(&self, what: &str) -> String {
        format!("{what}:{}-{}-{}", self.round, self.thread, self.number)
    }

    /// Expiries in a second or three, so that sweeps have something to do, or in a day.
    fn expires_at(&mut self) -> Timestamp {
        let short = Duration::from_millis(1_000 + self.random.below(2_000));
        let lifetime = if self.random.below(2) == 0 { short } else { DAY };
        self.store.now().saturating_add(lifetime)
    }

    fn note(&self, line: &str) {
        let mut ledger = self.ledger;
        ledger.write_all(line.as_bytes()).unwrap();
    }

    fn intend(&self, effects: &Effects) {
        let words: Vec<String> = effects.iter().map(|(name, to)| format!("{name}={to}")).collect();
        self.note(&format!("I {} {}\n", self.thread, words.join(" ")));
    }

    fn acknowledged(&self, state: &str) {
        self.note(&format!("A {}{state}\n", self.thread));
    }

    fn commit(&self, change: Change, effects: &Effects) {
        self.intend(effects);
        assert_eq!(self.store.commit(change).wait().unwrap(), Outcome::Applied, "{effects:?}");
        self.acknowledged("");
    }

    fn commit_raw(&self, batch: Batch, effects: &Effects) {
        self.intend(effects);
        let outcome = self.store.backend().commit(batch).wait().unwrap();
        assert_eq!(outcome, Outcome::Applied, "{effects:?}");
        self.acknowledged("");
    }

    fn issue_code(&mut self) {
        let (name, at) = (self.name("code"), self.store.now().saturating_add(DAY));
        let mut change = self.store.change().unwrap();
        let code = samples::code(&name, &subject(&self.thread.to_string()));
        change.insert(samples::id(&name), &code, at).unwrap();
        self.commit(change, &vec![(name.clone(), state("fresh", at))]);
        self.codes.push(name);
    }

    /// Adds a token under the standing epochs to a change.
    fn add_token(&mut self, change: &mut Change, effects: &mut Effects) {
        let (name, at) = (self.name("tok"), self.expires_at());
        let own = subject(&self.thread.to_string());
        let standing = self.store.epochs(&own, "client-1").wait().unwrap();
        let token = Token { epochs: standing.epochs(), ..samples::token(&name, &own) };
        change.insert(samples::id(&name), &token, at).unwrap();
        standing.require(change);
        effects.push((name, state("live", at)));
    }

    fn issue_token(&mut self) {
        let (mut change, mut effects) = (self.store.change().unwrap(), Effects::new());
        self.add_token(&mut change, &mut effects);
        self.commit(change, &effects);
    }

    /// Spends a code, opens a family, and issues a token, in one batch.
    fn redeem(&mut self) {
        let Some(code) = self.take(|worker| &mut worker.codes) else { return };
        let held = self.store.get::<Code>(samples::id(&code)).wait().unwrap().unwrap();
        let mut change = self.store.change().unwrap();
        change.replace(&held, &spent(&code), held.expires_at).unwrap();
        let (name, at) = (self.name("fam"), self.store.now().saturating_add(DAY));
        change.insert(samples::id(&name), &family(&name, 1, false), at).unwrap();
        let mut effects =
            vec![(code, state("spent", held.expires_at)), (name.clone(), state("1active", at))];
        self.add_token(&mut change, &mut effects);
        self.commit(change, &effects);
        self.families.push(name);
    }

    /// Rotates a family, with a token; or revokes it.
    fn change_family(&mut self) {
        let Some(name) = self.take(|worker| &mut worker.families) else { return };
        let held = self.store.get::<Family>(samples::id(&name)).wait().unwrap().unwrap();
        assert_eq!(held.record.state, FamilyState::Active, "{name}");
        let mut change = self.store.change().unwrap();
        let at = self.store.now().saturating_add(DAY);
        let generation = held.record.generation;
        if self.random.below(6) == 0 {
            change.replace(&held, &family(&name, generation, true), at).unwrap();
            change.revoking();
            self.commit(change, &vec![(name, state(&format!("{generation}revoked"), at))]);
            return;
        }
        let next = generation + 1;
        change.replace(&held, &family(&name, next, false), at).unwrap();
        let mut effects = vec![(name.clone(), state(&format!("{next}active"), at))];
        self.add_token(&mut change, &mut effects);
        self.commit(change, &effects);
        self.families.push(name);
    }

    fn burn(&mut self) {
        let (name, at) = (self.name("once"), self.expires_at());
        self.intend(&vec![(name.clone(), state("burnt", at))]);
        let first = self.store.burn("jti", name.as_bytes(), at).wait().unwrap();
        assert_eq!(first, Burned::First, "{name}");
        self.acknowledged("");
    }

    /// Puts many rows of both layouts in one batch.
    fn insert_raw(&mut self) {
        let base = self.name("raw");
        let (mut batch, mut effects) = (Batch::new().unwrap(), Effects::new());
        let at = self.store.now().saturating_add(DAY);
        for row in 0..2 + self.random.below(RAW_ROWS - 1) {
            let name = row_name(&base, row);
            let turn = self.random.below(1_000);
            let value = raw_value(&name, turn);
            batch.insert(raw_key(&name), NewRow { value, expires_at: at, terms: Terms::NONE });
            effects.push((name, state(&format!("turn_{turn}"), at)));
        }
        self.commit_raw(batch, &effects);
        self.raws.push(base);
    }

    /// Replaces or deletes all rows of an earlier batch in one.
    fn change_raw(&mut self) {
        let Some(base) = self.take(|worker| &mut worker.raws) else { return };
        let delete = self.random.below(2) == 0;
        let (mut batch, mut effects) = (Batch::new().unwrap(), Effects::new());
        for row in 0..=RAW_ROWS {
            let name = row_name(&base, row);
            let Some(held) = self.store.backend().get(raw_key(&name)).wait().unwrap() else {
                break;
            };
            if delete {
                batch.delete(raw_key(&name), held.version());
                effects.push((name, ledger::ABSENT.to_owned()));
                continue;
            }
            let turn = self.random.below(1_000);
            let (value, expires_at) = (raw_value(&name, turn), held.expires_at());
            let new = NewRow { value, expires_at, terms: Terms::NONE };
            batch.replace(raw_key(&name), held.version(), new);
            effects.push((name, state(&format!("turn_{turn}"), expires_at)));
        }
        self.commit_raw(batch, &effects);
        if !delete {
            self.raws.push(base);
        }
    }

    /// Begins an epoch, or asks the engine for what it else does by itself.
    fn revoke_or_keep(&mut self) {
        match self.random.below(12) {
            0 => {
                let own = subject(&self.thread.to_string());
                let name = format!("epoch:0-{}-0", self.thread);
                self.intend(&vec![(name.clone(), "another".to_owned())]);
                self.store.begin_epoch(Owner::Subject(&own)).wait().unwrap();
                self.acknowledged(&format!(" {}", ledger::observe(self.store, &name)));
            }
            1 => self.store.checkpoint().wait().unwrap(),
            2 => drop(self.store.sweep(Budget::rows(100)).wait().unwrap()),
            _ => {}
        }
        let stats = self.store.stats();
        self.note(&format!("S {} {}\n", stats.checkpoints, stats.swept_rows));
    }

    fn take(&mut self, of: impl Fn(&mut Self) -> &mut Vec<String>) -> Option<String> {
        let count = of(self).len() as u64;
        let at = usize::try_from(self.random.below(count.max(1))).unwrap();
        (count > 0).then(|| of(self).swap_remove(at))
    }
}

/// Every other row of a raw batch is of the other layout.
fn row_name(base: &str, row: u64) -> String {
    let (_, rest) = base.split_once(':').unwrap();
    format!("{}:{rest}.{row}", if row.is_multiple_of(2) { "raw" } else { "rev" })
}

fn state(state: &str, expires_at: Timestamp) -> String {
    format!("{state}@{}", expires_at.as_millis())
}
