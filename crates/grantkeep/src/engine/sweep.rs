//! Cutting windows that have ended: no row is searched for or deleted one by one, but for the
//! revised ones, which are looked at in the order of their deaths.

use super::backup::ADVICE;
use super::core::{Core, count};
use super::courtesy;
use super::index::Shard;
use super::keeper::HOLD;
use super::place::{Place, SLOTS, Slot, Where};
use super::requests::Begun;
use super::table::filing::Filing;
use super::table::{self, BLOCKS, BlockKey, DEATHS, Filed, ROWS, TAGS, TERMS, TermKey, failed};
use super::window::Window;
use crate::backend::{Budget, Key, Swept, Term};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::sabotage::{self, Flaw};
use crate::sync::{Instant, Ordering};
use crate::wait::Wait as _;
use redb::{ReadableTable as _, WriteTransaction};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Revised rows that one table commit handles at most.
const SLICE_ROWS: usize = 500;
/// Blocks that one table commit cuts, and terms for each of them. While others commit their tail is
/// as long as such a slice takes; in a store at rest the commits are most of what a sweep costs.
const SLICE_BLOCKS: usize = 100;
const SLICE_BLOCKS_AT_REST: usize = 2_000;
const TERMS_A_BLOCK: usize = 50;

/// The batch of terms that belong to rows which were filed anew.
const REFILED: u64 = 0;

/// The index is searched for entries of dead windows once they are this part of it, so that the
/// search costs each of them a fixed number of looks.
const DEAD_PART: u64 = 16;

/// Shards of the index that are searched at a time.
const FORGET_SHARDS: usize = 16;

/// A revised row whose window has ended: what the table holds of it.
struct Ended {
    key: Key,
    filed: Filed,
    /// True if the log has a later version.
    replaced: bool,
}

/// A sweep that was asked for, and how far it has come.
#[derive(Debug)]
pub(crate) struct Sweep {
    budget: Budget,
    swept: Swept,
    /// True once no more windows are to be declared dead.
    ended: bool,
    /// Who has asked; nobody for a sweep that the store does by itself.
    begun: Option<Begun>,
}

impl Sweep {
    pub(crate) fn new(budget: Budget, begun: Option<Begun>) -> Self {
        Self { budget, swept: Swept::default(), ended: false, begun }
    }

    /// Tells of the sweep, whoever has asked and whoever wants to know of all.
    pub(crate) fn end(self, core: &Core, went: Result<()>) {
        let swept = self.swept;
        if swept.windows > 0 || swept.rows > 0 {
            core.options.on_swept.tell(swept);
        }
        if let Some(begun) = self.begun {
            core.requests.answer_sweep(begun, went.map(|()| swept));
        }
    }
}

/// What sweeps have left to be done: it outlives a sweep that fails.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    /// Dead windows of which the table may still hold something.
    dead: VecDeque<Window>,
    refiled: Refiled,
    /// Commits when the last slice was cut, to tell whether others commit.
    commits: u64,
    forgetting: Option<Forgetting>,
}

/// Rows that were filed anew in the table, and that the index does not find there yet. They are in
/// a window that is about to be cut as far as it knows, so this is done before any other is.
#[derive(Debug, Default)]
struct Refiled {
    /// The window of each before, and how it is filed now.
    rows: Vec<(Window, Filed)>,
    /// Those that the log has replaced meanwhile, to be taken out again.
    replaced: Vec<Filed>,
}

impl Refiled {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.replaced.is_empty()
    }
}

/// A search of the index for entries of dead windows.
#[derive(Debug)]
struct Forgetting {
    slots: Vec<Slot>,
    /// The entries that there were to be found.
    entries: u64,
    /// The shards that were searched.
    shards: usize,
}

impl Sweeper {
    /// True if nothing is left of sweeps that failed.
    pub(crate) fn is_through(&self) -> bool {
        self.dead.is_empty() && self.refiled.is_empty() && self.forgetting.is_none()
    }

