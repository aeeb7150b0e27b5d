//! Loading what an open needs in memory: the index, from the log's frames and the table's tags.
//!
//! 1. The log is read. Of each row is kept what the index needs of it, sorted by the hash of its
//!    key, so that the versions of one key lie together.
//! 2. Whoever replaces something is noted by its hash: rows of the log, rows by id, and the later
//!    versions in blocks. A row of the log was committed after all of the table; a row by id after
//!    the one in a block; of those in blocks the larger version counts.
//! 3. The tags of first versions are gone through, most of all there is. What was replaced is left
//!    out, and everything else goes into the index.
//! 4. The replacing rows go into the index, and at last those of the log.
//!
//! # Invariants
//!
//! - A key has one entry in the index afterwards, that of its last version, a deletion as well.
//! - A row of the log is filed under a window that is swept no earlier than those of all versions
//!   before it, as in a commit: it must not be outlived by what it replaced (P2).

use super::index::Index;
use super::log::frame::Frame;
use super::options::Options;
use super::place::{BLOCK_ROWS_MAX, BLOCKS_MAX, Place, Slot, Where};
use super::table::tags::{self, Tag};
use super::table::{self, BlockKey, DEATHS, LATER, Meta, TAGS, Table, View, failed};
use super::tag::{KeyHash, Tags};
use super::window::Window;
use super::windows::{Slots, Windows};
use crate::backend::{Key, Kind, Term, Version};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::sync::Arc;
use crate::timekeeper::Mark;
use hashbrown::HashTable;
use redb::{ReadableTableMetadata as _, TableDefinition, Value};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

/// Rows that are put into the index together: while one of their places there is fetched from
/// memory, so are the next ones (`Index::fetch`).
const AT_ONCE: usize = 256;

/// A row of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Young {
    hash: KeyHash,
    segment: u64,
    offset: u32,
    /// What it would be filed under if it replaced nothing.
    own: Window,
    kind: u8,
    is_tombstone: bool,
    is_first: bool,
}

/// What a row has replaced, or will have replaced what is still to be read.
#[derive(Debug)]
struct Replacing {
    hash: KeyHash,
    by: By,
}

/// Who replaces.
#[derive(Debug, Clone, Copy)]
enum By {
    /// A row of the log; and the window swept last among those of the versions in the table.
    Log(Option<Window>),
    /// A row by id.
    Id,
    /// A later version in a block.
    Block { version: Version, place: Place, kind: Kind, is_tombstone: bool },
}

/// What an open fills before anybody else sees it.
pub(crate) struct Loading {
    pub(crate) index: Index,
    pub(crate) windows: Windows,
    pub(crate) young_terms: BTreeSet<(Term, Key)>,
    pub(crate) high_water: Mark,
    /// Windows that ended by this are dead for good. Of a restored store, whose time is set back,
    /// they are not: nobody is admitted by what is in them.
    dead_before: Timestamp,
    /// Remembered rows of the table are left out if their window ended before this.
    forgotten: Timestamp,
    pub(crate) slots: Arc<Slots>,
    /// The numbers of the segments with frames that are not carried.
    pub(crate) needed: BTreeSet<u64>,
    /// The windows that the table holds something of.
    in_table: BTreeSet<Window>,
    /// The rows of the log.
    young: Vec<Young>,
    /// The leads that those of them which are remembered were filed with, by segment and offset.
    remembered: BTreeMap<(u64, u32), Duration>,
    replacing: HashTable<Replacing>,
    /// Rows that are still to be put into the index.
    found: Vec<(u64, Place, Option<Kind>)>,
}

impl Loading {
    pub(crate) fn new(options: &Options, meta: &Meta) -> Self {
        let slots = Arc::new(Slots::new());
        let mut windows = Windows::new(Arc::clone(&slots));
        windows.note_forgotten(meta.forgotten);
        let tags = Tags::new(&meta.store, options.tag_bits);
        Self {
            index: Index::new(tags, options.row_cache_bytes),
            windows,
            young_terms: BTreeSet::new(),
            high_water: meta.high_water,
            dead_before: if options.restored {
                meta.high_water.settled.min(options.clock.wall().into())
            } else {
                meta.high_water.settled
            },
            forgotten: (meta.high_water.settled.saturating_sub(meta.high_water.lead))
                .min(options.clock.wall().into()),
            slots,
            needed: BTreeSet::new(),
            in_table: BTreeSet::new(),
            young: Vec::new(),
            remembered: BTreeMap::new(),
            replacing: HashTable::new(),
            found: Vec::new(),
        }
    }

