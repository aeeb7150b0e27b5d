//! What the parts of the engine share.

use super::doorbell::Doorbell;
use super::index::Index;
use super::latency::Latencies;
use super::log::Segments;
use super::options::Options;
use super::place::{Place, Where};
use super::signal::Signal;
use super::space::Space;
use super::table::Table;
use super::window::Window;
use super::windows::Slots;
use super::work::Work;
use super::writer::{Mode, Writer};
use crate::backend::{Key, Term};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::sabotage::{self, Flaw};
use crate::sync::{Arc, Mutex, MutexGuard, Ordering, Sender, Tally};
use crate::timekeeper::Timekeeper;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The state of one open store, shared by its handles and its threads.
///
/// Locks are taken in this order, and none is held across I/O but the table's own: `writer`, then
/// a shard of `index`, then `young_terms` or `segments`.
pub(crate) struct Core {
    pub(crate) dir: PathBuf,
    /// The process that opened the store.
    pub(crate) process: u32,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) store: [u8; 16],
    pub(crate) time: Timekeeper,
    pub(crate) space: Arc<Space>,
    pub(crate) writer: Mutex<Writer>,
    /// Rung when the log thread has work.
    pub(crate) work: Doorbell,
    /// The last durable and visible sequence number.
    pub(crate) durable: Signal,
    /// How many spare segments were supplied so far.
    pub(crate) supplied: Signal,
    pub(crate) slots: Arc<Slots>,
    pub(crate) index: Index,
    pub(crate) segments: Segments,
    /// Index terms of rows that are in the log only.
    pub(crate) young_terms: Mutex<BTreeSet<(Term, Key)>>,
    /// Hashes of keys that the last open found in the log, and under their tag one row in the
    /// table, so that carrying or replacing them tidies up.
    pub(crate) aliases: Mutex<HashSet<u64>>,
    /// Keys that were replaced while it could not be read which older versions were theirs: the log
    /// thread, or whoever leads, adds to them, and the keeper reads them before it carries.
    pub(crate) unread: Mutex<Vec<Key>>,
    /// Rows in blocks that were replaced since the last table commit, to be struck out by the next.
    pub(crate) struck: Mutex<Vec<Struck>>,
    pub(crate) table: Table,
    /// Wakes the keeper.
    pub(crate) keeper: Sender<Work>,
    pub(crate) commit_latencies: Latencies,
    pub(crate) counters: Counters,
    pub(crate) open_took: Duration,
}

/// A row in a block that a later version has replaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    pub(crate) window: Window,
    pub(crate) block: u64,
    pub(crate) row: u16,
}

impl Struck {
    /// The row at `place`, if that is in a block of a window that is there.
    pub(crate) fn at(place: Place, slots: &Slots) -> Option<Self> {
        let Where::Block { block, row } = place.at() else { return None };
        slots.window(place.slot()).map(|window| Self { window, block, row })
    }
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
    /// Bytes of segments that are kept to be used again.
    pub(crate) free_log_bytes: Tally,
    /// Index entries whose window is dead.
    pub(crate) dead_entries: Tally,
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
        drop(writer);
        if !sabotage::is(Flaw::WaitersForgotten) {
            self.durable.end();
            self.supplied.end();
        }
        self.work.ring_all();
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

    /// Notes that the row at `place` was replaced, so that the next table commit strikes it out: an
    /// open does not find it any more, even once what replaced it is gone.
    pub(crate) fn strike_later(&self, place: Place) {
        self.struck.lock().extend(Struck::at(place, &self.slots));
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

    /// Waits until another spare segment than the first `seen` was supplied.
    pub(crate) async fn wait_supplied(&self, seen: u64) -> Result<()> {
        let reached = self.supplied.reach(seen + 1).await;
        reached.map_err(|_| {
            Error::new(ErrorKind::Unavailable, "the store was closed or poisoned: open it again")
        })
    }
}

pub(crate) fn count(counter: &Tally, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
