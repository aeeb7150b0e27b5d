//! The embedded engine: a log with group commit, an index and a live set in memory, and a table
//! for what outlives the log.

mod aliases;
mod backup;
mod checkpoint;
mod commit;
mod core;
mod courtesy;
mod doorbell;
mod index;
mod keeper;
mod latency;
mod live;
mod load;
mod lock;
mod log;
mod logger;
mod lookup;
mod open;
mod options;
mod place;
mod settle;
mod signal;
mod space;
mod sweep;
mod table;
mod verify;
mod window;
mod windows;
mod work;
mod writer;

pub use options::{
    KeySource, LIVE_SET_BYTES, LOG_BUDGET_BYTES, LOG_BUDGET_BYTES_MIN, Options, RESERVE_BYTES,
    TABLE_CACHE_BYTES,
};
pub use verify::{DAMAGES_NAMED_MAX, Verified, Verifying};

use crate::backend::{Backend, Batch, Budget, Key, Outcome, Page, Row, Stats, Swept, Term};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::Keyring;
use crate::sync::{Arc, Mutex, Ordering, thread};
use crate::wait::Wait as _;
use core::Core;
use futures_channel::oneshot;
use lock::Lock;
use log::frame::FRAME_HEADER_BYTES;
use std::fmt;
use std::path::Path;
use work::Work;
use writer::Mode;

/// The embedded engine over one store directory. It has two threads of its own: one writes the
/// log, one carries and sweeps.
///
/// # Durability
/// A batch is acknowledged when its frame in the log is synced; many callers share one sync.
pub struct Embedded {
    core: Arc<Core>,
    running: Mutex<Option<Running>>,
}

/// What an orderly close ends.
#[derive(Debug)]
struct Running {
    threads: Threads,
    lock: Arc<Lock>,
}

#[derive(Debug)]
struct Threads {
    log: thread::JoinHandle<()>,
    keeper: thread::JoinHandle<()>,
}

impl fmt::Debug for Embedded {
    /// The directory alone: a handle is printed by whoever logs its arguments (P9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("dir", &self.core.dir).finish_non_exhaustive()
    }
}

impl Embedded {
    fn new(core: Arc<Core>, threads: Threads, lock: Arc<Lock>) -> Self {
        Self { core, running: Mutex::new(Some(Running { threads, lock })) }
    }

    /// Carries every row in the log that is still needed into the table, now.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store takes no work.
    ///
    /// # Durability
    /// Changes nothing of it: what is acknowledged is durable with or without.
    pub async fn checkpoint(&self) -> Result<()> {
        self.ask(Work::Checkpoint).await
    }

