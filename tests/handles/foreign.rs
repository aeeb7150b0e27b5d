use super::{batch, open, options, put, until};
use grantkeep::backend::{Backend as _, Budget, NewRow, Terms};
use grantkeep::{ManualClock, Store, Wait as _};
use grantkeep_tests::samples;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, SystemTime};

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("the executor is gone");
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that lives as long as somebody may wake it, as in a simple executor.
struct Owning(Mutex<Option<Task>>);

impl Wake for Owning {
    fn wake(self: Arc<Self>) {}
}

// Goal: P1, a waker that panics is its executor's trouble: the store goes on. Method: a commit that
// is polled once with such a waker and then given up; the next ones are answered.
#[test]
fn a_panic_of_a_waker_stays_foreign() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for round in 0..10 {
        {
            let mut commit = pin!(store.backend().commit(batch(&store, 2 * round)));
            let waker = Waker::from(Arc::new(Panicking));
            let polled = commit.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                until("the commit", || store.stats().commits > u64::from(2 * round));
            }
        }
        put(&store, 2 * round + 1).unwrap();
    }
    assert!(store.health().is_open(), "{}", store.health());
    store.close().unwrap();
}

// Goal: a panic of the closure that is told of sweeps stays its own. Method: such a closure, and
// rows that die; sweeping goes on, and so do commits.
#[test]
fn a_panic_of_the_closure_told_of_sweeps_stays_foreign() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(SystemTime::now()));
    let choices = options().clock(clock.clone()).on_swept(|_| panic!("mine"));
    let store = choices.open(dir.path()).unwrap();
    for round in 0..3 {
        put(&store, round).unwrap();
        clock.advance(Duration::from_secs(2 * 3_600));
        store.sweep(Budget::ALL).wait().unwrap();
    }
    put(&store, 9).unwrap();
    assert!(store.health().is_open(), "{}", store.health());
}

// Goal: the closure that is told of progress runs where its caller polls, so that its panic is the
// caller's. Method: a verification with such a closure panics, and the store goes on.
#[test]
fn a_panic_of_the_progress_closure_is_the_callers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..100 {
        put(&store, number).unwrap();
    }
    // So many that progress is told once at least.
    for some in 0..80 {
        let expires_at = store.now().saturating_add(super::HOUR);
        let mut batch = grantkeep::backend::Batch::new().unwrap();
        for number in 0..60 {
            let key = samples::key(super::Kind::write_once(101), some * 60 + number);
            let row = NewRow { value: vec![7], expires_at, terms: Terms::NONE };
            batch.insert(key, row);
        }
        store.backend().commit(batch).wait().unwrap();
    }
    let mine = || store.verify(|_| panic!("mine")).wait();
    let caught = catch_unwind(AssertUnwindSafe(mine));
    assert!(caught.is_err(), "the closure was never called");
    put(&store, 100).unwrap();
    assert!(store.health().is_open(), "{}", store.health());
    assert_eq!(store.verify(|_| {}).wait().unwrap().damages, 0);
}

// Goal: the last handle may be dropped with a verification that was given up. Method: its closure
// holds the last handle; poll once, drop the future; the store is closed.
#[test]
fn the_last_handle_may_go_with_a_closure() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let store = open(dir.path()).unwrap();
        let own = store.clone();
        {
            let mut verifying = Box::pin(store.verify(move |_| drop(own.stats())));
            let _ = verifying.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(store);
        until("the lock", || open(dir.path()).is_ok());
    }
}

// Goal: the last handle may be dropped by a waker, on the thread that wakes: the close is another
// thread's. Method: a task owns the last handle and is owned by its waker; its executor goes while
// its commit is under way.
#[test]
fn the_last_handle_may_be_dropped_by_a_waker() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let store: Store = open(dir.path()).unwrap();
        let task: Task = Box::pin(async move {
            let commit = batch(&store, round);
            let _ = store.backend().commit(commit).await;
        });
        let owning = Arc::new(Owning(Mutex::new(Some(task))));
        let waker = Waker::from(Arc::clone(&owning));
        let mut slot = owning.0.lock().unwrap();
        let mut task = slot.take().unwrap();
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *slot = Some(task);
        }
        drop(slot);
        drop((waker, owning));
        until("the lock", || open(dir.path()).is_ok());
    }
}
