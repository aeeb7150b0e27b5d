//! Closing a store in order.
//!
//! 1. Requests, jobs, and the supplier end: they may still need the log thread.
//! 2. The frame that says that the store was closed is appended, and waited for.
//! 3. The log thread ends, the table is closed, and look-ups are refused from then on: another
//!    process may open the store.
//! 4. `LOCK` is marked, and the lock is given back. The mark says whether the table was closed as
//!    well: it may not have been, on a full disk, and then the log alone is gone on with.
//!
//! A store that is only looked at has no threads, and nothing of it is marked.
//!
//! The last handle may be dropped anywhere, by a waker that the log thread wakes as well. A thread
//! that works for a store would wait for itself, so the close is another thread's then.

use super::core::Core;
use super::lock::{Left, Lock};
use super::log::frame::FRAME_HEADER_BYTES;
use super::space::is_full;
use super::writer::Mode;
use crate::error::{Error, ErrorKind, Result};
use crate::foreign::AtWork;
use crate::sync::{Arc, Mutex, Ordering, thread};
use crate::wait::Wait as _;

/// The threads of a store that last as long as it is open.
#[derive(Debug)]
pub(super) struct Threads {
    pub(super) log: thread::JoinHandle<()>,
    pub(super) supply: thread::JoinHandle<()>,
    pub(super) keeper: thread::JoinHandle<()>,
}

/// What an orderly close ends.
#[derive(Debug)]
struct Running {
    /// None where the store is only looked at.
    threads: Option<Threads>,
    lock: Arc<Lock>,
}

/// The close of a store, which happens once.
#[derive(Debug)]
pub(super) struct Closing {
    core: Arc<Core>,
    /// Held throughout a close, so that a second one waits for the first.
    running: Mutex<Option<Running>>,
}

impl Closing {
    pub(super) fn new(core: Arc<Core>, threads: Option<Threads>, lock: Arc<Lock>) -> Self {
        Self { core, running: Mutex::new(Some(Running { threads, lock })) }
    }

    /// Closes the store, or waits until whoever does so has.
    pub(super) fn close(&self) -> Result<()> {
        // Whoever is woken by it, and closes the store in turn, has another thread wait.
        let _at_work = AtWork::begin();
        let mut running = self.running.lock();
        if let Err(error) = self.core.check_process() {
            // The threads are the other process's, and so is the lock: neither may be touched.
            std::mem::forget(running.take());
            return Err(error);
        }
        match running.take() {
            Some(Running { threads: Some(threads), lock }) => self.end(threads, &lock),
            // The lock is given back once nobody looks any more.
            Some(Running { threads: None, lock: _lock }) => self.end_look(),
            None => Ok(()),
        }
    }

    /// Has another thread close the store.
    pub(super) fn begin(closing: &Arc<Self>) {
        let own = Arc::clone(closing);
        let named = thread::Builder::new().name("grantkeep-close".to_owned());
        let closer = named.spawn(move || {
            if let Err(error) = own.close() {
                tracing::warn!(target: "grantkeep", "closing a store failed: {error}");
            }
        });
        if let Err(cause) = closer {
            // Its threads end by themselves; the lock is given back with the last of them.
            tracing::warn!(target: "grantkeep", "no thread to close a store: {cause}");
            closing.core.poison("the store could not be closed for want of a thread");
        }
    }

    /// Ends a look: nothing was changed, so nothing is to be said of it.
    fn end_look(&self) -> Result<()> {
        let core = &self.core;
        core.requests.close();
        core.jobs.end();
        core.writer.lock().mode = Mode::Closed;
        core.durable.end();
        let closed = core.table.close();
        core.closed.store(true, Ordering::Release);
        core.tell_health();
        closed
    }

    fn end(&self, threads: Threads, lock: &Lock) -> Result<()> {
        let core = &self.core;
        let said = self.end_threads(threads);
        let closed = core.table.close();
        core.closed.store(true, Ordering::Release);
        core.tell_health();
        if !said? {
            // Without room for the frame of a close the next open goes on as after a crash.
            return Ok(());
        }
        // What failed to be written to the table must not be believed because it is cached.
        let left = if closed.is_ok() { Left::Closed } else { Left::LogClosed };
        match lock.mark_closed(left, core.durable.value()) {
            // A `LOCK` that is made anew takes room.
            Err(cause) if is_full(&cause) => {}
            marked => {
                let failed = |cause| Error::file("mark as closed", core.dir.display(), cause);
                marked.map_err(failed)?;
            }
        }
        match closed {
            // What the table lacks is in the log.
            Err(cause) if cause.kind() == ErrorKind::Full => Ok(()),
            other => other,
        }
    }

    /// Ends the threads, the log's last. Answers whether the log says that it was closed.
    fn end_threads(&self, threads: Threads) -> Result<bool> {
        let core = &self.core;
        core.requests.close();
        core.jobs.end();
        let keeper = threads.keeper.join();
        core.supply.close();
        let supply = threads.supply.join();
        let said = self.say_closed();
        let waiting = {
            let mut writer = core.writer.lock();
            if matches!(writer.mode, Mode::Open | Mode::Closing) {
                writer.mode = Mode::Closed;
            }
            writer.line.call_all()
        };
        super::signal::wake_all(waiting);
        core.work.ring_all();
        let log = threads.log.join();
        core.durable.end();
        let died = |_| Error::new(ErrorKind::Unavailable, "a thread of the store died");
        keeper.map_err(died)?;
        supply.map_err(died)?;
        log.map_err(died)?;
        said
    }

    /// Appends the frame of an orderly close and waits for it; false if there is no room for it.
    fn say_closed(&self) -> Result<bool> {
        let core = &self.core;
        let mut writer = core.writer.lock();
        writer.check_open()?;
        writer.mode = Mode::Closing;
        if !core.make_room(&mut writer, FRAME_HEADER_BYTES) {
            // Where nothing was written since it was opened, the log says so already.
            return Ok(writer.ends_closed);
        }
        let last = writer.append(core.time.mark(), true, [].iter(), |_| {});
        core.hand_over(writer);
        core.wait_durable(last).wait().map(|()| true)
    }
}
