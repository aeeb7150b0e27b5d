//! A shard of the index: where rows are, and the rows of them that are kept in memory.
//!
//! An entry leads to a place on disk, or to a spot in the row cache, where the place stands before
//! the row.
//!
//! # Invariants
//!
//! - A spot that the index leads to holds a row of the entry's own tag, and of the entry's window.
//! - Of one key at most one version is kept, the one that was kept last.

use super::lines::{At, Lines, Matches, PAYLOAD_BITS};
use super::place::{Place, Slot};
use super::row_cache::{RowCache, Spot};
use super::tag::Tags;
use crate::backend::record::key_of;
use crate::backend::{Key, Row};

const _: () = assert!(Place::BITS == PAYLOAD_BITS);

/// A part of the index, and of the row cache.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shard {
    // First, so that it is in the cache line of the lock.
    lines: Lines,
    changes: u64,
    cache: RowCache,
    tags: Tags,
}

impl Shard {
    pub(crate) fn new(tags: Tags, cache_bytes: usize) -> Self {
        Self { lines: Lines::default(), changes: 0, cache: RowCache::new(cache_bytes), tags }
    }

    /// Looks at where the entries of these tags are, or would be, so that they are in the
    /// processor's cache: it waits for many of them at a time, since no look depends on another.
    pub(crate) fn fetch(&self, tags: impl IntoIterator<Item = u64>) {
        for tag in tags {
            std::hint::black_box(self.matches(tag).count());
        }
    }

