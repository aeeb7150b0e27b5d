//! The names in a directory, and what a power cut does to changes of them.

use crate::pseudorandom::Pseudorandom;
use std::collections::BTreeMap;
use std::io;

/// The names in one directory, as they are seen and as the device has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Folder {
    pub(super) seen: Names,
    durable: Names,
    unsynced: Vec<Renaming>,
}

pub(super) type Names = BTreeMap<String, Entry>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(usize),
    Folder,
}

#[derive(Debug, Clone)]
pub(super) enum Renaming {
    Add(String, Entry),
    Rename(String, String),
    Remove(String),
}

impl Folder {
    pub(super) fn holding(names: Names) -> Self {
        Self { seen: names.clone(), durable: names, unsynced: Vec::new() }
    }

    pub(super) fn change(&mut self, renaming: Renaming) -> io::Result<()> {
        renaming.apply(&mut self.seen)?;
        self.unsynced.push(renaming);
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.seen.clone();
        self.unsynced.clear();
    }

    /// A sync that failed: some changes have reached the device, no later one writes the others.
    pub(super) fn sync_some(&mut self, random: &mut Pseudorandom) {
        self.durable = self.after_crash(random);
        self.unsynced.clear();
    }

    /// Some first changes, or any of them: one that stands on another that was lost is lost too.
    pub(super) fn after_crash(&self, random: &mut Pseudorandom) -> Names {
        let mut names = self.durable.clone();
        let in_order = random.below(2) == 0;
        let first = random.below(self.unsynced.len() as u64 + 1);
        for (number, renaming) in (0..).zip(&self.unsynced) {
            if if in_order { number < first } else { random.below(2) == 0 } {
                let _ = renaming.apply(&mut names);
            }
        }
        names
    }
}

impl Renaming {
    fn apply(&self, names: &mut Names) -> io::Result<()> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        match self {
            Self::Add(name, entry) => {
                names.insert(name.clone(), *entry);
            }
            Self::Rename(from, to) => {
                let entry = names.remove(from).ok_or_else(missing)?;
                names.insert(to.clone(), entry);
            }
            Self::Remove(name) => {
                names.remove(name).ok_or_else(missing)?;
            }
        }
        Ok(())
    }
}
