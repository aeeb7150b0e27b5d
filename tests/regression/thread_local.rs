use grantkeep::{Change, Store, Wait as _};
use grantkeep_tests::samples;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

thread_local! {
    static KEPT: RefCell<Option<Store>> = const { RefCell::new(None) };
}

fn fill(store: &Store, name: &str) -> Change {
    let mut change = store.change().unwrap();
    let until = store.now().saturating_add(Duration::from_secs(3_600));
    change.insert(samples::id(name), &samples::token(name, "alice"), until).unwrap();
    change
}

// Goal: a store may be kept in a thread-local: its close, in the destructor, waits for the log as
// any other does. Method: threads that keep a store, used or not before it is kept, end; the store
// is opened again at once.
#[test]
fn a_thread_local_closes_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| {
        Store::options().log_budget_bytes(2 << 20).reserve_bytes(0).open(path).unwrap()
    };
    for used in [false, true] {
        let path = dir.path().join(format!("store-{used}"));
        let again = path.clone();
        let keeping = std::thread::spawn(move || {
            KEPT.with_borrow_mut(|kept| {
                let store = open(path);
                if used {
                    store.commit(fill(&store, "token")).wait().unwrap();
                }
                *kept = Some(store);
            });
        });
        keeping.join().unwrap();
        let store = open(again);
        let held = store.get::<grantkeep::Token>(samples::id("token")).wait().unwrap();
        assert_eq!(held.is_some(), used);
        store.close().unwrap();
    }
}
