//! What the parts of the engine share.

use super::doorbell::Doorbell;
use super::health::Watch;
use super::index::Index;
use super::jobs::Jobs;
use super::latency::Latencies;
use super::log::Segments;
use super::names::Names;
use super::options::Options;
use super::requests::{Next, Requests};
use super::signal::{Signal, wake_all};
use super::space::Space;
use super::supply::{Supply, TICK};
use super::table::{Table, Written};
use super::trouble::{Part, Troubles};
use super::windows::Slots;
use super::writer::{Mode, Writer};
use crate::backend::{Key, Term};
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::sabotage::{self, Flaw};
use crate::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, Tally};
use crate::timekeeper::Timekeeper;
use redb::WriteTransaction;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The state of one open store, shared by its handles and its threads.
///
/// Locks are taken in this order, and none is held across I/O but the first and the table's own:
/// `table_still`, then `writer`, then a shard of `index`, then `young_terms` or `segments`. Those
/// of `requests`, `supply`, and `troubles` are taken last and alone.
pub(crate) struct Core {
    pub(crate) dir: PathBuf,
    /// The process that opened the store.
    pub(crate) process: u32,
    /// The disk that holds the store's directory open; that of the options does not.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) names: Names,
    pub(crate) options: Options,
    pub(crate) store: [u8; 16],
    pub(crate) time: Timekeeper,
    /// How far the time was set back when the store was restored.
    pub(crate) set_back: Duration,
    pub(crate) space: Arc<Space>,
    pub(crate) writer: Mutex<Writer>,
    /// Rung when the log thread has work.
    pub(crate) work: Doorbell,
    /// The last durable and visible sequence number.
    pub(crate) durable: Signal,
    /// Segments that may be used again, and how the supplier is told.
    pub(crate) supply: Supply,
    pub(crate) slots: Arc<Slots>,
    pub(crate) index: Index,
    pub(crate) segments: Segments,
    /// Index terms of rows that are in the log only.
    pub(crate) young_terms: Mutex<BTreeSet<(Term, Key)>>,
    /// Keys that were replaced while it could not be read which older versions were theirs: the log
    /// thread, or whoever leads, adds to them, and the keeper reads them before it carries.
    pub(crate) unread: Mutex<Vec<Key>>,
    pub(crate) table: Table,
    /// Held by the keeper while it changes the table and what leads there: whoever holds it finds
    /// the two in agreement.
    pub(crate) table_still: Mutex<()>,
    /// What the keeper is asked for.
    pub(crate) requests: Requests,
    pub(crate) jobs: Jobs,
    pub(crate) troubles: Troubles,
    pub(crate) health: Watch,
    /// True once the log or the table is known to be damaged: an open would refuse it.
    pub(crate) damaged: AtomicBool,
    /// True once the store is closed: another process may have it.
    pub(crate) closed: AtomicBool,
    pub(crate) commit_latencies: Latencies,
    pub(crate) counters: Counters,
    pub(crate) open_took: Duration,
}

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: Tally,
    pub(crate) log_syncs: Tally,
    pub(crate) checkpoints: Tally,
    pub(crate) carried_rows: Tally,
    pub(crate) swept_rows: Tally,
    pub(crate) log_stalls: Tally,
    /// Index entries whose window is dead.
    pub(crate) dead_entries: Tally,
    /// The longest that one piece of background work held the keeper, in microseconds.
    pub(crate) hold_longest_us: Tally,
}

impl fmt::Debug for Core {
    /// Without what the store holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Core {
    /// Poisons the store: nothing more is acknowledged, whoever waits is told.
    pub(crate) fn poison(&self, why: &str) {
        let mut writer = self.writer.lock();
        if matches!(writer.mode, Mode::Open | Mode::Closing) {
            writer.mode = Mode::Poisoned(why.to_owned());
        }
        let waiting = writer.line.call_all();
        drop(writer);
        if !sabotage::is(Flaw::WaitersForgotten) {
            self.durable.end();
            wake_all(waiting);
            self.requests.close();
            self.supply.close();
        }
        self.work.ring_all();
        self.tell_health();
    }

    /// The end, on the wall clock, up to which burnt values may have been swept.
    pub(crate) fn forgotten(&self) -> Timestamp {
        self.writer.lock().windows.forgotten()
    }

    /// Refuses with [`ErrorKind::ReadOnly`] where the store is only looked at.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.options.read_only { self.writer.lock().check_open() } else { Ok(()) }
    }

    /// Refuses a look-up once the store is closed: another process may change it.
    pub(crate) fn check_readable(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        Ok(())
    }

    /// Refuses with [`ErrorKind::Corrupt`] once what is stored is known to be damaged: an open
    /// would refuse the store, and with it whatever was issued since.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if !self.damaged.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.troubles.of(Part::Table).map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    /// Changes the table. Where it is not known whether the change has happened, and the table
    /// cannot be opened to look, tries that again until it can: meanwhile requests are refused.
    ///
    /// # Errors
    /// Why the change has not happened; or that it is in doubt, once the store is being closed.
    pub(crate) fn write_table<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
    ) -> Result<T> {
        let (commit, done, why) = match self.table.write(change)? {
            Written::Done(done) => return Ok(done),
            Written::InDoubt { commit, done, why } => (commit, done, why),
        };
        self.note_trouble(Part::Table, Err(&why));
        self.requests.refuse(self.troubles.of(Part::Table).as_ref());
        let last = loop {
            if let Next::Stop = self.requests.next(TICK) {
                return Err(why);
            }
            if let Ok(last) = self.table.reopen() {
                break last;
            }
        };
        self.requests.refuse(None);
        self.note_trouble(Part::Table, Ok(()));
        if last >= commit { Ok(done) } else { Err(why) }
    }

    /// The error for a caller whose change may or may not be durable.
    pub(crate) fn unknown(&self) -> Error {
        let why = match &self.writer.lock().mode {
            Mode::Poisoned(why) => why.clone(),
            _ => "the store was closed".to_owned(),
        };
        Error::new(
            ErrorKind::Unknown,
            format!("the change may or may not have happened ({why}): open the store and look"),
        )
    }

    /// Refuses in a fork of the process that opened the store: the store's threads are not in it,
    /// so that nothing it asks for would ever be answered.
    pub(crate) fn check_process(&self) -> Result<()> {
        if std::process::id() == self.process {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the store is process {}'s, and this is a fork of it: use it there",
                self.process
            ),
        ))
    }

    /// Gives the writer back with something gathered, for the log thread to write, or for the
    /// caller that leads at this moment to see to.
    pub(crate) fn hand_over(&self, writer: MutexGuard<'_, Writer>) {
        if !writer.led {
            self.work.ring(writer);
        }
    }

    /// Has what is gathered written, also if a caller has offered to do it: that one may be held up
    /// by whoever waits here.
    pub(crate) fn press(&self) {
        let writer = self.writer.lock();
        if !writer.group.chunks.is_empty() {
            self.hand_over(writer);
        }
    }

    /// Waits until everything up to `sequence`, which others have appended, is durable and visible.
    pub(crate) async fn wait_durable(&self, sequence: u64) -> Result<()> {
        if self.durable.value() < sequence && !sabotage::is(Flaw::NobodyRings) {
            self.press();
        }
        self.wait_own(sequence).await
    }

    /// Waits until a batch that was just appended, and everything before it, is durable and
    /// visible.
    pub(crate) async fn wait_own(&self, sequence: u64) -> Result<()> {
        self.durable.reach(sequence).await.map_err(|_| self.unknown())
    }
}

pub(crate) fn count(counter: &Tally, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
