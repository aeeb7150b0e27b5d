//! Handles of a store in the hands of others: code of theirs that panics, drops, or asks too late;
//! and what a handle says of the store's health.

mod closing;
mod foreign;
mod health;

use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Options, Result, Store, Wait as _};
use grantkeep_tests::samples;
use std::path::Path;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn key(number: u64) -> Key {
    samples::key(Kind::write_once(100), number)
}

/// Options of a store that does its upkeep by itself.
fn options() -> Options {
    Store::options().log_budget_bytes(2 << 20).reserve_bytes(0)
}

fn open(dir: &Path) -> Result<Store> {
    options().open(dir)
}

fn batch(store: &Store, number: u8) -> Batch {
    let expires_at = store.now().saturating_add(HOUR);
    let mut batch = Batch::new().unwrap();
    batch
        .insert(key(number.into()), NewRow { value: vec![number], expires_at, terms: Terms::NONE });
    batch
}

fn put(store: &Store, number: u8) -> Result<Outcome> {
    store.backend().commit(batch(store, number)).wait()
}

/// Waits until `done`.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
