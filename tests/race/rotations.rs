//! Operators who rotate and retire root keys at the same time.

use grantkeep::backend::Outcome;
use grantkeep::{ErrorKind, KEYS_MAX, RootKey, Store, Token, Wait as _};
use grantkeep_tests::samples;
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ROUNDS: usize = 80;

fn ids(store: &Store) -> BTreeSet<u32> {
    store.keyring().newest_first().map(RootKey::id).collect()
}

/// Issues tokens until it is told to stop; answers the acknowledged ones.
fn issue(store: &Store, stop: &AtomicBool) -> Vec<String> {
    let mut issued = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = format!("a token that is long enough {}", issued.len());
        let id = store.id(text.as_bytes()).unwrap();
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(super::DAY);
        change.insert(id, &samples::token(&text, "alice"), until).unwrap();
        assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
        issued.push(text);
    }
    issued
}

fn all_found(store: &Store, issued: &[String]) {
    for text in issued {
        let held = store.find::<Token>(text.as_bytes()).wait().unwrap();
        assert!(held.is_some(), "an acknowledged token is unknown");
    }
}

// Goal: P1, rotations run one at a time, and each is complete. Method: two threads rotate at once
// while a third one issues, in 80 rounds; all keys and all acknowledged tokens are there, also
// after the store was opened again.
#[test]
fn two_rotations_at_once_are_both_complete() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let options = Store::options().log_budget_bytes(2 << 20).reserve_bytes(0);
            options.open(dir.path().join("store")).unwrap()
        };
        let (store, stop, start) = (open(), AtomicBool::new(false), Barrier::new(2));
        let issued = thread::scope(|scope| {
            let issuing = scope.spawn(|| issue(&store, &stop));
            let rotate = || {
                start.wait();
                store.rotate_keyring().wait().unwrap();
            };
            let rotations = [scope.spawn(rotate), scope.spawn(rotate)];
            for rotation in rotations {
                rotation.join().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            issuing.join().unwrap()
        });
        assert_eq!(ids(&store), BTreeSet::from([1, 2, 3]));
        all_found(&store, &issued);
        store.close().unwrap();
        drop(store);
        let store = open();
        assert_eq!(ids(&store), BTreeSet::from([1, 2, 3]));
        all_found(&store, &issued);
    }
}

// Goal: a keyring in the store's file never fills up for good. Method: rotate until it is full,
// retire from several threads at once, and rotate again; the keys that are left are there after an
// open, and the text of the others is in no file.
#[test]
fn keys_are_retired_when_the_keyring_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    for _ in 1..KEYS_MAX {
        store.rotate_keyring().wait().unwrap();
    }
    let error = store.rotate_keyring().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("retire"), "{error}");
    let text = store.keyring().to_text();
    let active = u32::try_from(KEYS_MAX).unwrap();
    thread::scope(|scope| {
        for id in 1..active {
            let store = &store;
            scope.spawn(move || store.retire_key(id).wait().unwrap());
        }
    });
    for (id, word) in [(active, "active"), (1, "no key"), (99, "no key")] {
        let error = store.retire_key(id).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Keyring);
        assert!(error.to_string().contains(word), "{error}");
    }
    store.rotate_keyring().wait().unwrap();
    let left = BTreeSet::from([active, active + 1]);
    assert_eq!(ids(&store), left);
    store.close().unwrap();
    drop(store);
    for retired in text.split(',').take(KEYS_MAX - 1) {
        let (_, hex) = retired.split_once(':').unwrap();
        for file in grantkeep_tests::files::files(&path) {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(24).any(|piece| piece == &hex.as_bytes()[..24]);
            assert!(!found, "{}", file.display());
        }
    }
    assert_eq!(ids(&Store::open(&path).unwrap()), left);
}