    /// Copies everything that was committed before the call into a new directory, while the store
    /// goes on.
    ///
    /// # Errors
    /// [`ErrorKind::NotAStore`] for a directory that is not empty; [`ErrorKind::Full`],
    /// [`ErrorKind::Permission`], [`ErrorKind::Missing`], [`ErrorKind::Io`] as the operating system
    /// says of it: the store is none the worse, and what was written may be removed;
    /// [`ErrorKind::Unavailable`] if the store takes no work.
    ///
    /// # Durability
    /// The copy is durable when this returns.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        self.ask(|reply| Work::Backup(to.to_path_buf(), reply)).await
    }

    /// Reads everything that is stored, and holds it against everything that leads to it, while the
    /// store goes on. `progress` is told now and then how far it has come.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where redb gives its file up; damage that it reads past is in the
    /// answer. [`ErrorKind::Unavailable`] if the store takes no work.
    pub async fn verify(
        &self,
        progress: impl FnMut(Verifying) + Send + 'static,
    ) -> Result<Verified> {
        self.ask(|reply| Work::Verify(Box::new(progress), reply)).await
    }

    /// Says that what was issued before a backup was restored is refused from now on.
    pub(crate) fn end_restore(&self) -> Result<()> {
        backup::remove_mark(&*self.core.disk, &self.core.dir)
    }

    /// Closes the store in order. What was acknowledged is durable anyway; the next open is
    /// faster. Blocks the calling thread until the store's threads have ended.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store was poisoned, or in a fork of the process that
    /// opened it, which leaves it open there. Otherwise as the operating system answers the last
    /// writes: the next open goes on as after a crash.
    pub fn close(&self) -> Result<()> {
        if let Err(error) = self.core.check_process() {
            // The threads are the other process's, and so is the lock: neither may be touched.
            std::mem::forget(self.running.lock().take());
            return Err(error);
        }
        let Some(Running { threads, lock }) = self.running.lock().take() else { return Ok(()) };
        let said = self.end(threads);
        let closed = self.core.table.close();
        if !said? || closed.as_ref().is_err_and(|cause| cause.kind() == ErrorKind::Full) {
            // Without room for the last writes the next open goes on as after a crash.
            return Ok(());
        }
        // What failed to be written must not be believed because it is cached: no mark.
        closed?;
        lock.mark_closed(self.core.durable.value())
            .map_err(|cause| Error::file("mark as closed", self.core.dir.display(), cause))
    }

    /// Writes the keyring file. If it is not known afterwards which keyring a crash leaves, the
    /// store is poisoned: what was issued under the new one could not be found again (P1).
    pub(crate) fn save_keyring(&self, keyring: &Keyring) -> Result<()> {
        self.check_keeps_keyring()?;
        self.core.check_process()?;
        let (disk, dir) = (&*self.core.disk, &self.core.dir);
        keyring.stage(disk, dir)?;
        Keyring::exchange(disk, dir).map_err(|cause| {
            self.core.poison(&cause.to_string());
            self.core.unknown().with_source(cause)
        })
    }

    /// Refuses where the keyring is not a file of the store.
    pub(crate) fn check_keeps_keyring(&self) -> Result<()> {
        match self.core.options.keys {
            KeySource::File => Ok(()),
            KeySource::Env(_) | KeySource::Given(_) => Err(Error::new(
                ErrorKind::Keyring,
                "the keyring is not kept in the store directory: rotate it where it is kept, then \
                 open the store again",
            )),
        }
    }

    async fn ask<T>(&self, work: impl FnOnce(oneshot::Sender<Result<T>>) -> Work) -> Result<T> {
        let ended = || Error::new(ErrorKind::Unavailable, "the store is closed or poisoned");
        self.core.check_process()?;
        self.core.writer.lock().check_open()?;
        let (reply, answer) = oneshot::channel();
        self.core.keeper.send(work(reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Ends the threads, the keeper first: it may still need the log thread. Answers whether the
    /// log says that it was closed.
    fn end(&self, threads: Threads) -> Result<bool> {
        let core = &self.core;
        let _ = core.keeper.send(Work::Stop);
        let keeper = threads.keeper.join();
        let said = self.say_closed();
        {
            let mut writer = core.writer.lock();
            if matches!(writer.mode, Mode::Open | Mode::Closing) {
                writer.mode = Mode::Closed;
            }
        }
        core.work.ring_all();
        let log = threads.log.join();
        core.durable.end();
        core.supplied.end();
        let died = |_| Error::new(ErrorKind::Unavailable, "a thread of the store died");
        keeper.map_err(died)?;
        log.map_err(died)?;
        said
    }

    /// Appends the frame of an orderly close and waits for it; false if there is no room for it.
    fn say_closed(&self) -> Result<bool> {
        let core = &self.core;
        let mut writer = core.writer.lock();
        writer.check_open()?;
        writer.mode = Mode::Closing;
        if !writer.has_room(FRAME_HEADER_BYTES) {
            let Some(segment) = writer.roll() else { return Ok(false) };
            core.segments.push(segment);
        }
        let last = writer.append(core.time.settled(), true, [].iter(), |_| {});
        core.hand_over(writer);
        core.wait_durable(last).wait().map(|()| true)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Who wants to know calls `close`.
        let _ = self.close();
    }
}

impl Backend for Embedded {
    fn now(&self) -> Timestamp {
        self.core.time.now()
    }

    async fn get(&self, key: Key) -> Result<Option<Row>> {
        self.core.find(&key)
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome> {
        self.core.commit(batch).await
    }

    async fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
        self.core.list(term, after, limit)
    }

    async fn sweep(&self, budget: Budget) -> Result<Swept> {
        self.ask(|reply| Work::Sweep(budget, reply)).await
    }

    fn accept_clock(&self) {
        self.core.time.accept();
    }

    fn stats(&self) -> Stats {
        let core = &self.core;
        let counters = &core.counters;
        let get = |counter: &crate::sync::Tally| counter.load(Ordering::Relaxed);
        let (index_bytes, live_set_bytes) = core.index.memory_bytes();
        let settled = core.time.settled();
        let writer = core.writer.lock();
        let (rows, windows) = writer.windows.count();
        let spares: u64 = writer.spares.iter().map(|segment| u64::from(segment.bytes)).sum();
        let sweep_lag = writer.windows.lag(settled);
        let unwritten = u64::from(writer.segment.bytes.saturating_sub(writer.tail));
        drop(writer);
        let log_bytes = core.segments.bytes();
        Stats {
            rows,
            windows,
            sweep_lag,
            swept_rows: get(&counters.swept_rows),
            log_bytes: log_bytes + spares + get(&counters.free_log_bytes),
            log_backlog_bytes: log_bytes.saturating_sub(unwritten),
            table_bytes: core.table.bytes(),
            index_bytes,
            live_set_bytes,
            commits: get(&counters.commits),
            log_syncs: get(&counters.log_syncs),
            checkpoints: get(&counters.checkpoints),
            carried_rows: get(&counters.carried_rows),
            log_stalls: get(&counters.log_stalls),
            commit_p50: core.commit_latencies.quantile(0.5),
            commit_p99: core.commit_latencies.quantile(0.99),
            open_took: core.open_took,
            full: core.space.is_full(),
        }
    }
}
