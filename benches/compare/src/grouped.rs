//! Embedded peers with one writer: callers hand in their changes, and all that have gathered become
//! durable in one transaction. Whoever finds nobody at it does it for all; callers that are tasks
//! have a thread that does it for them.

use crate::engine::{Engine, Reader, Setup, Written};
#[cfg(doc)]
use crate::tables::SWEEP_ROWS;
use crate::tables::{Entry, Filed, NO_ENTRY};
use crate::workload::Change;
use futures_channel::oneshot;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Changes of one transaction while loading.
const LOAD_CHANGES: usize = 50_000;

/// An embedded engine, as a peer of the store.
pub(crate) trait Peer: Send + Sync + Sized + 'static {
    /// Whether it shares syncs between threads that write at once by itself.
    const GROUPS_BY_ITSELF: bool = false;

    /// Opens it, or makes it.
    fn open(setup: &Setup) -> Self;

    /// Makes all of these durable in one transaction. No two of them are of one family.
    fn apply(&self, changes: &[Filed]);

    /// A caller's own way to look tokens up.
    fn reader(&self) -> Box<dyn Reader + '_>;

    /// Removes up to about [`SWEEP_ROWS`] rows that have died by this moment, and answers how many;
    /// none only if there are no more. `from` is where the last call left off in the index by
    /// expiry, for engines that would have to step over what was removed.
    fn sweep_some(&self, now_ms: u64, from: &mut Entry) -> usize;

    /// Returns once what the engine does in the background is done.
    fn settle(&self) {}
}

/// A peer whose changes are gathered.
pub(crate) struct Grouped<P> {
    shared: Arc<Shared<P>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<P> {
    peer: P,
    state: Mutex<State>,
    durable: Condvar,
    tasks: Condvar,
}

#[derive(Default)]
struct State {
    changes: Vec<Filed>,
    tasks: Vec<oneshot::Sender<()>>,
    gathered: u64,
    durable: u64,
    leading: bool,
    closing: bool,
}

impl State {
    fn gather(&mut self, change: Filed) -> u64 {
        self.changes.push(change);
        self.gathered += 1;
        self.gathered
    }
}

impl<P: Peer> Shared<P> {
    /// Makes all that has gathered durable, and wakes everybody.
    fn lead(&self, state: &mut MutexGuard<'_, State>) {
        state.leading = true;
        let (changes, tasks) = (mem::take(&mut state.changes), mem::take(&mut state.tasks));
        let last = state.gathered;
        MutexGuard::unlocked(state, || {
            self.peer.apply(&changes);
            for task in tasks {
                // One that has gone needs no answer.
                let _ = task.send(());
            }
        });
        state.durable = last;
        state.leading = false;
        self.durable.notify_all();
    }

    fn write(&self, change: Filed) {
        let mut state = self.state.lock();
        let own = state.gather(change);
        while state.durable < own {
            if state.leading {
                self.durable.wait(&mut state);
            } else {
                self.lead(&mut state);
            }
        }
    }

    /// Leads for tasks until it is to end.
    fn serve(&self) {
        let mut state = self.state.lock();
        while !state.closing {
            if state.tasks.is_empty() {
                self.tasks.wait(&mut state);
            } else if state.leading {
                self.durable.wait(&mut state);
            } else {
                self.lead(&mut state);
            }
        }
    }
}

impl<P: Peer> Grouped<P> {
    pub(crate) fn open(setup: &Setup) -> Box<dyn Engine> {
        let shared = Arc::new(Shared {
            peer: P::open(setup),
            state: Mutex::default(),
            durable: Condvar::new(),
            tasks: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("committer".to_owned());
        let thread = thread.spawn(move || own.serve()).expect("a thread");
        Box::new(Self { shared, thread: Some(thread) })
    }
}

impl<P: Peer> Engine for Grouped<P> {
    fn write(&self, change: Change) {
        let change = Filed::new(change);
        if P::GROUPS_BY_ITSELF {
            self.shared.peer.apply(&[change]);
        } else {
            self.shared.write(change);
        }
    }

    fn write_async(&self, change: Change) -> Written<'_> {
        let (change, (task, durable)) = (Filed::new(change), oneshot::channel());
        let mut state = self.shared.state.lock();
        state.gather(change);
        let first = state.tasks.is_empty();
        state.tasks.push(task);
        drop(state);
        if first {
            self.shared.tasks.notify_one();
        }
        Box::pin(async move { durable.await.expect("the peer writes") })
    }

    fn load(&self, changes: Vec<Change>) {
        let changes: Vec<Filed> = changes.into_iter().map(Filed::new).collect();
        changes.chunks(LOAD_CHANGES).for_each(|part| self.shared.peer.apply(part));
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        self.shared.peer.reader()
    }

    fn sweep(&self, now_ms: u64) -> u64 {
        let (mut swept, mut from) = (0, NO_ENTRY);
        loop {
            match self.shared.peer.sweep_some(now_ms, &mut from) {
                0 => return swept,
                rows => swept += rows as u64,
            }
        }
    }

    fn settle(&self) {
        self.shared.peer.settle();
    }
}

impl<P> Drop for Grouped<P> {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.tasks.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}