    /// Takes a frame of the log, which stands at `offset` of this segment.
    pub(crate) fn replay(&mut self, segment: u64, offset: u32, frame: Frame) {
        let mark = frame.header.mark;
        if mark.settled >= self.high_water.settled {
            self.high_water = mark;
        }
        self.needed.insert(segment);
        for (at, row) in frame.records {
            let key = row.key();
            let offset = offset.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            if key.kind == Kind::REMEMBERED {
                self.remembered.insert((segment, offset), mark.lead);
            }
            let is_tombstone = row.is_tombstone();
            if !is_tombstone {
                self.young_terms.extend(row.terms().iter().map(|term| (term, key)));
            }
            self.young.push(Young {
                hash: self.index.hash(&key),
                segment,
                offset,
                own: Window::of(row.expires_at(), mark.settled),
                kind: key.kind.as_byte(),
                is_tombstone,
                is_first: row.is_first(),
            });
        }
    }

    /// Reads the tags of the blocks, the deaths of the rows by id, and which windows have terms:
    /// not the rows.
    pub(crate) fn read_table(&mut self, table: &Table) -> Result<()> {
        // By key, then in the order of the commits.
        self.young.sort_unstable();
        let young = std::mem::take(&mut self.young);
        for versions in young.chunk_by(|one, next| one.hash == next.hash) {
            if let Some(first) = versions.first().filter(|first| !first.is_first) {
                self.note(first.hash, By::Log(None));
            }
        }
        self.young = young;
        read_all(table, DEATHS, |death, value| self.read_death(death, value))?;
        read_all(table, LATER, |key, value| self.read_block(key, value, false))?;
        read_all(table, TAGS, |key, value| self.read_block(key, value, true))?;
        self.add_replacing();
        self.add_found();
        // A sweep that was interrupted may have left terms alone of a window.
        for window in table.look(View::windows_with_terms)? {
            self.slot_in_table(window)?;
        }
        Ok(())
    }

    fn read_death(&mut self, death: &table::DeathKey, value: u64) -> Result<()> {
        let is_tombstone = table::read_death(death, value).ok_or_else(tags::damaged)?;
        let key = table::key_of(death).ok_or_else(tags::damaged)?;
        let window = table::window_of(death).ok_or_else(tags::damaged)?;
        let slot = self.slot_in_table(window)?;
        let hash = self.index.hash(&key);
        if let Some(By::Log(_)) = self.replaced_by(hash, window) {
            return Ok(());
        }
        self.note(hash, By::Id);
        let counted = Some(key.kind).filter(|_| !is_tombstone);
        self.add(self.index.tag_of(hash), Place::new(slot, Where::ById), counted);
        Ok(())
    }

    fn read_block(&mut self, key: &BlockKey, value: &[u8], first: bool) -> Result<()> {
        let rows = tags::decode(key, value, first).ok_or_else(tags::damaged)?;
        let (window, block) = table::read_block_key(key).ok_or_else(tags::damaged)?;
        if block >= BLOCKS_MAX || rows.len() > BLOCK_ROWS_MAX {
            return Err(tags::damaged());
        }
        let slot = self.slot_in_table(window)?;
        // Dead for good, and what was said of its rows since may be swept already.
        let dead = window.end() <= self.dead_before;
        if dead && window.end() <= self.forgotten {
            if rows.iter().any(|tag| tag.kind == Kind::REMEMBERED) {
                self.windows.note_forgotten(window.end());
            }
            return Ok(());
        }
        for (at, Tag { hash, kind, later }) in rows.into_iter().enumerate() {
            if kind == Kind::REMEMBERED {
                // With which lead it was filed is not known: it may have been none.
                self.windows.remember(slot, window, Duration::ZERO);
            } else if dead {
                continue;
            }
            let row = u16::try_from(at).map_err(|_| tags::damaged())?;
            let place = Place::new(slot, Where::Block { block, row });
            match (self.replaced_by(hash, window), later) {
                (Some(By::Log(_)), _) | (Some(_), None) => {}
                (_, Some((version, is_tombstone))) => {
                    self.note(hash, By::Block { version, place, kind, is_tombstone });
                }
                (None, None) => self.add(self.index.tag_of(hash), place, Some(kind)),
            }
        }
        Ok(())
    }

