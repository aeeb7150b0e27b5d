//! Who writes what was gathered: the log thread, or a caller that is alone.

use futures_executor::block_on;
use futures_util::future::join_all;
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

/// How many syncs it takes to commit so many changes in one future.
fn syncs_of_joined(store: &Store, commits: usize) -> u64 {
    let commit = |number: usize| {
        let name = format!("of-{commits}-{number}");
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(super::DAY);
        change.insert(samples::id(&name), &samples::token(&name, "alice"), until).unwrap();
        store.commit(change)
    };
    let joined = join_all((0..commits).map(commit));
    thread::sleep(super::REST);
    let before = store.stats().log_syncs;
    let told = joined.wait();
    assert!(told.into_iter().all(|told| told.unwrap() == Outcome::Applied));
    store.stats().log_syncs - before
}

// Goal: commits that are joined in one future share their syncs, as those of many threads do.
// Method: 2, 30, and 1,000 of them under one wait, on a disk so slow that all are gathered while
// it syncs for the first time. A set of more than 30 polls its futures with wakers of its own.
#[test]
fn joined_commits_share_their_syncs() {
    let disk = SimDisk::new();
    let options = Store::options().clock(manual_clock()).by_itself(false).reserve_bytes(0);
    let keys = KeySource::Given(Keyring::generate().unwrap());
    let options = options.disk(Arc::new(disk.clone())).keys(keys);
    let store = options.open(Path::new("/store")).unwrap();
    disk.set_pace(super::REST);
    for (commits, at_most) in [(2, 1), (30, 1), (1_000, 2)] {
        let syncs = syncs_of_joined(&store, commits);
        println!("{commits} joined commits: {syncs} syncs");
        assert!(syncs <= at_most, "{commits} joined commits took {syncs} syncs");
    }
    store.close().unwrap();
}