    /// True if the table may hold something of dead windows.
    pub(crate) fn has_begun(&self) -> bool {
        !self.dead.is_empty() || !self.refiled.is_empty()
    }

    /// Does a piece of a sweep; true once it is through.
    ///
    /// # Errors
    /// Why the table could not be changed: the rest is done by the next sweep.
    pub(crate) fn step(&mut self, core: &Core, sweep: &mut Sweep) -> Result<bool> {
        let begun = Instant::now();
        loop {
            if self.piece(core, sweep)? {
                return Ok(true);
            }
            if begun.elapsed() >= HOLD {
                return Ok(false);
            }
        }
    }

    /// Declares a window dead, or looks at some of its revised rows; or cuts a slice of the dead
    /// ones; or searches a part of the index for their entries.
    fn piece(&mut self, core: &Core, sweep: &mut Sweep) -> Result<bool> {
        if !self.refiled.is_empty() {
            let _still = core.table_still.lock();
            core.settle_refiled(&mut self.refiled)?;
        }
        if !sweep.ended {
            sweep.ended = core.end_window(sweep, self)?;
            return Ok(false);
        }
        if !self.dead.is_empty() {
            self.cut(core)?;
            return Ok(false);
        }
        Ok(self.forget(core))
    }

    /// Cuts a slice of the blocks of dead windows, and the terms of their rows, unread, as ranges
    /// of keys.
    fn cut(&mut self, core: &Core) -> Result<()> {
        let _still = core.table_still.lock();
        core.pass_empty(&mut self.dead)?;
        if self.dead.is_empty() {
            return Ok(());
        }
        let before = self.commits;
        self.commits = core.counters.commits.load(Ordering::Relaxed);
        let blocks = if before == self.commits { SLICE_BLOCKS_AT_REST } else { SLICE_BLOCKS };
        let dead = &self.dead;
        let cut = core.write_table(|transaction| {
            let mut room = Room { blocks, terms: blocks * TERMS_A_BLOCK };
            let mut cut = 0;
            for window in dead {
                if !sabotage::is(Flaw::SweptRowsKept)
                    && !cut_window(transaction, *window, &mut room)?
                {
                    break;
                }
                cut += 1;
            }
            if !sabotage::is(Flaw::SweepWithoutHighWater) {
                table::set_high_water(transaction, core.time.mark(), core.forgotten())?;
            }
            Ok(cut)
        })?;
        self.dead.drain(..cut);
        Ok(())
    }

    /// Searches a part of the index for entries of dead windows, once there are enough of them;
    /// true once it is through.
    fn forget(&mut self, core: &Core) -> bool {
        if self.forgetting.is_none() {
            let entries = core.counters.dead_entries.load(Ordering::Relaxed);
            let slots = core.writer.lock().windows.dead();
            let due = entries * DEAD_PART >= core.index.len() || slots.len() > SLOTS / 4;
            if slots.is_empty() || !due {
                return true;
            }
            self.forgetting = Some(Forgetting { slots, entries, shards: 0 });
        }
        let Some(Forgetting { slots, entries, shards }) = &mut self.forgetting else { return true };
        let part = *shards..*shards + FORGET_SHARDS;
        let more = core.index.forget(part, |slot| slots.binary_search(&slot).is_ok());
        *shards += FORGET_SHARDS;
        if more {
            return false;
        }
        core.counters.dead_entries.fetch_sub(*entries, Ordering::Relaxed);
        core.writer.lock().windows.forget(slots);
        self.forgetting = None;
        true
    }
}

impl Core {
    /// True if a window has ended and is not yet dead.
    pub(crate) fn has_ended_window(&self) -> bool {
        let (settled, paced) = (self.time.settled(), self.time.paced());
        self.writer.lock().windows.ended(settled, paced).is_some()
    }

