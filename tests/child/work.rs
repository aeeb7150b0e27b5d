//! Work on a store until the process is killed, or for so many operations, with a ledger of it.

use grantkeep::backend::{Backend as _, Batch, Budget, NewRow, Outcome, Terms};
use grantkeep::{
    Burned, Change, Code, Error, ErrorKind, Family, FamilyState, Options, Owner, Result, Store,
    Timestamp, Token, Wait as _,
};
use grantkeep_tests::ledger::{self, Effects, family, raw_key, raw_value, spent, subject};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::samples;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Rows of a raw batch at most.
const RAW_ROWS: u64 = 20;
/// What is tried after a failure, to see that nothing is acknowledged any more.
const TRIES_AFTER_FAILURE: u64 = 30;
/// How long a thread rests when the disk is full: what is refused costs no sync.
const REST: Duration = Duration::from_millis(1);

/// What a process is to do.
pub struct Life<'a> {
    pub dir: &'a Path,
    /// The folder of `known`, what threads may go on with; `due`, the names to look at first;
    /// `seen`, what they are; `ledger`.
    pub notes: &'a Path,
    pub round: u64,
    pub seed: u64,
    pub threads: u64,
    /// How much each thread does before the store is carried, swept, and closed; 0 for no end.
    pub operations: u64,
    pub reserve_bytes: u64,
    /// Whether calls may be made to fail: a file system that says it is full whatever is freed.
    pub traced: bool,
}

fn options(life: &Life<'_>) -> Options {
    Store::options()
        .log_budget_bytes(2 << 20)
        .row_cache_bytes(1 << 20)
        .table_cache_bytes(1 << 20)
        .reserve_bytes(life.reserve_bytes)
}

/// Opens the store, says what is due, and works on it. Failures of the disk are told in the ledger;
/// anything else that should not be ends the process with a message.
pub fn run(life: &Life<'_>) {
    let ledger = OpenOptions::new().append(true).create(true).open(life.notes.join("ledger"));
    let ledger = ledger.unwrap();
    let store = match options(life).by_itself(life.operations == 0).open(life.dir) {
        Ok(store) => store,
        Err(error) => {
            return refused(&ledger, "open", &error);
        }
    };
    if let Err(error) = say_what_is_due(&store, life.notes) {
        return refused(&ledger, "look", &error);
    }
    println!("open");
    let known = std::fs::read_to_string(life.notes.join("known")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..life.threads {
            let own = |name: &&str| ledger::thread_of(name) == thread.to_string();
            let names: Vec<String> = known.lines().filter(own).map(str::to_owned).collect();
            let of = |what: &str| names.iter().filter(|n| n.starts_with(what)).cloned().collect();
            let mut worker = Worker {
                store: &store,
                ledger: &ledger,
                traced: life.traced,
                thread,
                round: life.round,
                number: 0,
                acknowledged: Cell::new(0),
                random: Pseudorandom::new(life.seed + thread),
                codes: of("code:"),
                families: of("fam:"),
                raws: of("raw:"),
            };
            scope.spawn(move || {
                // A thread that dies takes the process along, so that the parent hears of it.
                let work = std::panic::AssertUnwindSafe(|| worker.work(life.operations));
                let died = std::panic::catch_unwind(work);
                died.unwrap_or_else(|_| std::process::exit(3));
            });
        }
    });
    let end = [
        ("checkpoint", store.checkpoint().wait()),
        ("sweep", store.sweep(Budget::ALL).wait().map(|_| ())),
        ("close", store.close()),
    ];
    for (what, done) in end {
        if let Err(error) = done {
            expected(&error);
            note(&ledger, &format!("E 0 {what}-{:?}\n", error.kind()));
        }
    }
    println!("ended");
}

/// Ends a life that did not come so far as to work.
fn refused(ledger: &File, what: &str, error: &Error) {
    expected(error);
    note(ledger, &format!("E 0 {what}-{:?}\n", error.kind()));
    println!("refused {:?}: {error}", error.kind());
}

/// Answers for each name that is due what it is, so that the parent need not open the store.
fn say_what_is_due(store: &Store, notes: &Path) -> Result<()> {
    let due = std::fs::read_to_string(notes.join("due")).unwrap();
    let mut seen = String::new();
    for name in due.lines() {
        let (state, now_ms) = (ledger::try_observe(store, name)?, store.now().as_millis());
        seen.push_str(&format!("{name}={state} {now_ms}\n"));
    }
    seen.push_str("end\n");
    std::fs::write(notes.join("seen"), seen).unwrap();
    Ok(())
}

fn note(mut ledger: &File, line: &str) {
    ledger.write_all(line.as_bytes()).unwrap();
}

/// A disk that fails is answered with one of these kinds.
fn expected(error: &Error) {
    let kinds = [
        ErrorKind::Unknown,
        ErrorKind::Unavailable,
        ErrorKind::Full,
        ErrorKind::Io,
        ErrorKind::Permission,
    ];
    assert!(kinds.contains(&error.kind()), "{error:?}");
}

