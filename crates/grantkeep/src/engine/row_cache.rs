//! The row cache of one shard: rows kept in memory for reading, up to a budget.
//!
//! Rows lie one behind the other in chunks, and all rows of a chunk are of one window (after
//! Segcache; Yang et al., NSDI 2021). So the rows of a window that has ended leave as whole chunks,
//! unread, and a row has neither an allocation nor a count of references of its own: who reads it
//! holds the shard's lock, or copies it.
//!
//! ```text
//! a row in a chunk    8 bytes  its place on disk
//!                          ..  its record
//! ```
//!
//! The entry of the index leads here while the row is kept, and to its place on disk otherwise; the
//! shard (`shard.rs`) keeps the two in step. The oldest chunk is the first to leave, and the shard
//! puts those of its rows that were read since into a younger one.

use super::place::{Place, Slot};
use crate::backend::record::record_bytes;
use crate::sync::{AtomicU64, Ordering};
use std::collections::{BTreeMap, VecDeque};

/// A chunk is closed at this length. A longer one would leave more room unused where a shard has
/// rows of many windows, a shorter one more for each row.
const CHUNK_BYTES: usize = 16 << 10;
/// The room that a chunk begins with; it grows by half.
const CHUNK_BYTES_FIRST: usize = 2 << 10;
/// What a chunk takes beside its rows: itself, its places in the lists, and the allocator's word.
const CHUNK_OVERHEAD_BYTES: usize = size_of::<Chunk>() + 40;
const PLACE_BYTES: usize = 8;

/// No two rows begin within so many bytes.
const GRAIN_BYTES: usize = 64;
const MARKS: usize = CHUNK_BYTES / GRAIN_BYTES / 64;

const OFFSET_BITS: u32 = 14;
const CHUNK_BITS: u32 = Place::SPOT_BITS - OFFSET_BITS;
const _: () = assert!(CHUNK_BYTES == 1 << OFFSET_BITS);

/// Where a row is in the cache, and the slot of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) slot: Slot,
    chunk: u32,
    offset: u32,
}

impl Spot {
    /// As many bits as a place has, and never those of one.
    pub(crate) fn pack(self) -> u64 {
        let low = u64::from(self.chunk) << OFFSET_BITS | u64::from(self.offset);
        u64::from(self.slot) << Place::LOW_BITS | Place::KEPT | low
    }

    /// `None` for a place.
    pub(crate) fn unpack(packed: u64) -> Option<Self> {
        (packed & Place::KEPT == Place::KEPT).then(|| Self::of(packed))
    }

    fn of(packed: u64) -> Self {
        let part = |value: u64, bits: u32| u32::try_from(value & ((1 << bits) - 1)).unwrap_or(0);
        Self {
            slot: Place::unpack(packed).slot(),
            chunk: part(packed >> OFFSET_BITS, CHUNK_BITS),
            offset: part(packed, OFFSET_BITS),
        }
    }
}

/// Rows of one window.
#[derive(Debug)]
pub(crate) struct Chunk {
    number: u32,
    slot: Slot,
    bytes: Vec<u8>,
    /// Bytes of rows that were released.
    released: usize,
    /// A bit for each grain: whether the row that begins there was read.
    read: [AtomicU64; MARKS],
}

/// The chunks of one shard, under that shard's lock.
#[derive(Debug)]
pub(crate) struct RowCache {
    chunks: Vec<Option<Chunk>>,
    free: Vec<u32>,
    /// The numbers of the chunks, oldest first.
    order: VecDeque<u32>,
    /// The chunks that take rows.
    open: BTreeMap<Slot, u32>,
    bytes: usize,
    budget_bytes: usize,
}

