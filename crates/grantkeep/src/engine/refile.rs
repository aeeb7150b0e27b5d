//! The revised rows of a window that has ended: those that were extended are filed anew where they
//! die now, the others are removed.
//!
//! 1. Rows that are over leave the index first, so that no look-up finds an entry without its row.
//! 2. One table commit takes them out, and files the extended ones anew.
//! 3. The index is pointed at where those are now, unless the log has replaced them meanwhile: then
//!    they are taken out again.
//!
//! What fails behind the commit is kept in [`Refiled`] until it is done.

use super::backup::ADVICE;
use super::core::Core;
use super::place::{Place, Where};
use super::shard::Shard;
use super::table::filing::Filing;
use super::table::{self, DEATHS, Filed, ROWS, failed};
use super::window::Window;
use crate::backend::{Key, Row};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::wait::Wait as _;

/// Revised rows that one table commit handles at most.
const SLICE_ROWS: usize = 500;

/// The batch of terms that belong to rows which were filed anew.
const REFILED: u64 = 0;

/// A revised row whose window has ended: what the table holds of it.
struct Ended {
    key: Key,
    filed: Filed,
    /// True if the log has a later version.
    replaced: bool,
}

/// Rows that were filed anew in the table, and that the index does not find there yet. They are in
/// a window that is about to be cut as far as it knows, so this is done before any other is.
#[derive(Debug, Default)]
pub(crate) struct Refiled {
    /// The window of each before, and how it is filed now.
    rows: Vec<(Window, Filed)>,
    /// Those that the log has replaced meanwhile, to be taken out again.
    replaced: Vec<Filed>,
}

impl Refiled {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.replaced.is_empty()
    }
}

/// What came of a look at revised rows.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    pub(crate) removed: u64,
    pub(crate) more: bool,
}

impl Core {
    /// Looks at some of the revised rows filed under an ended window: the extended ones are filed
    /// anew where they die now, the others are removed.
    pub(crate) fn sweep_revised(
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
            // What these rows replaced in blocks is dead by this time alone.
            table::set_high_water(transaction, self.time.mark(), self.forgotten())?;
            Ok(filed)
        })?;
        refiled.rows.extend(filed.into_iter().map(|filed| (window, filed)));
        self.settle_refiled(refiled)?;
        Ok(Handled { removed, more })
    }

    /// Points the index at rows that were filed anew. What fails is done by the next piece.
    pub(crate) fn settle_refiled(&self, refiled: &mut Refiled) -> Result<()> {
        while let Some((from, filed)) = refiled.rows.last() {
            if !self.move_filed(&filed.row, *from, filed.window)? {
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
                // Where the log has a later version the entry is that of another key.
                let filed = filed.filter(|_| !replaced);
                if let Some(place) = filed {
                    shard.remove(tag, key, place);
                }
                let lives_on = shard.places(tag).any(|place| !self.slots.is_dead(place.slot()));
                if lives_on && filed.is_none() && !row.is_tombstone() {
                    // A later version is in the log: from now on its terms are known there.
                    let mut young = self.young_terms.lock();
                    young.extend(row.terms().iter().map(|term| (term, *key)));
                }
                filed
            });
            let counted = place.flatten().filter(|_| !row.is_tombstone());
            removed.extend(counted.map(|place| (place, *key)));
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
    fn move_filed(&self, row: &Row, from: Window, to: Window) -> Result<bool> {
        let key = &row.key();
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
                shard.relocate(tag, key, place, Place::new(slot, Where::ById)).then_some(place)
            });
            if let Some(place) = moved.flatten().filter(|_| !row.is_tombstone()) {
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

fn damaged() -> Error {
    Error::corrupt(format!("the table's deaths do not fit its rows: {ADVICE}"))
}
