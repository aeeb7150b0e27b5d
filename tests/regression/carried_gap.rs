//! After a checkpoint some of the carried segments are kept for reuse and others are not. The gap
//! between them was taken for damage, so that a store would not open after a crash.

use grantkeep::{Code, Store, Wait as _};
use grantkeep_tests::files::{copy_dir, segments};
use grantkeep_tests::{manual_clock, options, samples};
use std::time::Duration;

// Goal: P1, P8: segments that are gone because they were carried are not missed. Method: fill
// several segments, carry them, go on, and open what a crash would leave.
#[test]
fn carried_segments_are_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let path = dir.path().join("store");
    let store: Store = options(&clock).open(&path).unwrap();
    let mut names = Vec::new();
    let mut issue = |number: usize| {
        let mut change = store.change().unwrap();
        let expires_at = store.now().saturating_add(Duration::from_secs(3_600));
        for part in 0..40 {
            let name = format!("{number}-{part}");
            change.insert(samples::id(&name), &samples::code(&name, "alice"), expires_at).unwrap();
            names.push(name);
        }
        store.commit(change).wait().unwrap();
    };
    (0..150).for_each(&mut issue);
    store.checkpoint().wait().unwrap();
    (150..155).for_each(&mut issue);
    assert!(segments(&path).len() >= 3, "the gap takes a kept segment and one that is written to");

    let crashed = dir.path().join("crashed");
    copy_dir(&path, &crashed);
    let reopened: Store = options(&clock).open(&crashed).unwrap();
    for name in &names {
        let held = reopened.get::<Code>(samples::id(name)).wait().unwrap().unwrap();
        assert_eq!(held.record, samples::code(name, "alice"));
    }
}