impl RowCache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            open: BTreeMap::new(),
            bytes: 0,
            budget_bytes,
        }
    }

    /// The memory of all chunks, with the room in them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if a chunk must leave.
    pub(crate) fn is_over_budget(&self) -> bool {
        self.bytes > self.budget_bytes
    }

    /// The record at a spot.
    pub(crate) fn record(&self, spot: Spot) -> Option<&[u8]> {
        self.chunk(spot)?.row(spot.offset).map(|(_, record)| record)
    }

    /// The place on disk of the row at a spot.
    pub(crate) fn place(&self, spot: Spot) -> Option<Place> {
        self.chunk(spot)?.place(spot.offset)
    }

    /// Notes that the row at a spot was read.
    pub(crate) fn note_read(&self, spot: Spot) {
        if let Some(chunk) = self.chunk(spot) {
            chunk.note_read(spot.offset);
        }
    }

    /// Notes that the row at a spot has another place on disk.
    pub(crate) fn set_place(&mut self, spot: Spot, place: Place) {
        let offset = spot.offset as usize;
        let chunk = self.chunk_mut(spot.chunk);
        let there = chunk.and_then(|chunk| chunk.bytes.get_mut(offset..offset + PLACE_BYTES));
        if let Some(there) = there {
            there.copy_from_slice(&place.pack().to_le_bytes());
        }
    }

    /// Keeps a record of the window of `place`; `None` where the budget has no room for it at all.
    pub(crate) fn append(&mut self, place: Place, record: &[u8]) -> Option<Spot> {
        let bytes = PLACE_BYTES + record.len();
        if bytes + CHUNK_OVERHEAD_BYTES > self.budget_bytes {
            return None;
        }
        // So that a small budget is more than one chunk as well.
        let full = CHUNK_BYTES.min(self.budget_bytes / 4);
        let slot = place.slot();
        let open = self.open.get(&slot).and_then(|number| self.chunks.get(*number as usize));
        let fits = |chunk: &Chunk| chunk.bytes.len() + bytes <= full;
        let number = if let Some(chunk) = open.and_then(Option::as_ref).filter(|chunk| fits(chunk))
        {
            chunk.number
        } else {
            self.close(slot);
            self.begin(slot)?
        };
        let chunk = self.chunk_mut(number)?;
        let (before, offset) = (chunk.bytes.capacity(), chunk.bytes.len());
        if offset + bytes > before {
            let capacity = (before * 3 / 2).max(CHUNK_BYTES_FIRST).min(full).max(offset + bytes);
            chunk.bytes.reserve_exact(capacity - offset);
        }
        chunk.bytes.extend_from_slice(&place.pack().to_le_bytes());
        chunk.bytes.extend_from_slice(record);
        self.bytes += chunk.bytes.capacity() - before;
        Some(Spot { slot, chunk: number, offset: u32::try_from(offset).ok()? })
    }

    /// Forgets the row at a spot, and its chunk once nothing else is in it nor will be.
    pub(crate) fn release(&mut self, spot: Spot) {
        let Some(chunk) = self.chunks.get_mut(spot.chunk as usize).and_then(Option::as_mut) else {
            return;
        };
        let bytes = chunk.row(spot.offset).map_or(0, |(_, record)| PLACE_BYTES + record.len());
        chunk.released += bytes;
        if chunk.released < chunk.bytes.len() {
            return;
        }
        let number = chunk.number;
        if self.open.get(&chunk.slot) == Some(&number) {
            // The next row of the window takes its room: a row that is replaced again and again
            // has one chunk.
            chunk.bytes.clear();
            chunk.released = 0;
            chunk.read = [const { AtomicU64::new(0) }; MARKS];
        } else {
            self.order.retain(|held| *held != number);
            self.drop_chunk(number);
        }
    }

    /// Takes out the oldest chunk.
    pub(crate) fn take_oldest(&mut self) -> Option<Chunk> {
        let number = self.order.pop_front()?;
        self.drop_chunk(number)
    }

    /// Drops the chunks of the windows of which `gone` says so.
    pub(crate) fn forget(&mut self, gone: impl Fn(Slot) -> bool) {
        let is_gone = |chunk: &&Chunk| gone(chunk.slot);
        let dropped: Vec<u32> =
            self.chunks.iter().flatten().filter(is_gone).map(|chunk| chunk.number).collect();
        if dropped.is_empty() {
            return;
        }
        for number in &dropped {
            self.drop_chunk(*number);
        }
        self.order.retain(|number| !dropped.contains(number));
    }

    fn chunk(&self, spot: Spot) -> Option<&Chunk> {
        self.chunks.get(spot.chunk as usize).and_then(Option::as_ref)
    }

    fn chunk_mut(&mut self, number: u32) -> Option<&mut Chunk> {
        self.chunks.get_mut(number as usize).and_then(Option::as_mut)
    }

    /// Gives back what room is left in the open chunk of a window.
    fn close(&mut self, slot: Slot) {
        let open = self.open.remove(&slot);
        if let Some(chunk) = open.and_then(|number| self.chunk_mut(number)) {
            let before = chunk.bytes.capacity();
            chunk.bytes.shrink_to_fit();
            self.bytes -= before - chunk.bytes.capacity();
        }
    }

    /// Begins a chunk for the window of `slot`; `None` if there are as many as can be told apart.
    fn begin(&mut self, slot: Slot) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                u32::try_from(self.chunks.len()).ok().filter(|next| *next >> CHUNK_BITS == 0)?
            }
        };
        let read = [const { AtomicU64::new(0) }; MARKS];
        let chunk = Chunk { number, slot, bytes: Vec::new(), released: 0, read };
        match self.chunks.get_mut(number as usize) {
            Some(free) => *free = Some(chunk),
            None => self.chunks.push(Some(chunk)),
        }
        self.order.push_back(number);
        self.open.insert(slot, number);
        self.bytes += CHUNK_OVERHEAD_BYTES;
        Some(number)
    }

    fn drop_chunk(&mut self, number: u32) -> Option<Chunk> {
        let chunk = self.chunks.get_mut(number as usize)?.take()?;
        self.bytes -= chunk.bytes.capacity() + CHUNK_OVERHEAD_BYTES;
        self.free.push(number);
        if self.open.get(&chunk.slot) == Some(&number) {
            self.open.remove(&chunk.slot);
        }
        Some(chunk)
    }
}

