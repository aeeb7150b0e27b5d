//! Who writes what was gathered: the log thread, or a caller that is alone.

use futures_executor::block_on;
use grantkeep::backend::Outcome;
use grantkeep::{Change, KeySource, Keyring, Result, Store, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Commits of each kind of caller.
const COMMITS: usize = 200;

/// How many of some commits their caller has written and synced itself.
fn written_by_the_caller(
    (store, disk): (&Store, &SimDisk),
    kind: &str,
    commit: impl Fn(Change) -> Result<Outcome>,
) -> usize {
    let by_the_caller = |number: &usize| {
        let name = format!("{kind}-{number}");
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(super::DAY);
        change.insert(samples::id(&name), &samples::token(&name, "alice"), until).unwrap();
        disk.record();
        assert_eq!(commit(change).unwrap(), Outcome::Applied);
        disk.recorded().iter().any(|state| state.thread == Some(thread::current().id()))
    };
    (0..COMMITS).filter(by_the_caller).count()
}

// Goal: a caller that blocks its thread, and is alone, writes and syncs by itself; a task of an
// executor never holds that up for a sync. Method: commits of either kind, one after the other, on
// a disk that notes who writes. Right after an open the log thread may not be asleep yet.
#[test]
fn who_is_alone_writes_for_itself() {
    let disk = SimDisk::new();
    let options = options(&manual_clock()).disk(Arc::new(disk.clone()));
    let keys = KeySource::Given(Keyring::generate().unwrap());
    let store = options.keys(keys).open(Path::new("/store")).unwrap();
    let place = (&store, &disk);
    let tasks = written_by_the_caller(place, "task", |change| block_on(store.commit(change)));
    assert_eq!(tasks, 0);
    thread::sleep(super::REST);
    let waiting = written_by_the_caller(place, "waiting", |change| store.commit(change).wait());
    println!("of {COMMITS} commits that were waited for {waiting} were written by their caller");
    assert!(waiting > COMMITS / 2, "{waiting}");
    store.close().unwrap();
}
