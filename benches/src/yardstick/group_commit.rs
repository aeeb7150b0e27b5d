//! Group commit, bare: callers gather under a mutex, one thread makes a group durable while the
//! next one gathers, and then wakes them.

use parking_lot::{Condvar, Mutex};
use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Callers' work gathered in a `G`, and a thread that makes each group durable.
#[derive(Debug)]
pub struct GroupCommit<G> {
    shared: Arc<Shared<G>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<G> {
    state: Mutex<State<G>>,
    work: Condvar,
    durable: Condvar,
}

#[derive(Debug)]
struct State<G> {
    gathered: G,
    appended: u64,
    durable: u64,
    idle: bool,
    closing: bool,
}

impl<G: Default + Send + 'static> GroupCommit<G> {
    /// Starts the thread; `write` makes a group durable and leaves it empty, to be used again.
    pub fn new(mut write: impl FnMut(&mut G) + Send + 'static) -> Self {
        let state =
            State { gathered: G::default(), appended: 0, durable: 0, idle: false, closing: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            durable: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let named = thread::Builder::new().name("yardstick".to_owned());
        let thread = named.spawn(move || {
            let mut group = G::default();
            while let Some(last) = own.next(&mut group) {
                write(&mut group);
                own.state.lock().durable = last;
                own.durable.notify_all();
            }
        });
        Self { shared, thread: Some(thread.expect("a thread")) }
    }

    /// Adds to the group that gathers, and blocks until that is durable.
    pub fn commit(&self, gather: impl FnOnce(&mut G)) {
        let mut state = self.shared.state.lock();
        gather(&mut state.gathered);
        state.appended += 1;
        let own = state.appended;
        if mem::take(&mut state.idle) {
            self.shared.work.notify_one();
        }
        while state.durable < own {
            self.shared.durable.wait(&mut state);
        }
    }
}

impl<G> Shared<G> {
    fn next(&self, group: &mut G) -> Option<u64> {
        let mut state = self.state.lock();
        while state.appended == state.durable {
            if state.closing {
                return None;
            }
            state.idle = true;
            self.work.wait(&mut state);
        }
        mem::swap(group, &mut state.gathered);
        Some(state.appended)
    }
}

impl<G> Drop for GroupCommit<G> {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}
