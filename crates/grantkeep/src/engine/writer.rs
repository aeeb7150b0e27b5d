//! What the writer's lock guards: the order of commits, and what is written but not yet durable.

use super::doorbell::Beside;
use super::line::{Class, Line};
use super::log::frame::{self, FrameHeader};
use super::log::segment::{SEGMENT_DATA, Segment};
use super::place::{Place, Slot};
use super::windows::Windows;
use crate::backend::{Key, OnApplied, Row};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Instant};
use crate::timekeeper::Mark;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::task::Waker;

/// One row of a batch on its way from the log to the index.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) tag: u64,
    pub(crate) row: Row,
    pub(crate) place: Place,
    /// The row it takes the place of; a tombstone counts.
    pub(crate) prior: Option<Row>,
    /// The window that one was filed under: not to be swept before this is published.
    pub(crate) prior_slot: Option<Slot>,
}

/// Bytes to be written to one segment.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A batch among those that share one sync.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Where its items end among those of the group.
    pub(crate) end: usize,
    pub(crate) asked_at: Instant,
    pub(crate) applied: Option<OnApplied>,
}

/// Batches that share one sync.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) items: Vec<Item>,
    pub(crate) batches: Vec<Gathered>,
    /// The last batch's sequence number.
    pub(crate) last: u64,
}

/// A row that is written but not yet durable.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) tag: u64,
    pub(crate) sequence: u64,
    pub(crate) row: Row,
    pub(crate) slot: Slot,
}

/// Whether the store takes work.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    Open,
    /// The store is only looked at.
    ReadOnly,
    /// An orderly close has begun.
    Closing,
    Closed,
    /// A write or sync failed, or a thread died: reopening is the way back.
    Poisoned(String),
}

/// The state behind the writer's lock, which is never held across I/O.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) mode: Mode,
    pub(crate) next_sequence: u64,
    /// Everything up to here is durable before what is gathered now is written.
    pub(crate) base: u64,
    pub(crate) segment: Arc<Segment>,
    /// The offset in the segment behind the last frame.
    pub(crate) tail: u32,
    /// Segments ready to be written to.
    pub(crate) spares: VecDeque<Arc<Segment>>,
    /// Commits that wait for room.
    pub(crate) line: Line,
    pub(crate) group: Group,
    pub(crate) pending: HashTable<Pending>,
    pub(crate) windows: Windows,
    /// True if the last frame is that of an orderly close, and the log goes on right behind it.
    pub(crate) ends_closed: bool,
    /// The last frame that only notes the time, and the time it notes.
    pub(crate) noted: u64,
    pub(crate) noted_at: Mark,
    /// The largest settled time in any frame so far, or in the table at open.
    pub(crate) framed_at: Timestamp,
    /// True while the log thread waits for work.
    pub(crate) log_idle: bool,
    /// True while a caller writes what it has found gathered: the log thread keeps off.
    pub(crate) led: bool,
}

impl Beside for Writer {
    fn asleep(&mut self) -> &mut bool {
        &mut self.log_idle
    }
}

impl Writer {
    /// The writer of a log whose last commit is `last`, that of a close or not, and which goes on
    /// in the segment `active` behind an offset. `marks` are the time as it is, and the largest
    /// settled time in any frame.
    pub(crate) fn behind(
        (last, ends_closed): (u64, bool),
        (segment, tail): (Arc<Segment>, u32),
        spares: VecDeque<Arc<Segment>>,
        windows: Windows,
        (noted_at, framed_at): (Mark, Timestamp),
    ) -> Self {
        Self {
            mode: Mode::Open,
            next_sequence: last + 1,
            base: last,
            segment,
            tail,
            spares,
            line: Line::default(),
            group: Group::default(),
            pending: HashTable::new(),
            windows,
            ends_closed,
            noted: last,
            noted_at,
            framed_at,
            log_idle: false,
            led: false,
        }
    }

