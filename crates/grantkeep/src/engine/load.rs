//! Loading what an open needs in memory: the index, from the table's tags and the log's frames.

use super::core::Struck;
use super::index::Index;
use super::log::Segments;
use super::log::frame::Frame;
use super::log::segment::Segment;
use super::options::Options;
use super::place::{BLOCK_ROWS_MAX, BLOCKS_MAX, Place, Slot, Where};
use super::table::{self, DEATHS, Meta, TAGS, Table, View, failed, tags};
use super::tag::Tags;
use super::window::Window;
use super::windows::{Slots, Windows};
use crate::backend::{Key, Kind, Term, record};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::sync::Arc;
use crate::timekeeper::Mark;
use redb::ReadableTableMetadata as _;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// Rows that are put into the index together: while one of their places there is fetched from
/// memory, so are the next ones (`Index::fetch`).
const AT_ONCE: usize = 256;

/// What an open fills before anybody else sees it.
pub(crate) struct Loading {
    pub(crate) index: Index,
    pub(crate) windows: Windows,
    pub(crate) young_terms: BTreeSet<(Term, Key)>,
    pub(crate) aliases: HashSet<u64>,
    /// Tags that several rows of the table have.
    shared: HashSet<u64>,
    /// Hashes of keys with such a tag whose rows in the table the log has replaced.
    resolved: HashSet<u64>,
    pub(crate) high_water: Mark,
    /// Windows that ended by this are dead for good. Of a restored store, whose time is set back,
    /// they are not: nobody is admitted by what is in them.
    dead_before: Timestamp,
    /// Remembered rows of the table are left out if their window ended before this.
    forgotten: Timestamp,
    pub(crate) slots: Arc<Slots>,
    log: Segments,
    /// The numbers of the segments with frames that are not carried.
    pub(crate) needed: BTreeSet<u64>,
    /// The windows that the table holds something of.
    in_table: BTreeSet<Window>,
    /// Rows in blocks that were found to be replaced.
    pub(crate) struck: Vec<Struck>,
    /// Rows of the table that are still to be put into the index.
    found: Vec<(u64, Place, Kind)>,
    /// Frames of the log that are, with the numbers of their segments and where they lie there.
    frames: Vec<(u64, u32, Frame)>,
    /// The rows in them.
    rows_waiting: usize,
}

impl Loading {
    pub(crate) fn new(options: &Options, meta: &Meta, segments: &[Arc<Segment>]) -> Self {
        let slots = Arc::new(Slots::new());
        let seed = record::u64_at(&meta.store, 0).unwrap_or(0);
        let log = Segments::default();
        for segment in segments {
            log.push(Arc::clone(segment));
        }
        let mut windows = Windows::new(Arc::clone(&slots));
        windows.note_forgotten(meta.forgotten);
        Self {
            index: Index::new(seed, options.row_cache_bytes, options.tag_bits),
            windows,
            young_terms: BTreeSet::new(),
            aliases: HashSet::new(),
            shared: HashSet::new(),
            resolved: HashSet::new(),
            high_water: meta.high_water,
            dead_before: if options.restored {
                meta.high_water.settled.min(options.clock.wall().into())
            } else {
                meta.high_water.settled
            },
            forgotten: (meta.high_water.settled.saturating_sub(meta.high_water.lead))
                .min(options.clock.wall().into()),
            slots,
            log,
            needed: BTreeSet::new(),
            in_table: BTreeSet::new(),
            struck: Vec::new(),
            found: Vec::new(),
            frames: Vec::new(),
            rows_waiting: 0,
        }
    }