struct Worker<'a> {
    store: &'a Store,
    ledger: &'a File,
    traced: bool,
    thread: u64,
    round: u64,
    number: u64,
    acknowledged: Cell<u64>,
    random: Pseudorandom,
    codes: Vec<String>,
    families: Vec<String>,
    raws: Vec<String>,
}

impl Worker<'_> {
    /// Works until it has done enough. A store that failed takes no more: that is tried for a
    /// while.
    fn work(&mut self, operations: u64) {
        let (mut poisoned, mut left) = (false, TRIES_AFTER_FAILURE);
        while left > 0 && (operations == 0 || self.number < operations) {
            self.number += 1;
            let acknowledged = self.acknowledged.get();
            let done = self.step();
            assert!(
                !poisoned || self.acknowledged.get() == acknowledged,
                "acknowledged after a failure"
            );
            if let Err(error) = done {
                expected(&error);
                poisoned |= matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Unavailable);
                if error.kind() == ErrorKind::Full {
                    std::thread::sleep(REST);
                }
            }
            left -= u64::from(poisoned);
        }
    }

    fn step(&mut self) -> Result<()> {
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

    fn name(&self, what: &str) -> String {
        format!("{what}:{}-{}-{}", self.round, self.thread, self.number)
    }

    /// Expiries in a second or three, so that sweeps have something to do, or in a day.
    fn expires_at(&mut self) -> Timestamp {
        let short = Duration::from_millis(1_000 + self.random.below(2_000));
        let lifetime = if self.random.below(2) == 0 { short } else { DAY };
        self.store.now().saturating_add(lifetime)
    }

    fn intend(&self, effects: &Effects) {
        let words: Vec<String> = effects.iter().map(|(name, to)| format!("{name}={to}")).collect();
        note(self.ledger, &format!("I {} {}\n", self.thread, words.join(" ")));
    }

    /// Notes what came of the intent; `state` is what the acknowledgment adds to it.
    fn outcome<T>(&self, done: Result<T>, state: impl Fn(T) -> String) -> Result<()> {
        match done {
            Ok(answer) => {
                note(self.ledger, &format!("A {}{}\n", self.thread, state(answer)));
                self.acknowledged.set(self.acknowledged.get() + 1);
                Ok(())
            }
            Err(error) => {
                let what = if error.kind() == ErrorKind::Unknown { "U" } else { "F" };
                note(self.ledger, &format!("{what} {} {:?}\n", self.thread, error.kind()));
                Err(error)
            }
        }
    }

    /// Notes an error that leaves every name as it was.
    fn noted<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done {
            note(self.ledger, &format!("E {} {:?}\n", self.thread, error.kind()));
        }
        done
    }

    fn commit(&self, change: Change, effects: &Effects) -> Result<()> {
        self.intend(effects);
        let done = self.store.commit(change).wait();
        self.applied(done, effects)
    }

    /// Commits what adds no row: a full disk is no reason to refuse it.
    fn take_away(&self, change: Change, effects: &Effects) -> Result<()> {
        self.never_full(self.commit(change, effects))
    }

    /// Revoking, deleting, and sweeping go on when the disk is full.
    fn never_full<T>(&self, done: Result<T>) -> Result<T> {
        assert!(
            self.traced || !is_full(&done),
            "refused on a full disk, though it adds nothing: {:?}",
            done.err()
        );
        done
    }

    fn commit_raw(&self, batch: Batch, effects: &Effects) -> Result<()> {
        self.intend(effects);
        let done = self.store.backend().commit(batch).wait();
        self.applied(done, effects)
    }

    fn applied(&self, done: Result<Outcome>, effects: &Effects) -> Result<()> {
        self.outcome(done, |outcome| {
            assert_eq!(outcome, Outcome::Applied, "{effects:?}");
            String::new()
        })
    }

    fn issue_code(&mut self) -> Result<()> {
        let (name, at) = (self.name("code"), self.store.now().saturating_add(DAY));
        let mut change = self.store.change().unwrap();
        let code = samples::code(&name, &subject(&self.thread.to_string()));
        change.insert(samples::id(&name), &code, at).unwrap();
        self.commit(change, &vec![(name.clone(), state("fresh", at))])?;
        self.codes.push(name);
        Ok(())
    }

    /// Adds a token under the standing epochs to a change.
    fn add_token(&mut self, change: &mut Change, effects: &mut Effects) -> Result<()> {
        let (name, at) = (self.name("tok"), self.expires_at());
        let own = subject(&self.thread.to_string());
        let standing = self.noted(self.store.epochs(&own, "client-1").wait())?;
        let token = Token { epochs: standing.epochs(), ..samples::token(&name, &own) };
        change.insert(samples::id(&name), &token, at).unwrap();
        standing.require(change);
        effects.push((name, state("live", at)));
        Ok(())
    }

    fn issue_token(&mut self) -> Result<()> {
        let (mut change, mut effects) = (self.store.change().unwrap(), Effects::new());
        self.add_token(&mut change, &mut effects)?;
        self.commit(change, &effects)
    }

    /// Spends a code, opens a family, and issues a token, in one batch.
    fn redeem(&mut self) -> Result<()> {
        let Some(code) = self.take(|worker| &mut worker.codes) else { return Ok(()) };
        let held = self.noted(self.store.get::<Code>(samples::id(&code)).wait())?.unwrap();
        let mut change = self.store.change().unwrap();
        change.replace(&held, &spent(&code), held.expires_at).unwrap();
        let (name, at) = (self.name("fam"), self.store.now().saturating_add(DAY));
        change.insert(samples::id(&name), &family(&name, 1, false), at).unwrap();
        let mut effects = vec![
            (code.clone(), state("spent", held.expires_at)),
            (name.clone(), state("1active", at)),
        ];
        self.add_token(&mut change, &mut effects)?;
        let done = self.commit(change, &effects);
        match &done {
            Ok(()) => self.families.push(name),
            full if is_full(full) => self.codes.push(code),
            Err(_) => {}
        }
        done
    }

    /// Rotates a family, with a token; or revokes it.
    fn change_family(&mut self) -> Result<()> {
        let Some(name) = self.take(|worker| &mut worker.families) else { return Ok(()) };
        let held = self.noted(self.store.get::<Family>(samples::id(&name)).wait())?.unwrap();
        assert_eq!(held.record.state, FamilyState::Active, "{name}");
        let mut change = self.store.change().unwrap();
        let at = self.store.now().saturating_add(DAY);
        let generation = held.record.generation;
        if self.random.below(6) == 0 {
            change.replace(&held, &family(&name, generation, true), at).unwrap();
            change.revoking();
            let revoked = state(&format!("{generation}revoked"), at);
            return self.take_away(change, &vec![(name, revoked)]);
        }
        let next = generation + 1;
        change.replace(&held, &family(&name, next, false), at).unwrap();
        let mut effects = vec![(name.clone(), state(&format!("{next}active"), at))];
        self.add_token(&mut change, &mut effects)?;
        let done = self.commit(change, &effects);
        if done.is_ok() || is_full(&done) {
            self.families.push(name);
        }
        done
    }

    fn burn(&mut self) -> Result<()> {
        let (name, at) = (self.name("once"), self.expires_at());
        self.intend(&vec![(name.clone(), state("burnt", at))]);
        let done = self.store.burn("jti", name.as_bytes(), at).wait();
        self.outcome(done, |first| {
            assert_eq!(first, Burned::First, "{name}");
            String::new()
        })
    }

    /// Puts many rows of both layouts in one batch.
    fn insert_raw(&mut self) -> Result<()> {
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
        self.commit_raw(batch, &effects)?;
        self.raws.push(base);
        Ok(())
    }

    /// Replaces or deletes all rows of an earlier batch in one.
    fn change_raw(&mut self) -> Result<()> {
        let Some(base) = self.take(|worker| &mut worker.raws) else { return Ok(()) };
        let delete = self.random.below(2) == 0;
        let (mut batch, mut effects) = (Batch::new().unwrap(), Effects::new());
        for row in 0..=RAW_ROWS {
            let name = row_name(&base, row);
            let held = self.noted(self.store.backend().get(raw_key(&name)).wait())?;
            let Some(held) = held else { break };
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
        self.never_full(self.commit_raw(batch, &effects))?;
        if !delete {
            self.raws.push(base);
        }
        Ok(())
    }

    /// Begins an epoch, or asks the engine for what it else does by itself.
    fn revoke_or_keep(&mut self) -> Result<()> {
        match self.random.below(12) {
            0 => {
                let own = subject(&self.thread.to_string());
                let name = format!("epoch:0-{}-0", self.thread);
                self.intend(&vec![(name.clone(), "another".to_owned())]);
                let begun = self.store.begin_epoch(Owner::Subject(&own)).wait();
                // It is known by its number; one that cannot be looked up is as if still open.
                let begun = begun.and_then(|()| {
                    ledger::try_observe(self.store, &name)
                        .map_err(|cause| Error::new(ErrorKind::Unknown, cause.to_string()))
                });
                self.never_full(self.outcome(begun, |state| format!(" {state}")))?;
            }
            1 => self.noted(self.store.checkpoint().wait())?,
            2 => drop(self.never_full(self.noted(self.store.sweep(Budget::rows(100)).wait()))?),
            _ => {}
        }
        let stats = self.store.stats();
        note(self.ledger, &format!("S {} {}\n", stats.checkpoints, stats.swept_rows));
        Ok(())
    }

    fn take(&mut self, of: impl Fn(&mut Self) -> &mut Vec<String>) -> Option<String> {
        let count = of(self).len() as u64;
        let at = usize::try_from(self.random.below(count.max(1))).unwrap();
        (count > 0).then(|| of(self).swap_remove(at))
    }
}

fn is_full<T>(done: &Result<T>) -> bool {
    done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Full)
}

/// Every other row of a raw batch is of the other layout.
fn row_name(base: &str, row: u64) -> String {
    let (_, rest) = base.split_once(':').unwrap();
    format!("{}:{rest}.{row}", if row.is_multiple_of(2) { "raw" } else { "rev" })
}

fn state(state: &str, expires_at: Timestamp) -> String {
    format!("{state}@{}", expires_at.as_millis())
}
