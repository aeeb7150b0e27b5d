//! Stores whose rows have just died.

use crate::workload::TOKEN_CHARACTERS;
use crate::{Scratch, load};
use grantkeep::backend::Budget;
use grantkeep::{Clock, ManualClock, Store, Wait};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The rows that die live this long, the others a hundred times as long.
const LIFETIME: Duration = Duration::from_secs(600);

/// Which rows die, and where they are then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dying {
    /// Write-once rows that never left the log.
    TokensInLog,
    /// Write-once rows in blocks of the table.
    TokensInTable,
    /// Revised rows in the table, with their index terms.
    FamiliesInTable,
}

/// A store with rows that have died and are not swept.
#[derive(Debug)]
pub struct Dead {
    store: Store,
    rows: u64,
    // Behind the store: it is closed before its directory goes.
    _scratch: Scratch,
}

impl Dying {
    /// What is measured, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokensInLog => "write-once rows in the log",
            Self::TokensInTable => "write-once rows in the table",
            Self::FamiliesInTable => "revised rows in the table",
        }
    }

    /// A store with as many dead rows and, beside them, so many tokens that live on.
    pub fn load(self, rows: u64, others: u64) -> Dead {
        let scratch = Scratch::new();
        let clock = manual_clock();
        let options = Store::options().clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let store = options.by_itself(false).open(scratch.path("store")).expect("a store");
        load::tokens(&store, rows..rows + others, TOKEN_CHARACTERS, 100 * LIFETIME);
        store.checkpoint().wait().expect("a checkpoint");
        match self {
            Self::TokensInLog | Self::TokensInTable => {
                load::tokens(&store, 0..rows, TOKEN_CHARACTERS, LIFETIME);
            }
            Self::FamiliesInTable => load::families(&store, 0..rows, LIFETIME),
        }
        if self != Self::TokensInLog {
            store.checkpoint().wait().expect("a checkpoint");
        }
        clock.advance(2 * LIFETIME);
        Dead { store, rows, _scratch: scratch }
    }
}

impl Dead {
    /// Sweeps all that has died, and answers how long that took.
    pub fn sweep(&self) -> Duration {
        let started = Instant::now();
        let swept = self.store.sweep(Budget::ALL).wait().expect("a sweep");
        let took = started.elapsed();
        assert_eq!(swept.rows, self.rows, "not all of the dead rows were swept");
        took
    }
}

/// A clock at a fixed moment, so that runs repeat.
pub fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
}