    /// Reads the tags of the blocks, the deaths of the revised rows, and which windows have terms:
    /// not the rows.
    pub(crate) fn read_table(&mut self, table: &Table) -> Result<()> {
        table.read_ahead(TAGS)?;
        table.read(|transaction| {
            let blocks = transaction.open_table(TAGS).map_err(failed)?;
            let deaths = transaction.open_table(DEATHS).map_err(failed)?;
            let mut left = blocks.len().map_err(failed)?;
            left = left.saturating_add(deaths.len().map_err(failed)?);
            for entry in blocks.range::<table::BlockKey>(..).map_err(failed)? {
                let (key, value) = entry.map_err(failed)?;
                self.read_block(&key.value(), value.value())?;
                left = left.checked_sub(1).ok_or_else(tags::damaged)?;
            }
            table.read_ahead(DEATHS)?;
            for entry in deaths.range::<table::DeathKey>(..).map_err(failed)? {
                let (death, check) = entry.map_err(failed)?;
                let death = death.value();
                if check.value() != table::entry_check(&death, &[]) {
                    return Err(tags::damaged());
                }
                left = left.checked_sub(1).ok_or_else(tags::damaged)?;
                let key = table::key_of(&death).ok_or_else(tags::damaged)?;
                let slot =
                    self.slot_in_table(table::window_of(&death).ok_or_else(tags::damaged)?)?;
                self.add(self.index.tag(&key), Place::new(slot, Where::ById), key.kind);
            }
            self.add_found();
            // A damaged inner page loses all entries below it.
            if left == 0 { Ok(()) } else { Err(tags::damaged()) }
        })?;
        // A sweep that was interrupted may have left terms alone of a window.
        for window in table.look(View::windows_with_terms)? {
            self.slot_in_table(window)?;
        }
        Ok(())
    }

    fn read_block(&mut self, key: &table::BlockKey, value: &[u8]) -> Result<()> {
        let rows = tags::decode(key, value).ok_or_else(tags::damaged)?;
        let (window, block) = table::read_block_key(key).ok_or_else(tags::damaged)?;
        if block >= BLOCKS_MAX || rows.len() > BLOCK_ROWS_MAX {
            return Err(tags::damaged());
        }
        let slot = self.slot_in_table(window)?;
        // Dead for good, and what was said of its rows since may be swept already.
        let dead = window.end() <= self.dead_before;
        if dead && window.end() <= self.forgotten {
            if rows.iter().flatten().any(|(_, kind)| *kind == Kind::REMEMBERED) {
                self.windows.note_forgotten(window.end());
            }
            return Ok(());
        }
        for (at, row) in rows.into_iter().enumerate() {
            let Some((tag, kind)) = row else { continue };
            if kind == Kind::REMEMBERED {
                // With which lead it was filed is not known: it may have been none.
                self.windows.remember(slot, window, Duration::ZERO);
            } else if dead {
                continue;
            }
            let row = u16::try_from(at).map_err(|_| tags::damaged())?;
            let place = Place::new(slot, Where::Block { block, row });
            self.add(Tags::of_filed(tag), place, kind);
        }
        Ok(())
    }

    /// The slot of a window that the table holds something of.
    fn slot_in_table(&mut self, window: Window) -> Result<Slot> {
        self.in_table.insert(window);
        self.windows.slot(window)
    }

    fn add(&mut self, tag: u64, place: Place, kind: Kind) {
        self.found.push((tag, place, kind));
        if self.found.len() >= AT_ONCE {
            self.add_found();
        }
    }

    fn add_found(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        self.index.fetch(found.iter().map(|(tag, ..)| *tag));
        for (tag, place, kind) in found.drain(..) {
            if let Some(shard) = self.index.own(tag) {
                let met = shard.places(tag).next().is_some();
                shard.insert(tag, place);
                if met {
                    self.shared.insert(tag);
                }
            }
            self.windows.add(place.slot(), kind);
        }
        self.found = found;
    }

    /// Puts a frame of the log into the index, soon: [`Loading::finish`] does it for the last ones.
    pub(crate) fn replay(
        &mut self,
        table: &Table,
        segment: &Segment,
        offset: u32,
        frame: Frame,
    ) -> Result<()> {
        // Frames that only note the time count as well: there may be many.
        self.rows_waiting += frame.records.len().max(1);
        self.frames.push((segment.number, offset, frame));
        if self.rows_waiting < AT_ONCE {
            return Ok(());
        }
        self.finish(table)
    }

