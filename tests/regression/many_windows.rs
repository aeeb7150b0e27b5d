//! A checkpoint that appended blocks to two windows wrote to a page of redb that a range still
//! held: redb panicked, and the store was poisoned.

use grantkeep::{Code, Store, Wait as _};
use grantkeep_tests::{manual_clock, options, samples};
use std::time::Duration;

// Goal: P7, one checkpoint carries rows of any number of windows. Method: codes of 40 lifetimes
// from a second to a year, several times over, each time carried, and read back from the table.
#[test]
fn one_checkpoint_appends_to_many_windows() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store: Store = options(&clock).row_cache_bytes(0).open(dir.path().join("store")).unwrap();
    let mut names = Vec::new();
    for turn in 0..4 {
        let mut change = store.change().unwrap();
        for exponent in 0..40_u32 {
            let name = format!("{turn}-{exponent}");
            let lifetime = Duration::from_secs_f64(1.54_f64.powi(exponent.cast_signed()));
            let expires_at = store.now().saturating_add(lifetime);
            change.insert(samples::id(&name), &samples::code(&name, "alice"), expires_at).unwrap();
            names.push(name);
        }
        store.commit(change).wait().unwrap();
        store.checkpoint().wait().unwrap();
    }
    assert_eq!(store.stats().carried_rows, 160 + 3);
    for name in &names {
        let held = store.get::<Code>(samples::id(name)).wait().unwrap().unwrap();
        assert_eq!(held.record, samples::code(name, "alice"));
    }
    store.close().unwrap();
}