    /// The places filed under `tag`: none or one, but for tags that meet, and an older version that
    /// could not be read when it was replaced.
    pub(crate) fn places(&self, tag: u64) -> impl Iterator<Item = Place> + '_ {
        self.matches(tag).filter_map(|(_, payload)| self.place_of(payload))
    }

    /// The kept row under `key`, and the slot of its window.
    pub(crate) fn kept(&self, tag: u64, key: &Key) -> Option<(Row, Slot)> {
        let (_, spot) = self.find_kept(tag, key)?;
        self.cache.note_read(spot);
        Some((Row::of(self.cache.record(spot)?.into()), spot.slot))
    }

    /// Grows with every change of an entry: who has fetched a row without the lock may keep it
    /// only if nothing has changed meanwhile, since a place alone may be the same again.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn insert(&mut self, tag: u64, place: Place) {
        self.changes += 1;
        self.lines.insert(Tags::rest(tag), place.pack());
    }

    /// Puts another version of `key`, at `to`, where the one at `from` was; false if that is not
    /// there any more.
    pub(crate) fn replace(&mut self, tag: u64, key: &Key, from: Place, to: Place) -> bool {
        self.changes += 1;
        let Some((at, payload)) = self.find(tag, key, from) else { return false };
        self.release(payload);
        self.lines.set(at, to.pack());
        true
    }

    /// Notes that the row of `key` at `from` lies at `to` now; false if it is not there any more.
    pub(crate) fn relocate(&mut self, tag: u64, key: &Key, from: Place, to: Place) -> bool {
        self.changes += 1;
        let Some((at, payload)) = self.find(tag, key, from) else { return false };
        let Some(spot) = Spot::unpack(payload) else {
            self.lines.set(at, to.pack());
            return true;
        };
        if spot.slot == to.slot() {
            self.cache.set_place(spot, to);
            return true;
        }
        // A chunk has rows of one window.
        let record = self.cache.record(spot).map(<[u8]>::to_vec);
        self.cache.release(spot);
        self.lines.set(at, to.pack());
        if let Some(record) = record {
            self.keep_at(at, to, &record);
        }
        true
    }

    /// Takes the entry of `key` at `place` away; false if it is not there any more.
    pub(crate) fn remove(&mut self, tag: u64, key: &Key, place: Place) -> bool {
        self.changes += 1;
        let Some((at, payload)) = self.find(tag, key, place) else { return false };
        self.release(payload);
        self.lines.remove(at);
        true
    }

    /// Keeps the row at `place` in memory, in place of what is kept of its key. Does nothing where
    /// no entry says that a row is there.
    pub(crate) fn keep(&mut self, tag: u64, place: Place, row: &Row) {
        self.forget_kept(tag, &row.key());
        if let Some((at, _)) = self.find(tag, &row.key(), place) {
            self.keep_at(at, place, row.as_record());
        }
    }

    /// Keeps no version of `key` in memory any more.
    pub(crate) fn forget_kept(&mut self, tag: u64, key: &Key) {
        while let Some((at, spot)) = self.find_kept(tag, key) {
            let Some(place) = self.cache.place(spot) else { return };
            self.cache.release(spot);
            self.lines.set(at, place.pack());
        }
    }

    /// Forgets every entry and kept row of the windows of which `gone` says so.
    pub(crate) fn forget(&mut self, gone: impl Fn(Slot) -> bool) {
        self.changes += 1;
        // A spot has its slot where a place has it.
        self.lines.retain(|payload| !gone(Place::unpack(payload).slot()));
        self.cache.forget(gone);
    }

    /// The parts of tags below the shard's, each with its place.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, Place)> + '_ {
        let entries = self.lines.entries();
        entries
            .filter_map(|(rest, payload)| Some((Tags::below_shard(rest), self.place_of(payload)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The memory of the entries, and of the row cache, in bytes.
    pub(crate) fn memory_bytes(&self) -> (usize, usize) {
        (self.lines.memory_bytes() + size_of::<Self>(), self.cache.bytes())
    }

    fn matches(&self, tag: u64) -> Matches<'_> {
        self.lines.matches(Tags::rest(tag))
    }

    fn place_of(&self, payload: u64) -> Option<Place> {
        match Spot::unpack(payload) {
            Some(spot) => self.cache.place(spot),
            None => Some(Place::unpack(payload)),
        }
    }

    /// The entry of `key` at `place`. Rows by id of one window have one place, so that a kept one
    /// is found by its key alone.
    fn find(&self, tag: u64, key: &Key, place: Place) -> Option<(At, u64)> {
        let kept = self.find_kept(tag, key);
        let own = kept.filter(|(_, spot)| self.cache.place(*spot) == Some(place));
        own.map(|(at, spot)| (at, spot.pack()))
            .or_else(|| self.matches(tag).find(|(_, payload)| *payload == place.pack()))
    }

    fn find_kept(&self, tag: u64, key: &Key) -> Option<(At, Spot)> {
        let mut kept =
            self.matches(tag).filter_map(|(at, payload)| Some((at, Spot::unpack(payload)?)));
        kept.find(|(_, spot)| self.cache.record(*spot).is_some_and(|held| key_of(held) == *key))
    }

    fn release(&mut self, payload: u64) {
        if let Some(spot) = Spot::unpack(payload) {
            self.cache.release(spot);
        }
    }

    /// Keeps the record of an entry that leads to `place`, and makes room for it.
    fn keep_at(&mut self, at: At, place: Place, record: &[u8]) {
        let Some(spot) = self.cache.append(place, record) else { return };
        self.lines.set(at, spot.pack());
        let mut spared_bytes = None;
        while self.cache.is_over_budget() {
            let Some(oldest) = self.cache.take_oldest() else { return };
            // Half a chunk at most, so that a caller does not move all there is.
            let left = spared_bytes.get_or_insert(oldest.len() / 2);
            for (spot, place, kept, was_read) in oldest.rows() {
                let tag = self.tags.of(&key_of(kept));
                let leads_here = |(_, payload): &(At, u64)| *payload == spot.pack();
                // Without an entry it was released.
                let Some((at, _)) = self.matches(tag).find(leads_here) else { continue };
                let spares = was_read && kept.len() <= *left;
                *left -= if spares { kept.len() } else { 0 };
                let again = spares.then(|| self.cache.append(place, kept)).flatten();
                self.lines.set(at, again.map_or(place.pack(), Spot::pack));
            }
        }
    }
}