    /// Notes who replaces; of two versions in blocks the later one.
    fn note(&mut self, hash: KeyHash, by: By) {
        let found =
            self.replacing.entry(hash.high(), |held| held.hash == hash, |held| held.hash.high());
        found
            .and_modify(|held| {
                if let (By::Block { version, .. }, By::Block { version: held, .. }) = (by, held.by)
                    && version <= held
                {
                    return;
                }
                held.by = by;
            })
            .or_insert(Replacing { hash, by });
    }

    /// Who replaces a row of the table; where the log does, the row's window is noted.
    fn replaced_by(&mut self, hash: KeyHash, window: Window) -> Option<By> {
        let held = self.replacing.find_mut(hash.high(), |held| held.hash == hash)?;
        if let By::Log(last) = &mut held.by {
            *last = Some(last.map_or(window, |last| last_swept(last, window)));
        }
        Some(held.by)
    }

    /// Puts the later versions in blocks into the index.
    fn add_replacing(&mut self) {
        let replacing = std::mem::take(&mut self.replacing);
        for Replacing { hash, by } in &replacing {
            if let By::Block { place, kind, is_tombstone, .. } = by {
                let counted = Some(*kind).filter(|_| !is_tombstone);
                self.add(self.index.tag_of(*hash), *place, counted);
            }
        }
        self.replacing = replacing;
    }

    /// The slot of a window that the table holds something of.
    fn slot_in_table(&mut self, window: Window) -> Result<Slot> {
        self.in_table.insert(window);
        self.windows.slot(window)
    }

    /// Puts a row into the index, soon, and counts it unless it is a deletion.
    fn add(&mut self, tag: u64, place: Place, counted: Option<Kind>) {
        self.found.push((tag, place, counted));
        if self.found.len() >= AT_ONCE {
            self.add_found();
        }
    }

    fn add_found(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        self.index.fetch(found.iter().map(|(tag, ..)| *tag));
        for (tag, place, counted) in found.drain(..) {
            if let Some(shard) = self.index.own(tag) {
                shard.insert(tag, place);
            }
            if let Some(kind) = counted {
                self.windows.add(place.slot(), kind);
            }
        }
        self.found = found;
    }

    /// Puts the rows of the log into the index, in the order of their commits. Rows that have died
    /// are put there as well: they stand before older versions in the table until both are swept.
    pub(crate) fn add_young(&mut self) -> Result<()> {
        let mut young = std::mem::take(&mut self.young);
        young.dedup_by(|next, last| {
            // The last version stays, under the window that is swept last.
            let same = next.hash == last.hash;
            if same {
                *last = Young { own: last_swept(last.own, next.own), ..*next };
            }
            same
        });
        young.sort_unstable_by_key(|row| (row.segment, row.offset));
        for row in young {
            let replacing = self.replacing.find(row.hash.high(), |held| held.hash == row.hash);
            let in_table = replacing.and_then(|held| match held.by {
                By::Log(window) => window,
                By::Id | By::Block { .. } => None,
            });
            let kind = Kind::from_byte(row.kind);
            let dead = kind.is_revised() && row.own.end() <= self.high_water.settled;
            let window = match in_table {
                // It leaves with what it has replaced. Under a window of its own a crowded store
                // would forget it before, and what was filed to live longer would be back (P2).
                Some(window) if dead => window,
                Some(window) => last_swept(row.own, window),
                None => row.own,
            };
            if self.windows.is_crowded_for(window) {
                self.add_found();
                self.forget_ended();
            }
            let slot = self.windows.slot(window)?;
            if let Some(lead) = self.remembered.get(&(row.segment, row.offset)) {
                self.windows.remember(slot, window, *lead);
            }
            let place = Place::in_log(slot, row.segment, row.offset);
            self.add(self.index.tag_of(row.hash), place, Some(kind).filter(|_| !row.is_tombstone));
        }
        self.add_found();
        Ok(())
    }

