//! What the suites share: stores in temporary directories, on clocks that a test moves.

pub mod audit;
pub mod failing_device;
pub mod file_system;
pub mod files;
pub mod guards;
pub mod ledger;
pub mod lives;
pub mod pieces;
pub mod player;
pub mod pressure;
pub mod process;
pub mod pseudorandom;
pub mod reference;
pub mod refusing;
pub mod safe_grants;
pub mod samples;
pub mod script;
pub mod sim_disk;
pub mod small_disk;
pub mod store_time;
pub mod stored_table;

use grantkeep::{Embedded, Keyring, ManualClock, Options, Store};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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
        .row_cache_bytes(1 << 20)
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

/// The number in this environment variable, or another where there is none.
///
/// # Panics
/// If it holds something else.
pub fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number")),
        Err(_) => otherwise,
    }
}

/// The seed in this environment variable, or one that differs from run to run; to be printed by
/// who uses it.
///
/// # Panics
/// If the variable holds something else.
pub fn fresh_seed(name: &str) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let process = u64::from(std::process::id());
    setting(name, now.as_secs() << 30 ^ u64::from(now.subsec_nanos()) ^ process)
}

/// The documents' examples are tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/start.md")]
    struct Start;
    #[doc = include_str!("../../docs/transfer.md")]
    struct Transfer;
    #[doc = include_str!("../../docs/operating.md")]
    struct Operating;
}
