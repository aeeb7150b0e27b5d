//! Embedded peers with one writer: callers hand in their changes, one thread makes all that have
//! gathered durable in one transaction, and each caller is woken.

use crate::engine::{Engine, Reader, Setup, Written};
use crate::workload::Change;
use futures_channel::oneshot;
use parking_lot::{Condvar, Mutex};
use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Changes of one transaction while loading.
const LOAD_CHANGES: usize = 50_000;

/// An embedded engine, as a peer of the store.
pub(crate) trait Peer: Send + Sync + Sized + 'static {
    /// Opens it, or makes it.
    fn open(setup: &Setup) -> Self;

    /// Makes all of these durable in one transaction. No two of them are of one family.
    fn apply(&self, changes: &[Change]);

    /// A caller's own way to look tokens up.
    fn reader(&self) -> Box<dyn Reader + '_>;

    /// Removes what has died by this moment, in batches, and answers how many rows that was.
    fn sweep(&self, now_ms: u64) -> u64;

    /// Returns once what the engine does in the background is done.
    fn settle(&self) {}
}

/// A peer whose changes are gathered.
pub(crate) struct Grouped<P> {
    peer: Arc<P>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    gathered: Mutex<Gathered>,
    work: Condvar,
}

#[derive(Default)]
struct Gathered {
    changes: Vec<Change>,
    callers: Vec<oneshot::Sender<()>>,
    closing: bool,
}

impl<P: Peer> Grouped<P> {
    pub(crate) fn open(setup: &Setup) -> Box<dyn Engine> {
        let (peer, queue) = (Arc::new(P::open(setup)), Arc::new(Queue::default()));
        let (own_peer, own_queue) = (Arc::clone(&peer), Arc::clone(&queue));
        let named = thread::Builder::new().name("committer".to_owned());
        let thread = named.spawn(move || {
            while let Some((changes, callers)) = own_queue.next() {
                own_peer.apply(&changes);
                for caller in callers {
                    // One that has gone needs no answer.
                    let _ = caller.send(());
                }
            }
        });
        Box::new(Self { peer, queue, thread: Some(thread.expect("a thread")) })
    }
}

impl Queue {
    fn next(&self) -> Option<(Vec<Change>, Vec<oneshot::Sender<()>>)> {
        let mut gathered = self.gathered.lock();
        while gathered.changes.is_empty() {
            if gathered.closing {
                return None;
            }
            self.work.wait(&mut gathered);
        }
        Some((mem::take(&mut gathered.changes), mem::take(&mut gathered.callers)))
    }
}

impl<P: Peer> Engine for Grouped<P> {
    fn write(&self, change: Change) -> Written<'_> {
        let (caller, durable) = oneshot::channel();
        let mut gathered = self.queue.gathered.lock();
        let idle = gathered.changes.is_empty();
        gathered.changes.push(change);
        gathered.callers.push(caller);
        drop(gathered);
        if idle {
            self.queue.work.notify_one();
        }
        Box::pin(async move { durable.await.expect("the peer writes") })
    }

    fn load(&self, changes: Vec<Change>) {
        changes.chunks(LOAD_CHANGES).for_each(|part| self.peer.apply(part));
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        self.peer.reader()
    }

    fn sweep(&self, now_ms: u64) -> u64 {
        self.peer.sweep(now_ms)
    }

    fn settle(&self) {
        self.peer.settle();
    }
}

impl<P> Drop for Grouped<P> {
    fn drop(&mut self) {
        self.queue.gathered.lock().closing = true;
        self.queue.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}
