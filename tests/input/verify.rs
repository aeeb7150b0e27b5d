use super::{HOUR, open};
use grantkeep::backend::Budget;
use grantkeep::{ErrorKind, Family, Owner, Verified, Verifying, Wait as _};
use grantkeep_tests::files::{edit, segments};
use grantkeep_tests::samples;
use std::sync::{Arc, Mutex};
use std::time::Duration;

// Goal: P7, a whole store verifies as such, whatever it went through and while it is in use, and
// progress is told in order. Method: rows that are carried, replaced, deleted, swept, and carried
// again; verify after each, with a thread that commits, and after reopening.
#[test]
fn whole_stores_verify() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let verify = |store: &grantkeep::Store| -> Verified {
        let told = told.clone();
        let tell = move |progress: Verifying| told.lock().unwrap().push(progress);
        let found = store.verify(tell).wait().unwrap();
        assert_eq!((found.damages, &found.named), (0, &Vec::new()), "{found:?}");
        found
    };
    assert_eq!(verify(&store).blocks, 0);
    let insert = |name: &str, until: Duration| {
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(until);
        change.insert(samples::id(name), &samples::family(name, "alice"), until).unwrap();
        change.insert(samples::id(name), &samples::code(name, "alice"), until).unwrap();
        store.commit(change).wait().unwrap();
    };
    let done = Mutex::new(false);
    std::thread::scope(|scope| {
        let (done, insert) = (&done, &insert);
        scope.spawn(move || {
            for number in 0.. {
                insert(&format!("beside {number}"), HOUR);
                if *done.lock().unwrap() {
                    break;
                }
            }
        });
        for round in 0..4 {
            for number in 0..200 {
                insert(&format!("row {round} {number}"), HOUR * (1 + number % 3));
            }
            verify(&store);
            store.checkpoint().wait().unwrap();
            verify(&store);
            for number in 0..100 {
                let id = samples::id(&format!("row {round} {number}"));
                let held = store.get::<Family>(id).wait().unwrap().unwrap();
                let mut change = store.change().unwrap();
                if number % 2 == 0 {
                    let family = Family { generation: 7, ..held.record.clone() };
                    change.replace(&held, &family, held.expires_at).unwrap();
                } else {
                    change.delete(&held);
                }
                store.commit(change).wait().unwrap();
            }
            verify(&store);
            store.checkpoint().wait().unwrap();
            verify(&store);
        }
        *done.lock().unwrap() = true;
    });
    store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
    store.sweep(Budget::ALL).wait().unwrap();
    let found = verify(&store);
    assert!(found.blocks > 0 && found.block_rows > 1_000 && found.rows > 0, "{found:?}");
    assert!(found.terms > 1_000 && found.deaths == found.rows && found.frames > 0, "{found:?}");
    assert!(found.index_entries > 1_000, "{found:?}");
    store.close().unwrap();
    drop(store);
    let reopened = open(&path).unwrap();
    assert_eq!(verify(&reopened).rows, found.rows);
    reopened.close().unwrap();
    let refused = reopened.verify(|_| {}).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

// Goal: P7, damage of the log behind an open store is found. Method: flip a byte of every frame's
// neighborhood after the open, verify.
#[test]
fn damage_of_the_log_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    for number in 0..50 {
        let mut change = store.change().unwrap();
        let name = format!("row {number}");
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(&name), &samples::code(&name, "alice"), until).unwrap();
        store.commit(change).wait().unwrap();
    }
    assert_eq!(store.verify(|_| {}).wait().unwrap().damages, 0);
    let segment = segments(&path).into_iter().next().unwrap();
    let mut found = 0;
    for at in (8_300..14_000).step_by(501) {
        edit(&segment, |bytes| bytes[at] ^= 0x40);
        found += u64::from(store.verify(|_| {}).wait().unwrap().damages > 0);
        edit(&segment, |bytes| bytes[at] ^= 0x40);
    }
    assert_eq!(found, (8_300..14_000).step_by(501).count() as u64);
    assert_eq!(store.verify(|_| {}).wait().unwrap().damages, 0);
}
