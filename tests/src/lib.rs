//! What the suites share: stores in temporary directories, on clocks that a test moves.

pub mod audit;
pub mod failing_device;
pub mod file_system;
pub mod files;
pub mod ledger;
pub mod lives;
pub mod player;
pub mod process;
pub mod pseudorandom;
pub mod reference;
pub mod samples;
pub mod sim_disk;
pub mod small_disk;

use grantkeep::{Embedded, Keyring, ManualClock, Options, Store};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Where manual clocks start: a fixed moment, so that runs repeat.
pub fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
}

/// Options for a small store on `clock` that does nothing by itself.
pub fn options(clock: &Arc<ManualClock>) -> Options {
    Store::options()
        .clock(clock.clone())
        .log_budget_bytes(2 << 20)
        .live_set_bytes(1 << 20)
        .table_cache_bytes(1 << 20)
        .reserve_bytes(0)
        .by_itself(false)
}

/// A backend of its own directory, which goes with it.
pub fn backend(
    clock: &Arc<ManualClock>,
    change: impl Fn(Options) -> Options,
) -> (Embedded, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keys = grantkeep::KeySource::Given(Keyring::generate().expect("a keyring"));
    let (backend, _) = change(options(clock).keys(keys))
        .open_backend(&dir.path().join("store"))
        .expect("a fresh store opens");
    (backend, dir)
}

/// The documents' examples are tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/start.md")]
    struct Start;
    #[doc = include_str!("../../docs/operating.md")]
    struct Operating;
}
