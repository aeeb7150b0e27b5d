//! Many callers at one row: one of them wins, whatever the engine does meanwhile.

mod leading;
mod readers;
mod rotations;
mod winners;

use grantkeep::{Embedded, Memory, Store, SystemClock, Wait as _};
use grantkeep_tests::samples;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Enough for a thread without work to fall asleep.
const REST: Duration = Duration::from_millis(50);

/// A store with the smallest log there is, which carries and sweeps all the time.
fn embedded() -> (Store<Embedded>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = Store::options().log_budget_bytes(2 << 20).row_cache_bytes(256 << 10);
    let options = options.table_cache_bytes(1 << 20).reserve_bytes(0);
    (options.open(dir.path().join("store")).unwrap(), dir)
}

fn memory() -> Store<Memory> {
    Store::in_memory(Arc::new(SystemClock::new())).unwrap()
}

/// Runs `race` on a store while another thread fills its log, so that checkpoints are in the way.
fn while_carrying(race: impl FnOnce(&Store<Embedded>)) {
    let (store, _dir) = embedded();
    let (over, filled) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut change = store.change().unwrap();
                let until = store.now().saturating_add(DAY);
                for _ in 0..40 {
                    let name = format!("filler-{}", filled.fetch_add(1, Ordering::Relaxed));
                    let token = samples::token(&name, "filler");
                    change.insert(samples::id(&name), &token, until).unwrap();
                }
                store.commit(change).wait().unwrap();
            }
        });
        // The log is over its budget from here on: what is written is carried soon after.
        while store.stats().carried_rows == 0 {
            std::thread::yield_now();
        }
        let before = store.stats();
        race(&store);
        over.store(true, Ordering::Relaxed);
        let stats = store.stats();
        println!(
            "  meanwhile {} checkpoints, {} rows carried, {} commits in {} syncs",
            stats.checkpoints - before.checkpoints,
            stats.carried_rows - before.carried_rows,
            stats.commits - before.commits,
            stats.log_syncs - before.log_syncs
        );
    });
    store.close().unwrap();
}
