//! The embedded engine: a log with group commit, an index and a row cache in memory, and a table
//! for what outlives the log.

mod backup;
mod blocks;
mod carry;
mod checkpoint;
mod close;
mod commit;
mod core;
mod courtesy;
mod directory;
mod doorbell;
mod file_limit;
mod health;
mod index;
mod jobs;
mod keeper;
mod latency;
mod line;
mod lines;
mod load;
mod lock;
mod log;
mod logger;
mod look;
mod lookup;
mod meetings;
mod names;
mod notes;
mod open;
mod options;
mod owner;
mod place;
mod refile;
mod requests;
mod row_cache;
mod scan;
mod settle;
mod shard;
mod signal;
mod space;
mod supply;
mod sweep;
mod table;
mod tag;
mod tail;
mod trouble;
mod verify;
mod window;
mod windows;
mod writer;

pub use backup::BACKUP_FILE;
pub use options::{
    KeySource, LOG_BUDGET_BYTES, LOG_BUDGET_BYTES_MIN, Options, RESERVE_BYTES, ROW_CACHE_BYTES,
    TABLE_CACHE_BYTES,
};
pub use verify::{DAMAGES_NAMED_MAX, Verified, Verifying};

use crate::backend::{
    Backend, Batch, Budget, Health, Key, Outcome, Page, Row, Scan, Stats, Swept, Term,
};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::foreign;
use crate::keyring::Keyring;
use crate::sync::{Arc, Ordering};
use close::{Closing, Threads};
use core::Core;
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt as _;
use lock::Lock;
use requests::{Reply, Request};
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The embedded engine over one store directory. It has three threads of its own: one writes the
/// log, one supplies it with segments, one carries and sweeps. Each verification and each backup
/// has one more.
///
/// # Durability
/// A batch is acknowledged when its frame in the log is synced; many callers share one sync.
pub struct Embedded {
    core: Arc<Core>,
    closing: Arc<Closing>,
}

impl fmt::Debug for Embedded {
    /// The directory alone: a handle is printed by whoever logs its arguments (P9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("dir", &self.core.dir).finish_non_exhaustive()
    }
}

impl Embedded {
    /// The engine with its threads; without any, where the store is only looked at.
    fn new(core: Arc<Core>, threads: Option<Threads>, lock: Arc<Lock>) -> Self {
        let closing = Arc::new(Closing::new(Arc::clone(&core), threads, lock));
        Self { core, closing }
    }

    /// Carries every row in the log that was committed before the call and is still needed into the
    /// table.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store takes no work, [`ErrorKind::Full`] on a full disk;
    /// otherwise why the table could not be written, which is tried again by itself.
    ///
    /// # Durability
    /// Changes nothing of it: what is acknowledged is durable with or without.
    pub async fn checkpoint(&self) -> Result<()> {
        self.ask(Request::Checkpoint).await.map(|_| ())
    }

