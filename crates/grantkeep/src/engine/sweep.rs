//! Cutting windows that have ended: no row is searched for or deleted one by one, but for the
//! revised ones, which are looked at in the order of their deaths.

use super::core::{Core, count};
use super::index::Shard;
use super::place::{Place, SLOTS, Where};
use super::table::filing::Filing;
use super::table::{self, BLOCKS, DEATHS, ROWS, TAGS, failed};
use super::window::Window;
use crate::backend::{Budget, Key, Row, Swept};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::sync::Ordering;
use crate::wait::Wait as _;
use redb::{ReadableTable as _, WriteTransaction};

/// Revised rows, or blocks, that one table commit handles at most.
const SLICE_ROWS: usize = 2_000;
const SLICE_BLOCKS: usize = 1_000;

/// The index is searched for entries of dead windows once they are this part of it, so that the
/// search costs each of them a fixed number of looks.
const DEAD_PART: u64 = 16;

/// A revised row whose window has ended: what the table holds of it.
struct Ended {
    key: Key,
    row: Row,
    /// True if the log has a later version.
    replaced: bool,
}

impl Core {
    /// Cuts windows that have ended, within the budget.
    pub(crate) fn sweep(&self, budget: Budget) -> Result<Swept> {
        let mut swept = Swept::default();
        let settled = self.time.settled();
        loop {
            // An idle sweep is this one comparison.
            let Some((window, _)) = self.writer.lock().windows.ended(settled) else { break };
            if swept.rows >= budget.rows {
                swept.more = true;
                break;
            }
            self.keep_time(window.end())?;
            let handled = self.sweep_revised(window, settled)?;
            swept.rows += handled.removed;
            if handled.more {
                continue;
            }
            let (killed, last) = {
                let mut writer = self.writer.lock();
                (writer.windows.kill(window), writer.next_sequence - 1)
            };
            let Some(rows) = killed else {
                // A row of it is being written, or extended, at this moment: once that is done
                // the window is looked at again.
                self.wait_durable(last).wait()?;
                continue;
            };
            count(&self.counters.dead_entries, rows);
            swept.rows += rows;
            swept.windows += 1;
            self.cut_blocks(window, settled)?;
        }
        count(&self.counters.swept_rows, swept.rows);
        self.forget_dead();
        Ok(swept)
    }

