//! Cutting windows that have ended: no row is searched for or deleted one by one, but for the
//! revised ones (`refile.rs`), which are looked at in the order of their deaths.

use super::core::{Core, count};
use super::courtesy;
use super::keeper::HOLD;
use super::place::{SLOTS, Slot};
use super::refile::Refiled;
use super::requests::Begun;
use super::table::{self, BLOCKS, BlockKey, LATER, TAGS, TERMS, TermKey, failed};
use super::window::Window;
use crate::backend::{Budget, Key, Swept, Term};
use crate::error::Result;
use crate::sabotage::{self, Flaw};
use crate::sync::{Instant, Ordering};
use crate::wait::Wait as _;
use redb::{ReadableTable as _, WriteTransaction};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Blocks that one table commit cuts, and terms for each of them. While others commit their tail is
/// as long as such a slice takes; in a store at rest the commits are most of what a sweep costs.
const SLICE_BLOCKS: usize = 100;
const SLICE_BLOCKS_AT_REST: usize = 2_000;
const TERMS_A_BLOCK: usize = 50;

/// The index is searched for entries of dead windows once they are this part of it, so that the
/// search costs each of them a fixed number of looks.
const DEAD_PART: u64 = 16;

/// Shards of the index that are searched at a time.
const FORGET_SHARDS: usize = 16;

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
        let windows = &self.writer.lock().windows;
        windows.ended(settled, paced).is_some() || windows.held_back(settled, paced).is_some()
    }

    /// Declares the window dead that has ended first, or looks at some of its revised rows before;
    /// true if there is none, or the budget is used up.
    fn end_window(&self, sweep: &mut Sweep, sweeper: &mut Sweeper) -> Result<bool> {
        let (settled, paced) = (self.time.settled(), self.time.paced());
        // An idle sweep is this comparison.
        let (held_back, ended) = {
            let windows = &self.writer.lock().windows;
            (windows.held_back(settled, paced), windows.ended(settled, paced))
        };
        let Some(window) = held_back.or(ended.map(|(window, _)| window)) else { return Ok(true) };
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
        if held_back.is_some() {
            self.writer.lock().windows.note_cleared(window);
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

    /// Passes over windows that the table holds nothing of.
    fn pass_empty(&self, dead: &mut VecDeque<Window>) -> Result<()> {
        self.table.read(|transaction| {
            let blocks = transaction.open_table(BLOCKS).map_err(failed)?;
            let terms = transaction.open_table(TERMS).map_err(failed)?;
            while let Some(window) = dead.front() {
                if blocks.range(blocks_of(*window)).map_err(failed)?.next().is_some()
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
    let mut blocks = transaction.open_table(BLOCKS).map_err(failed)?;
    let mut terms = transaction.open_table(TERMS).map_err(failed)?;
    let of_window = blocks_of(window);
    let more_blocks = slice_end(&blocks, of_window.clone(), room.blocks)?;
    let slice = *of_window.start()..=more_blocks.unwrap_or(*of_window.end());
    for all_tags in [TAGS, LATER] {
        let mut tags = transaction.open_table(all_tags).map_err(failed)?;
        tags.retain_in(slice.clone(), |_, _| {
            room.blocks = room.blocks.saturating_sub(1);
            keep_none()
        })
        .map_err(failed)?;
    }
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