    /// Refuses with [`ErrorKind::Unavailable`] unless the store takes work, and with
    /// [`ErrorKind::ReadOnly`] where it is only looked at.
    pub(crate) fn check_open(&self) -> Result<()> {
        match &self.mode {
            Mode::Open => Ok(()),
            Mode::ReadOnly => Err(Error::read_only()),
            Mode::Closing | Mode::Closed => Err(Error::closed()),
            Mode::Poisoned(why) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("the store takes no more work after a failure ({why}): open it again"),
            )),
        }
    }

    /// The pending row under `key`, the last one written.
    pub(crate) fn pending(&self, tag: u64, key: &Key) -> Option<&Pending> {
        self.pending.find(tag, |held| held.tag == tag && held.row.key() == *key)
    }

    /// Notes that `row` is on its way.
    pub(crate) fn note_pending(&mut self, noted: Pending) {
        let (tag, key) = (noted.tag, noted.row.key());
        let found = self.pending.find_mut(tag, |held| held.tag == tag && held.row.key() == key);
        match found {
            Some(held) => *held = noted,
            None => {
                self.pending.insert_unique(tag, noted, |held| held.tag);
            }
        }
    }

    /// Forgets a pending row that has become durable, unless a later one took its place.
    pub(crate) fn settle(&mut self, tag: u64, key: &Key, durable: u64) {
        let same = |held: &Pending| held.tag == tag && held.row.key() == *key;
        if let Ok(entry) = self.pending.find_entry(tag, same)
            && entry.get().sequence <= durable
        {
            entry.remove();
        }
    }

    /// True if a frame of `bytes` fits in the segment.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        bytes as u64 <= self.left_bytes()
    }

    /// How many bytes can be written before the log needs another segment.
    pub(crate) fn room_bytes(&self) -> u64 {
        let frames = |spare: &Arc<Segment>| u64::from(spare.bytes.saturating_sub(SEGMENT_DATA));
        self.spares.iter().map(frames).sum::<u64>() + self.left_bytes()
    }

    /// How many of them a commit of this class may write.
    pub(crate) fn room_bytes_for(&self, class: Class) -> u64 {
        self.room_bytes().saturating_sub(class.leaves_bytes())
    }

    /// Calls the commits for which there is room; answers whom to wake without the lock.
    pub(crate) fn call_line(&mut self) -> Vec<Waker> {
        if self.line.len() == 0 {
            return Vec::new();
        }
        let room = Class::ALL.map(|class| self.room_bytes_for(class));
        self.line.call(|class| room.get(class as usize).copied().unwrap_or(0))
    }

    /// Makes room for a frame of `bytes`: goes on in spare segments until it fits in one. Answers
    /// the segments that were begun, or `None` without room.
    pub(crate) fn make_room(&mut self, bytes: usize) -> Option<Vec<Arc<Segment>>> {
        let mut begun = Vec::new();
        while !self.has_room(bytes) {
            let fits = |spare: &Arc<Segment>| {
                bytes as u64 <= u64::from(spare.bytes.saturating_sub(SEGMENT_DATA))
            };
            // Nothing is passed over for a frame that does not fit in the end.
            self.spares.iter().any(fits).then_some(())?;
            begun.extend(self.roll());
        }
        Some(begun)
    }

    /// How many of them in the present segment.
    fn left_bytes(&self) -> u64 {
        u64::from(self.segment.bytes.saturating_sub(self.tail))
    }

    /// Goes on in the next spare segment, if there is one.
    fn roll(&mut self) -> Option<Arc<Segment>> {
        let spare = self.spares.pop_front()?;
        self.segment.note_end(self.tail);
        self.segment = Arc::clone(&spare);
        self.tail = SEGMENT_DATA;
        Some(spare)
    }

    /// Takes what was gathered, to be written next: whatever is gathered from now on is written
    /// after it is durable.
    pub(crate) fn take_group(&mut self) -> Group {
        self.base = self.group.last;
        std::mem::take(&mut self.group)
    }

    /// Appends a frame to what is gathered; `placed` gets each record's offset in the segment.
    pub(crate) fn append<'a>(
        &mut self,
        mark: Mark,
        closed: bool,
        rows: impl Iterator<Item = &'a Row> + Clone,
        mut placed: impl FnMut(u32),
    ) -> u64 {
        let sequence = self.next_sequence;
        let header = FrameHeader { sequence, base: self.base, mark, closed };
        let continues = self
            .group
            .chunks
            .last()
            .is_some_and(|chunk| chunk.segment.number == self.segment.number);
        if !continues {
            self.group.chunks.push(Chunk {
                segment: Arc::clone(&self.segment),
                offset: self.tail,
                bytes: Vec::with_capacity(16 * 1024),
            });
        }
        if let Some(chunk) = self.group.chunks.last_mut() {
            let before = chunk.bytes.len();
            let start = chunk.offset;
            frame::append(&mut chunk.bytes, self.segment.nonce, &header, rows, |at| {
                placed(start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)));
            });
            let added = u32::try_from(chunk.bytes.len() - before).unwrap_or(u32::MAX);
            self.tail = self.tail.saturating_add(added);
        }
        self.ends_closed = closed;
        self.framed_at = self.framed_at.max(mark.settled);
        self.next_sequence += 1;
        self.group.last = sequence;
        sequence
    }
}