    /// Forgets the windows that have ended: a long log of short lifetimes has more windows than
    /// live at any one time. What the table holds of a window is still to be cut, so those stay.
    fn forget_ended(&mut self) {
        let settled = self.high_water.settled;
        let ended: HashSet<Window> = self
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
}

/// Reads every entry of an index, and demands as many as redb counts: a damaged inner page loses
/// all entries below it.
fn read_all<const N: usize, V: Value + Sync + 'static>(
    table: &Table,
    index: TableDefinition<'_, [u8; N], V>,
    mut read: impl FnMut(&[u8; N], V::SelfType<'_>) -> Result<()>,
) -> Result<()> {
    table.read_ahead(index)?;
    table.read(|transaction| {
        let entries = transaction.open_table(index).map_err(failed)?;
        let mut left = entries.len().map_err(failed)?;
        for entry in entries.range::<[u8; N]>(..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            read(&key.value(), value.value())?;
            left = left.checked_sub(1).ok_or_else(tags::damaged)?;
        }
        if left == 0 { Ok(()) } else { Err(tags::damaged()) }
    })
}

/// The one of two windows that is swept last.
fn last_swept(one: Window, other: Window) -> Window {
    if other.turn() > one.turn() { other } else { one }
}

#[cfg(test)]
mod tests {
    use crate::backend::{Backend as _, Batch, Key, Kind, NewRow, Terms, Version};
    use crate::clock::ManualClock;
    use crate::digest::Digest;
    use crate::engine::{Embedded, KeySource, Options};
    use crate::keyring::Keyring;
    use crate::wait::Wait as _;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};
    use xxhash_rust::xxh3::xxh3_64;

    fn key(number: u64) -> Key {
        let kind = if number.is_multiple_of(2) { Kind::write_once(1) } else { Kind::revised(1) };
        Key::new(kind, Digest::of_name("row", &number.to_le_bytes()))
    }

    fn version(engine: &Embedded, number: u64) -> Option<Version> {
        engine.get(key(number)).wait().unwrap().map(|row| row.version())
    }

    // Goal: P2 and P7, an open finds the last version of each row, a deletion as well, wherever the
    // others lie: in blocks of first and of later versions, by id, and in the log; and nothing else
    // is in the index. Method: rows that are put, replaced, deleted, and put anew at random, and
    // carried now and then, with tags of all bits and of a few; open again every 40 changes.
    #[test]
    fn an_open_finds_the_last_version_wherever_the_others_lie() {
        for tag_bits in [64, 3] {
            let dir = tempfile::tempdir().unwrap();
            let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
            let keys = KeySource::Given(Keyring::generate().unwrap());
            let options = Options::default().clock(Arc::new(clock)).keys(keys).by_itself(false);
            let options = options.reserve_bytes(0).row_cache_bytes(0).tag_bits(tag_bits);
            let open = || options.clone().open_backend(&dir.path().join("store")).unwrap().0;
            let mut engine = open();
            for step in 0..800_u64 {
                let dice = xxh3_64(&step.to_le_bytes());
                let number = dice % 40;
                let expires_at = engine.now().saturating_add(Duration::from_secs(3_600));
                let row = NewRow { value: vec![1], expires_at, terms: Terms::NONE };
                let mut batch = Batch::new().unwrap();
                match version(&engine, number) {
                    Some(version) if (dice >> 32).is_multiple_of(4) => {
                        batch.delete(key(number), version)
                    }
                    Some(version) => batch.replace(key(number), version, row),
                    None => batch.insert(key(number), row),
                };
                engine.commit(batch).wait().unwrap();
                if (dice >> 40).is_multiple_of(16) {
                    engine.checkpoint().wait().unwrap();
                }
                if step % 40 == 39 {
                    let before: Vec<_> = (0..40).map(|number| version(&engine, number)).collect();
                    let (entries, stats) = (engine.core.index.len(), engine.stats());
                    engine.close().unwrap();
                    engine = open();
                    let after: Vec<_> = (0..40).map(|number| version(&engine, number)).collect();
                    assert_eq!(after, before, "step {step}");
                    assert_eq!(engine.core.index.len(), entries, "step {step}");
                    assert_eq!(engine.stats().rows, stats.rows, "step {step}");
                }
            }
        }
    }
}