    /// Declares the window dead that has ended first, or looks at some of its revised rows before;
    /// true if there is none, or the budget is used up.
    fn end_window(&self, sweep: &mut Sweep, sweeper: &mut Sweeper) -> Result<bool> {
        let (settled, paced) = (self.time.settled(), self.time.paced());
        // An idle sweep is this one comparison.
        let ended = self.writer.lock().windows.ended(settled, paced);
        let Some((window, _)) = ended else { return Ok(true) };
        if sweep.swept.rows >= sweep.budget.rows {
            sweep.swept.more = true;
            return Ok(true);
        }
        self.keep_time(window.end())?;
        let _still = self.table_still.lock();
        let handled = self.sweep_revised(window, settled, &mut sweeper.refiled)?;
        sweep.swept.rows += handled.removed;
        count(&self.counters.swept_rows, handled.removed);
        if handled.more {
            return Ok(false);
        }
        let (killed, last) = {
            let mut writer = self.writer.lock();
            (writer.windows.kill(window), writer.next_sequence - 1)
        };
        let Some(rows) = killed else {
            // A row of it is being written, or extended, at this moment: once that is done the
            // window is looked at again.
            self.wait_durable(last).wait()?;
            return Ok(false);
        };
        count(&self.counters.dead_entries, rows);
        count(&self.counters.swept_rows, rows);
        sweep.swept.rows += rows;
        sweep.swept.windows += 1;
        sweeper.dead.push_back(window);
        Ok(false)
    }

    /// Looks at some of the revised rows filed under an ended window: the extended ones are filed
    /// anew where they die now, the others are removed.
    fn sweep_revised(
        &self,
        window: Window,
        settled: Timestamp,
        refiled: &mut Refiled,
    ) -> Result<Handled> {
        let ended = self.table.read(|transaction| {
            let deaths = transaction.open_table(DEATHS).map_err(failed)?;
            let rows = transaction.open_table(ROWS).map_err(failed)?;
            let range = table::death_key(window, &Key::MIN)..=table::death_key(window, &Key::MAX);
            let mut ended = Vec::new();
            for entry in deaths.range(range).map_err(failed)?.take(SLICE_ROWS) {
                let (death, _) = entry.map_err(failed)?;
                let key = table::key_of(&death.value()).ok_or_else(damaged)?;
                let value = rows.get(key.to_bytes()).map_err(failed)?.ok_or_else(damaged)?;
                let filed = table::read_filed(&key, value.value())?;
                ended.push(Ended { key, filed, replaced: false });
            }
            Ok(ended)
        })?;
        if ended.is_empty() {
            return Ok(Handled::default());
        }
        let more = ended.len() == SLICE_ROWS;
        let (mut extended, mut gone) = (Vec::new(), Vec::new());
        for mut ended in ended {
            ended.replaced = self.is_replaced(&ended.key)?;
            let later = ended.filed.row.expires_at() >= window.end().max(settled);
            // A version that the log has replaced must not outlive the one that did (P2).
            let stays = later && !ended.replaced;
            if stays { &mut extended } else { &mut gone }.push(ended);
        }
        let removed = self.unindex(&gone, window);
        let filed = self.write_table(|transaction| {
            let mut filing = Filing::new(transaction, REFILED)?;
            for ended in &gone {
                filing.remove_ended(&ended.filed)?;
            }
            let filed = refile(&mut filing, &extended, settled)?;
            filing.finish()?;
            Ok(filed)
        })?;
        refiled.rows.extend(filed.into_iter().map(|filed| (window, filed)));
        self.settle_refiled(refiled)?;
        Ok(Handled { removed, more })
    }

    /// Points the index at rows that were filed anew. What fails is done by the next piece.
    fn settle_refiled(&self, refiled: &mut Refiled) -> Result<()> {
        while let Some((from, filed)) = refiled.rows.last() {
            if !self.move_filed(&filed.row.key(), *from, filed.window)? {
                refiled.replaced.push(filed.clone());
            }
            refiled.rows.pop();
        }
        self.remove_replaced(&refiled.replaced)?;
        refiled.replaced.clear();
        Ok(())
    }

