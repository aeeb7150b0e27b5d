//! A store on disk, on a manual clock, that is closed and opened again, and searched.

use crate::world::*;
use grantkeep::{Embedded, ManualClock, Store};
use grantkeep_grants::{Grants, Policy};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

pub(crate) struct OnDisk {
    dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl OnDisk {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
        Self { dir: tempfile::tempdir().unwrap(), clock }
    }

    /// Does something in the store between an open and a close.
    pub(crate) fn open<T>(&self, act: impl FnOnce(&Grants<Embedded>) -> T) -> T {
        let options = Store::options().clock(self.clock.clone());
        let store =
            options.log_budget_bytes(2 << 20).reserve_bytes(0).open(self.dir.path()).unwrap();
        let done = act(&Grants::new(store.clone(), Policy::default()).unwrap());
        store.close().unwrap();
        done
    }

    /// True if a file of the store holds `piece`.
    pub(crate) fn holds(&self, piece: &str) -> bool {
        holds(self.dir.path(), piece.as_bytes())
    }
}

fn holds(dir: &Path, piece: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, piece);
        }
        std::fs::read(path).unwrap().windows(piece.len()).any(|window| window == piece)
    })
}
