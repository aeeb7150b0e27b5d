use super::{PATIENCE, batch, key, open, put, until};
use grantkeep::backend::Backend as _;
use grantkeep::{ErrorKind, Wait as _};
use std::sync::mpsc;

// Goal: P2, a closed handle answers no look-up: another process may have changed what it knows.
// Method: close, open anew, delete, and ask a clone of the old handle.
#[test]
fn a_closed_handle_answers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let old = store.clone();
    put(&store, 1).unwrap();
    store.close().unwrap();
    let again = open(dir.path()).unwrap();
    let row = again.backend().get(key(1)).wait().unwrap().unwrap();
    let mut deletion = batch(&again, 2);
    deletion.delete(key(1), row.version());
    again.backend().commit(deletion).wait().unwrap();
    let refused = old.backend().get(key(1)).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    let term = grantkeep::backend::Term([0; 16]);
    let refused = old.backend().list(term, None, 1).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(again.backend().get(key(1)).wait().unwrap().is_none());
}

// Goal: whoever closes a store may open it again, also where another has begun to close it. Method:
// eight threads close one store at the same time; after each close the directory is as an orderly
// close leaves it.
#[test]
fn a_second_close_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let store = open(dir.path()).unwrap();
        put(&store, round).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    store.close().unwrap();
                    let noted = std::fs::read_to_string(dir.path().join("LOCK")).unwrap();
                    assert!(noted.starts_with("closed"), "round {round}: {noted}");
                });
            }
        });
    }
}

// Goal: P1, a close while jobs run ends them, and the store opens again. Method: verifications and
// backups under way, a close beside them; each is answered.
#[test]
fn a_close_ends_the_jobs_under_way() {
    let place = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let store = open(&place.path().join("store")).unwrap();
        put(&store, round).unwrap();
        let (told, done) = mpsc::channel();
        std::thread::scope(|scope| {
            for job in 0..3 {
                let (store, told) = (store.clone(), told.clone());
                let to = place.path().join(format!("copy-{round}-{job}"));
                scope.spawn(move || {
                    let ended = match job {
                        0 => store.verify(|_| {}).wait().map(|found| assert_eq!(found.damages, 0)),
                        1 => store.backup(&to).wait(),
                        _ => store.checkpoint().wait(),
                    };
                    told.send(ended.err().map(|error| error.kind())).unwrap();
                });
            }
            store.close().unwrap();
        });
        for _ in 0..3 {
            let ended = done.recv_timeout(PATIENCE).expect("a job that was never answered");
            assert!(matches!(ended, None | Some(ErrorKind::Unavailable)), "{ended:?}");
        }
    }
    until("the lock", || open(&place.path().join("store")).is_ok());
}