    /// Takes removed rows out of the index before they leave the table, so that no look-up finds
    /// an entry without its row.
    fn unindex(&self, gone: &[Ended], window: Window) -> u64 {
        let mut removed = Vec::with_capacity(gone.len());
        for Ended { key, filed: Filed { row, .. }, replaced } in gone {
            let tag = self.index.tag(key);
            let place = self.index.change(tag, |shard| {
                let filed = shard.places(tag).find(|place| self.filed_under(*place, window));
                // An entry that an open has found beside a later version dies with the window.
                let filed = filed.filter(|_| !replaced);
                if let Some(place) = filed {
                    shard.remove(tag, place);
                }
                if shard.places(tag).any(|place| !self.slots.is_dead(place.slot())) {
                    // A later version is in the log: from now on its terms are known there.
                    let mut young = self.young_terms.lock();
                    young.extend(row.terms().iter().map(|term| (term, *key)));
                } else {
                    shard.live.remove(tag, key);
                }
                filed
            });
            removed.extend(place.flatten().map(|place| (place, *key)));
        }
        let mut writer = self.writer.lock();
        for (place, key) in &removed {
            writer.windows.remove(place.slot(), key.kind);
        }
        removed.len() as u64
    }

    /// Takes out of the table what was replaced by the log while it was filed anew.
    fn remove_replaced(&self, replaced: &[Filed]) -> Result<()> {
        if replaced.is_empty() {
            return Ok(());
        }
        let last = self.writer.lock().next_sequence - 1;
        self.wait_durable(last).wait()?;
        self.write_table(|transaction| {
            let mut filing = Filing::new(transaction, REFILED)?;
            for Filed { row, .. } in replaced {
                let key = row.key();
                // After a failed try the version that replaced it may have been carried.
                let there = filing.filed(&key)?;
                let there = there.filter(|there| there.row.version() == row.version());
                let Some(there) = there else { continue };
                self.young_terms.lock().extend(row.terms().iter().map(|term| (term, key)));
                filing.remove(&there)?;
            }
            filing.finish()
        })
    }

    /// Points the index at the window that a row was filed anew in; false if the log has replaced
    /// the row, or is about to.
    fn move_filed(&self, key: &Key, from: Window, to: Window) -> Result<bool> {
        let tag = self.index.tag(key);
        loop {
            let changes = self.index.read(tag, Shard::changes);
            if self.is_replaced(key)? {
                return Ok(false);
            }
            let mut writer = self.writer.lock();
            if writer.pending(tag, key).is_some() {
                return Ok(false);
            }
            if self.index.read(tag, Shard::changes) != changes {
                continue;
            }
            let slot = writer.windows.slot(to)?;
            let moved = self.index.change(tag, |shard| {
                let place = shard.places(tag).find(|place| self.filed_under(*place, from))?;
                shard.live.move_to(tag, key, slot);
                shard.replace(tag, place, Place::new(slot, Where::ById)).then_some(place)
            });
            if let Some(place) = moved.flatten() {
                writer.windows.remove(place.slot(), key.kind);
                writer.windows.add(slot, key.kind);
            }
            return Ok(true);
        }
    }