impl Chunk {
    /// The bytes of all rows that were put into it.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The rows that were put into it, the released ones as well, and whether each was read.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Spot, Place, &[u8], bool)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let offset = u32::try_from(at).ok()?;
            let (place, record) = self.row(offset)?;
            at += PLACE_BYTES + record.len();
            let spot = Spot { slot: self.slot, chunk: self.number, offset };
            Some((spot, place, record, self.is_read(offset)))
        })
    }

    fn place(&self, offset: u32) -> Option<Place> {
        let bytes = self.bytes.get(offset as usize..)?.first_chunk()?;
        Some(Place::unpack(u64::from_le_bytes(*bytes)))
    }

    fn row(&self, offset: u32) -> Option<(Place, &[u8])> {
        let record = self.bytes.get(offset as usize + PLACE_BYTES..)?;
        Some((self.place(offset)?, record.get(..record_bytes(record)?)?))
    }

    fn mark(&self, offset: u32) -> (Option<&AtomicU64>, u64) {
        let grain = offset as usize / GRAIN_BYTES;
        (self.read.get(grain / 64), 1 << (grain % 64))
    }

    fn note_read(&self, offset: u32) {
        let (marks, bit) = self.mark(offset);
        // A line that many read stays shared by their processors once the mark is there.
        if let Some(marks) = marks.filter(|marks| marks.load(Ordering::Relaxed) & bit == 0) {
            marks.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn is_read(&self, offset: u32) -> bool {
        let (marks, bit) = self.mark(offset);
        marks.is_some_and(|marks| marks.load(Ordering::Relaxed) & bit != 0)
    }
}
