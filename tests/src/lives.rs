//! Lives of a process that works on a store, one after the other, and the audit of them all.

use crate::audit::Audit;
use crate::process::Process;
use grantkeep::{Options, Store};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The options under which a test looks at a store that the processes work on.
pub fn options() -> Options {
    Store::options()
        .log_budget_bytes(2 << 20)
        .row_cache_bytes(1 << 20)
        .table_cache_bytes(1 << 20)
        .reserve_bytes(RESERVE_BYTES)
        .create(false)
        .by_itself(false)
}

/// The reserve of a store unless a test sets it otherwise: making it takes time at each open.
pub const RESERVE_BYTES: u64 = 1 << 20;

/// The lives on one store.
#[derive(Debug)]
pub struct Lives {
    child: PathBuf,
    /// The store's directory.
    pub store: PathBuf,
    notes: PathBuf,
    /// The reserve that the processes keep.
    pub reserve_bytes: u64,
    /// How many there were.
    pub round: u64,
    /// What they did.
    pub audit: Audit,
}

impl Lives {
    /// Of the program `child` in the store `store`, with notes in an empty directory `notes`, which
    /// may lie on another file system.
    ///
    /// # Panics
    /// If the notes cannot be written.
    pub fn new(child: &str, store: PathBuf, notes: PathBuf) -> Self {
        fs::create_dir_all(&notes).unwrap();
        let (reserve_bytes, audit) = (RESERVE_BYTES, Audit::default());
        Self { child: child.into(), store, notes, reserve_bytes, round: 0, audit }
    }

    /// The command of the next life, with so many threads and operations of each (0: no end).
    /// Options of the kind `strace -f` come before the program.
    ///
    /// # Panics
    /// If the notes cannot be written.
    pub fn next(&mut self, before: &[String], seed: u64, threads: u64, operations: u64) -> Process {
        let due: String = self.audit.due().into_iter().map(|name| format!("{name}\n")).collect();
        fs::write(self.notes.join("due"), due).unwrap();
        fs::write(self.notes.join("known"), self.audit.known()).unwrap();
        fs::write(self.notes.join("seen"), "").unwrap();
        fs::write(self.notes.join("ledger"), "").unwrap();
        let mut words = before.iter().map(String::as_str).chain(self.child.to_str());
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("work").args([&self.store, &self.notes]);
        let numbers = [self.round, seed, threads, operations, self.reserve_bytes];
        command.args(numbers.map(|number| number.to_string()));
        command.arg((!before.is_empty()).to_string());
        self.round += 1;
        Process::start(&mut command)
    }

    /// Reads what the last life left: what it saw at its start is compared, what it did is noted.
    /// Answers whether it came so far as to work.
    ///
    /// # Panics
    /// If what it saw is not what was acknowledged before.
    pub fn take_notes(&mut self, when: &str) -> bool {
        let seen = fs::read_to_string(self.notes.join("seen")).unwrap();
        let whole = seen.ends_with("end\n");
        if whole {
            let told = |line: &str| {
                let (name, rest) = line.split_once('=')?;
                let (state, now_ms) = rest.rsplit_once(' ')?;
                Some((name.to_owned(), (state.to_owned(), now_ms.parse().ok()?)))
            };
            let states: HashMap<_, _> = seen.lines().filter_map(told).collect();
            self.audit.check_due(when, |name| states[name].clone());
        }
        self.audit.note(&fs::read_to_string(self.notes.join("ledger")).unwrap());
        whole
    }

    /// What the present life has noted so far.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn ledger(&self) -> String {
        fs::read_to_string(self.notes.join("ledger")).unwrap()
    }

    /// Opens the store here, and compares everything.
    ///
    /// # Panics
    /// If it does not open, or anything is not as it was acknowledged.
    pub fn check_all(&mut self, when: &str, options: Options) -> Store {
        let store = options.open(&self.store).unwrap_or_else(|error| panic!("{when}: {error:?}"));
        self.audit.check_all(when, &store);
        store
    }

    /// The length of a file of the store.
    ///
    /// # Panics
    /// If it is not there.
    pub fn file_bytes(&self, name: impl AsRef<Path>) -> u64 {
        fs::metadata(self.store.join(name)).unwrap().len()
    }
}