    /// Puts the frames that wait into the index. Rows that have died are put there as well: they
    /// stand before older versions in the table until both are swept.
    pub(crate) fn finish(&mut self, table: &Table) -> Result<()> {
        self.rows_waiting = 0;
        let frames = std::mem::take(&mut self.frames);
        let rows = frames.iter().flat_map(|(.., frame)| &frame.records);
        let tags: Vec<u64> = rows.map(|(_, row)| self.index.tag(&row.key())).collect();
        self.index.fetch(tags.iter().copied());
        let mut tags = tags.into_iter();
        for (segment, offset, frame) in frames {
            self.apply(table, segment, offset, frame, &mut tags)?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        table: &Table,
        segment: u64,
        offset: u32,
        frame: Frame,
        tags: &mut impl Iterator<Item = u64>,
    ) -> Result<()> {
        if frame.header.mark.settled >= self.high_water.settled {
            self.high_water = frame.header.mark;
        }
        self.needed.insert(segment);
        for ((at, row), tag) in frame.records.into_iter().zip(tags) {
            let key = row.key();
            let before: Vec<Place> =
                self.index.own(tag).map_or_else(Vec::new, |shard| shard.places(tag).collect());
            // As in a commit: never under a window swept earlier than that of the version before.
            let windows = before.iter().filter_map(|place| self.slots.window(place.slot()));
            let own = Window::of(row.expires_at(), frame.header.mark.settled);
            let window = windows.chain([own]).max_by_key(|window| window.turn()).unwrap_or(own);
            if self.windows.is_crowded_for(window) {
                self.forget_ended(frame.header.mark.settled);
            }
            let slot = self.windows.slot(window)?;
            if key.kind == Kind::REMEMBERED {
                self.windows.remember(slot, window, frame.header.mark.lead);
            }
            let at = offset.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            self.supersede(table, tag, &key, before)?;
            let place = Place::in_log(slot, segment, at);
            if let Some(shard) = self.index.own(tag) {
                shard.insert(tag, place);
            }
            if !row.is_tombstone() {
                self.windows.add(slot, key.kind);
                self.young_terms.extend(row.terms().iter().map(|term| (term, key)));
            }
        }
        Ok(())
    }

    /// Forgets the windows that had ended by `settled`: a long log of short lifetimes has more
    /// windows than live at any one time. What the table holds of a window is still to be cut, so
    /// those stay.
    fn forget_ended(&mut self, settled: Timestamp) {
        let ended: Vec<Window> = self
            .windows
            .live()
            .filter(|window| window.end() <= settled && !self.in_table.contains(window))
            .collect();
        for window in ended {
            self.windows.kill(window);
        }
        let dead = self.windows.dead();
        self.index.forget(0..usize::MAX, |slot| dead.binary_search(&slot).is_ok());
        self.windows.forget(&dead);
    }

    /// Takes away the entry of an older version in the log. One in the table is left until the
    /// row is carried or written again: to look at it now would cost a read for each family that
    /// was rotated since the last checkpoint; where tags meet, there is no other way.
    fn supersede(&mut self, table: &Table, tag: u64, key: &Key, before: Vec<Place>) -> Result<()> {
        // Two keys under one window have the same place by id: only one of them is the key's own.
        let first = self.shared.contains(&tag) && self.resolved.insert(self.index.hash(key));
        let mut by_id = first;
        for place in before {
            let Where::Log { segment, offset } = place.at() else {
                if !self.shared.contains(&tag) {
                    self.aliases.insert(self.index.hash(key));
                } else if first
                    && (by_id || place.at() != Where::ById)
                    && self.is_own(table, key, place)?
                {
                    by_id &= place.at() != Where::ById;
                    self.struck.extend(Struck::at(place, &self.slots));
                    self.index.change(tag, |shard| shard.remove(tag, key, place));
                    self.windows.remove(place.slot(), key.kind);
                }
                continue;
            };
            if let Some(row) = self.log.row(segment, offset)?.filter(|row| row.key() == *key) {
                self.index.change(tag, |shard| shard.remove(tag, key, place));
                if !row.is_tombstone() {
                    self.windows.remove(place.slot(), key.kind);
                }
            }
        }
        Ok(())
    }

    /// True if a place in the table is that of `key`.
    fn is_own(&self, table: &Table, key: &Key, place: Place) -> Result<bool> {
        let Some(window) = self.slots.window(place.slot()) else { return Ok(false) };
        if place.at() == Where::ById {
            return Ok(table
                .look(|view| view.filed(key))?
                .is_some_and(|filed| filed.window == window));
        }
        let row = table.look(|view| view.row(key, window, place.at()))?;
        match row {
            Some(row) if self.index.tag(&row.key()) != self.index.tag(key) => Err(tags::damaged()),
            row => Ok(row.is_some_and(|row| row.key() == *key)),
        }
    }
}