    /// True if the log has a durable version of a row that the table has as well.
    fn is_replaced(&self, key: &Key) -> Result<bool> {
        let tag = self.index.tag(key);
        let live = |place: &Place| !self.slots.is_dead(place.slot());
        let places: Vec<Place> = self
            .index
            .read(tag, |shard| shard.places(tag).filter(live).collect())
            .unwrap_or_default();
        for place in places.into_iter().filter(|place| matches!(place.at(), Where::Log { .. })) {
            if self.row_at(key, place)?.is_some_and(|row| row.key() == *key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn filed_under(&self, place: Place, window: Window) -> bool {
        place.at() == Where::ById && self.slots.window(place.slot()) == Some(window)
    }

    /// Passes over windows that the table holds nothing of.
    fn pass_empty(&self, dead: &mut VecDeque<Window>) -> Result<()> {
        self.table.read(|transaction| {
            let tags = transaction.open_table(TAGS).map_err(failed)?;
            let terms = transaction.open_table(TERMS).map_err(failed)?;
            while let Some(window) = dead.front() {
                if tags.range(blocks_of(*window)).map_err(failed)?.next().is_some()
                    || terms.range(terms_of(*window)).map_err(failed)?.next().is_some()
                {
                    break;
                }
                dead.pop_front();
            }
            Ok(())
        })
    }
}

#[derive(Debug, Default)]
struct Handled {
    removed: u64,
    more: bool,
}

/// Files rows anew in the windows in which they die now; answers how they are filed.
fn refile(filing: &mut Filing<'_>, extended: &[Ended], settled: Timestamp) -> Result<Vec<Filed>> {
    let mut refiled = Vec::with_capacity(extended.len());
    for Ended { filed, .. } in extended {
        let window = Window::of(filed.row.expires_at(), settled);
        filing.put(window, &filed.row, Some(filed))?;
        let batch = if window == filed.window { filed.batch } else { REFILED };
        refiled.push(Filed { window, batch, row: filed.row.clone() });
    }
    Ok(refiled)
}

/// What a table commit may still cut.
struct Room {
    blocks: usize,
    terms: usize,
}

/// Cuts what there is room for of a window; true once nothing of it is left.
fn cut_window(transaction: &WriteTransaction, window: Window, room: &mut Room) -> Result<bool> {
    // Not even a look: a slice of nothing has no end.
    if room.blocks == 0 || room.terms == 0 {
        return Ok(false);
    }
    let mut tags = transaction.open_table(TAGS).map_err(failed)?;
    let mut blocks = transaction.open_table(BLOCKS).map_err(failed)?;
    let mut terms = transaction.open_table(TERMS).map_err(failed)?;
    let of_window = blocks_of(window);
    let more_blocks = slice_end(&tags, of_window.clone(), room.blocks)?;
    let slice = *of_window.start()..=more_blocks.unwrap_or(*of_window.end());
    tags.retain_in(slice.clone(), |_, _| {
        room.blocks = room.blocks.saturating_sub(1);
        keep_none()
    })
    .map_err(failed)?;
    blocks.retain_in(slice, |_, _| keep_none()).map_err(failed)?;
    let of_window = terms_of(window);
    let more_terms = slice_end(&terms, of_window.clone(), room.terms)?;
    let slice = *of_window.start()..=more_terms.unwrap_or(*of_window.end());
    terms
        .retain_in(slice, |_, ()| {
            room.terms = room.terms.saturating_sub(1);
            keep_none()
        })
        .map_err(failed)?;
    Ok(more_blocks.is_none() && more_terms.is_none())
}

fn blocks_of(window: Window) -> RangeInclusive<BlockKey> {
    table::block_key(window, 0)..=table::block_key(window, u64::MAX)
}

fn terms_of(window: Window) -> RangeInclusive<TermKey> {
    let last = table::term_key(window, u64::MAX, Term::MAX, &Key::MAX);
    table::term_key(window, 0, Term::MIN, &Key::MIN)..=last
}

/// Keeps nothing of a range.
fn keep_none() -> bool {
    courtesy::step();
    false
}

/// The key at which a slice of `len` entries of a range ends; `None` if there are no more.
fn slice_end<const N: usize, V: redb::Value + 'static>(
    table: &redb::Table<'_, [u8; N], V>,
    range: RangeInclusive<[u8; N]>,
    len: usize,
) -> Result<Option<[u8; N]>> {
    let entry = table.range(range).map_err(failed)?.nth(len - 1);
    Ok(entry.transpose().map_err(failed)?.map(|(key, _)| key.value()))
}

fn damaged() -> Error {
    Error::corrupt(format!("the table's deaths do not fit its rows: {ADVICE}"))
}