    /// Copies everything that was committed before the call into a new directory, while the store
    /// goes on. Dropping the future ends the copy; what was written is no backup then, and may be
    /// removed.
    ///
    /// # Errors
    /// [`ErrorKind::NotAStore`] for a directory that is not empty; [`ErrorKind::Full`],
    /// [`ErrorKind::Permission`], [`ErrorKind::Missing`], [`ErrorKind::Io`] as the operating system
    /// says of it: the store is none the worse, and what was written may be removed;
    /// [`ErrorKind::Unavailable`] if the store takes no work; [`ErrorKind::ReadOnly`] if it is only
    /// looked at: its files do not change meanwhile, and may be copied as they are.
    ///
    /// # Durability
    /// The copy is whole and durable when this returns.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        self.check_takes_work()?;
        // As the caller means it: the copy is made later, by another thread.
        let to = std::path::absolute(to).unwrap_or_else(|_| to.to_path_buf());
        let (reply, answer) = oneshot::channel();
        jobs::start(&self.core, "grantkeep-backup", move |core| {
            let copied = backup::backup(core, &to, &|| !reply.is_canceled());
            // A caller that has gone away does not want to know.
            let _ = reply.send(copied);
        })?;
        answer.await.map_err(|_| requests::ended())?
    }

    /// Reads everything that is stored, and holds it against everything that leads to it, while the
    /// store goes on. `progress` is told now and then how far it has come, where this future is
    /// polled; dropping the future ends the verification.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where redb gives its file up; damage that it reads past is in the
    /// answer. [`ErrorKind::Unavailable`] if the store takes no work, unless it is open for reading
    /// only.
    pub async fn verify(
        &self,
        mut progress: impl FnMut(Verifying) + Send + 'static,
    ) -> Result<Verified> {
        match self.check_takes_work() {
            Err(error) if error.kind() == ErrorKind::ReadOnly => {}
            other => other?,
        }
        let (tell, mut told) = mpsc::unbounded();
        let (reply, answer) = oneshot::channel();
        jobs::start(&self.core, "grantkeep-verify", move |core| {
            let _ = reply.send(verify::verify(core, tell));
        })?;
        while let Some(at) = told.next().await {
            progress(at);
        }
        answer.await.map_err(|_| requests::ended())?
    }

    /// How the store is, in one word; cheap enough for a readiness probe.
    pub fn health(&self) -> Health {
        self.core.health()
    }

    /// How far the clock is ahead of the largest time that the store has seen, if that is further
    /// than it believes by itself: then nothing is issued until `accept_clock` is called.
    pub fn clock_ahead(&self) -> Option<Duration> {
        self.core.time.disbelieved()
    }

    /// How many rows are dead at this time and can be swept as a whole window; at least so many
    /// rows have expired then.
    pub fn rows_ended_by(&self, time: SystemTime) -> u64 {
        self.core.writer.lock().windows.rows_ended_by(time.into())
    }

    /// How far the time was set back when the store was restored.
    pub(crate) fn set_back(&self) -> Duration {
        self.core.set_back
    }

    /// Says that what was issued before a backup was restored is refused from now on.
    pub(crate) fn end_restore(&self) -> Result<()> {
        backup::remove_mark(&*self.core.disk, &self.core.dir)
    }

    /// Closes the store in order. What was acknowledged is durable anyway; the next open is
    /// faster. Blocks the calling thread until the store's threads have ended; a second call waits
    /// for the first. On a thread that works for a store, as in a waker, it only begins the close.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store was poisoned, or in a fork of the process that
    /// opened it, which leaves it open there. Otherwise as the operating system answers the last
    /// writes: the next open goes on as after a crash.
    pub fn close(&self) -> Result<()> {
        if foreign::is_at_work() {
            Closing::begin(&self.closing);
            return Ok(());
        }
        self.closing.close()
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
        self.core.check_writable()?;
        match self.core.options.keys {
            KeySource::File => Ok(()),
            KeySource::Env(_) | KeySource::Given(_) => Err(Error::new(
                ErrorKind::Keyring,
                "the keyring is not kept in the store directory: rotate it where it is kept, then \
                 open the store again",
            )),
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        self.check_takes_work()?;
        let (reply, answer) = oneshot::channel();
        self.core.requests.push(request(reply))?;
        answer.await.map_err(|_| requests::ended())?
    }

    fn check_takes_work(&self) -> Result<()> {
        self.core.check_process()?;
        self.core.writer.lock().check_open()
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

    fn settled(&self) -> Timestamp {
        self.core.time.settled()
    }

    fn wall(&self) -> Timestamp {
        self.core.time.wall()
    }

    fn lead(&self) -> Duration {
        self.core.time.lead()
    }

    fn forgotten(&self) -> Timestamp {
        self.core.forgotten()
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

    async fn scan(&self, scan: &mut Scan) -> Result<Vec<Row>> {
        self.core.scan(scan)
    }

    async fn sweep(&self, budget: Budget) -> Result<Swept> {
        self.ask(|reply| Request::Sweep(budget, reply)).await
    }

    fn accept_clock(&self) {
        self.core.time.accept();
    }

    fn stats(&self) -> Stats {
        let core = &self.core;
        let counters = &core.counters;
        let get = |counter: &crate::sync::Tally| counter.load(Ordering::Relaxed);
        let (index_bytes, row_cache_bytes) = core.index.memory_bytes();
        let (settled, paced) = (core.time.settled(), core.time.paced());
        let writer = core.writer.lock();
        let (rows, windows) = writer.windows.count();
        let spares: u64 = writer.spares.iter().map(|segment| u64::from(segment.bytes)).sum();
        let sweep_lag = writer.windows.lag(settled, paced);
        let unwritten = u64::from(writer.segment.bytes.saturating_sub(writer.tail));
        drop(writer);
        let (log_bytes, free) = (core.segments.bytes(), core.supply.free_bytes());
        Stats {
            rows,
            windows,
            sweep_lag,
            swept_rows: get(&counters.swept_rows),
            log_bytes: log_bytes + spares + free,
            log_backlog_bytes: log_bytes.saturating_sub(unwritten),
            table_bytes: core.table.bytes(),
            index_bytes,
            row_cache_bytes,
            commits: get(&counters.commits),
            log_syncs: get(&counters.log_syncs),
            checkpoints: get(&counters.checkpoints),
            carried_rows: get(&counters.carried_rows),
            log_stalls: get(&counters.log_stalls),
            commit_p50: core.commit_latencies.quantile(0.5),
            commit_p99: core.commit_latencies.quantile(0.99),
            open_took: core.open_took,
            full: core.space.is_full(),
            full_since: core.space.full_since(),
            refused_full: core.space.refused(),
            hold_longest: Duration::from_micros(get(&counters.hold_longest_us)),
            health: core.health(),
            clock_lead: core.time.lead(),
        }
    }
}