    /// Looks at some of the revised rows filed under an ended window: the extended ones are filed
    /// anew where they die now, the others are removed.
    fn sweep_revised(&self, window: Window, settled: Timestamp) -> Result<Handled> {
        let ended = self.table.read(|transaction| {
            let deaths = transaction.open_table(DEATHS).map_err(failed)?;
            let rows = transaction.open_table(ROWS).map_err(failed)?;
            let range = table::death_key(window, &Key::MIN)..=table::death_key(window, &Key::MAX);
            let mut ended = Vec::new();
            for entry in deaths.range(range).map_err(failed)?.take(SLICE_ROWS) {
                let (death, _) = entry.map_err(failed)?;
                let key = table::key_of(&death.value()).ok_or_else(damaged)?;
                let value = rows.get(key.to_bytes()).map_err(failed)?.ok_or_else(damaged)?;
                let (_, row) = table::read_filed(&key, value.value())?;
                ended.push(Ended { key, row, replaced: false });
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
            let later = ended.row.expires_at() >= window.end().max(settled);
            // A version that the log has replaced must not outlive the one that did (P2).
            let stays = later && !ended.replaced;
            if stays { &mut extended } else { &mut gone }.push(ended);
        }
        let removed = self.unindex(&gone, window);
        let refiled = self.table.write(|transaction| {
            remove(transaction, gone.iter().map(|ended| (ended, window)))?;
            refile(transaction, &extended, window, settled)
        })?;
        let mut replaced = Vec::new();
        for (ended, to) in extended.into_iter().zip(refiled) {
            if !self.move_filed(&ended.key, window, to)? {
                replaced.push((ended, to));
            }
        }
        self.remove_replaced(&replaced)?;
        Ok(Handled { removed, more })
    }

    /// Takes removed rows out of the index before they leave the table, so that no look-up finds
    /// an entry without its row.
    fn unindex(&self, gone: &[Ended], window: Window) -> u64 {
        let mut removed = Vec::with_capacity(gone.len());
        for Ended { key, row, replaced } in gone {
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
    fn remove_replaced(&self, replaced: &[(Ended, Window)]) -> Result<()> {
        if replaced.is_empty() {
            return Ok(());
        }
        let last = self.writer.lock().next_sequence - 1;
        self.wait_durable(last).wait()?;
        for (Ended { key, row, .. }, _) in replaced {
            self.young_terms.lock().extend(row.terms().iter().map(|term| (term, *key)));
        }
        self.table.write(|transaction| {
            remove(transaction, replaced.iter().map(|(ended, to)| (ended, *to)))
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
        for place in places.into_iter().filter(|place| place.at() != Where::ById) {
            if self.row_at(key, place)?.is_some_and(|row| row.key() == *key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn filed_under(&self, place: Place, window: Window) -> bool {
        place.at() == Where::ById && self.slots.window(place.slot()) == Some(window)
    }

    /// Cuts the blocks of a window, unread, as one range of keys.
    fn cut_blocks(&self, window: Window, settled: Timestamp) -> Result<()> {
        let range = || table::block_key(window, 0)..=table::block_key(window, u64::MAX);
        loop {
            let numbers = self.table.read(|transaction| {
                let tags = transaction.open_table(TAGS).map_err(failed)?;
                let mut keys = tags.range(range()).map_err(failed)?;
                let first = keys.next().transpose().map_err(failed)?;
                Ok(first.is_some().then(|| 1 + keys.take(SLICE_BLOCKS).count()))
            })?;
            let Some(blocks) = numbers else { return Ok(()) };
            self.table.write(|transaction| {
                let mut tags = transaction.open_table(TAGS).map_err(failed)?;
                let last = match tags.range(range()).map_err(failed)?.nth(SLICE_BLOCKS - 1) {
                    Some(entry) => entry.map_err(failed)?.0.value(),
                    None => table::block_key(window, u64::MAX),
                };
                let slice = || table::block_key(window, 0)..=last;
                tags.retain_in(slice(), |_, _| false).map_err(failed)?;
                let mut blocks = transaction.open_table(BLOCKS).map_err(failed)?;
                blocks.retain_in(slice(), |_, _| false).map_err(failed)?;
                table::set_high_water(transaction, settled)
            })?;
            if blocks <= SLICE_BLOCKS {
                return Ok(());
            }
        }
    }

    /// Searches the index for entries of dead windows, once there are enough of them.
    fn forget_dead(&self) {
        let entries = self.counters.dead_entries.load(Ordering::Relaxed);
        let dead = self.writer.lock().windows.dead();
        let due = entries * DEAD_PART >= self.index.len() || dead.len() > SLOTS / 4;
        if dead.is_empty() || !due {
            return;
        }
        self.index.forget(|slot| dead.binary_search(&slot).is_ok());
        self.counters.dead_entries.store(0, Ordering::Relaxed);
        self.writer.lock().windows.forget(&dead);
    }
}

#[derive(Debug, Default)]
struct Handled {
    removed: u64,
    more: bool,
}

fn remove<'a>(
    transaction: &WriteTransaction,
    gone: impl Iterator<Item = (&'a Ended, Window)>,
) -> Result<()> {
    let mut filing = Filing::new(transaction)?;
    for (ended, window) in gone {
        filing.remove(window, &ended.row)?;
    }
    filing.finish()
}

/// Files rows anew in the windows in which they die now; answers those.
fn refile(
    transaction: &WriteTransaction,
    extended: &[Ended],
    from: Window,
    settled: Timestamp,
) -> Result<Vec<Window>> {
    let mut filing = Filing::new(transaction)?;
    let mut windows = Vec::with_capacity(extended.len());
    for Ended { row, .. } in extended {
        let to = Window::of(row.expires_at(), settled);
        filing.put(to, row, Some((from, row.clone())))?;
        windows.push(to);
    }
    filing.finish()?;
    Ok(windows)
}

fn damaged() -> Error {
    Error::corrupt("the table's deaths do not fit its rows: restore the store from a backup")
}
