//! Finding rows: in memory, in the log, in the table.

use super::backup::ADVICE;
use super::core::Core;
use super::place::{Place, Slot, Where};
use super::shard::Shard;
use super::table::Filed;
use super::window::Window;
use crate::backend::{Key, PAGE_ROWS_MAX, Page, Row, Term};
use crate::error::{Error, Result};
use crate::sabotage::{self, Flaw};

/// A place that has moved on is looked up again this often before it counts as damage; each move
/// is a checkpoint's, so more than one in a look-up is rare.
const TRIES: usize = 64;

/// What a look at the shard of a key tells.
enum Seen {
    Row(Row),
    Nothing,
    Places(Vec<Place>, u64),
}

/// A row fetched from where the index says it is.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) key: Key,
    /// The row, a tombstone included; `None` if the tag belongs to other keys only.
    pub(crate) row: Option<Row>,
    /// The slot of the window that the row is filed under.
    pub(crate) slot: Option<Slot>,
    /// The shard's count of changes when the places were read.
    pub(crate) changes: u64,
}

impl Core {
    /// The durable row under `key`.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Row>> {
        self.check_readable()?;
        let tag = self.index.tag(key);
        let row = match self.look(tag, key) {
            Seen::Row(row) => Some(row),
            Seen::Nothing => None,
            Seen::Places(..) => self.fetch(tag, key)?.row,
        };
        Ok(row.filter(|row| !row.is_tombstone()))
    }

    /// Fetches the durable row under `key` from log or table, and keeps it in memory.
    ///
    /// Places are read without a lock. Meanwhile a window may be swept, and its slot, its blocks,
    /// and a segment's file may get other rows: what a read says then, damage included, is said of
    /// those. Each of these changes the shard first. So nothing but a row of the key itself is
    /// believed unless the shard is as it was when the places were looked up.
    pub(crate) fn fetch(&self, tag: u64, key: &Key) -> Result<Fetched> {
        let mut failed = None;
        for _ in 0..TRIES {
            let (places, changes) = match self.look(tag, key) {
                Seen::Places(places, changes) => (places, changes),
                // Whoever asked under the lock finds the same there now.
                Seen::Row(row) => {
                    let (row, slot, changes) = (Some(row), None, u64::MAX);
                    return Ok(Fetched { key: *key, row, slot, changes });
                }
                Seen::Nothing => {
                    return Ok(Fetched { key: *key, row: None, slot: None, changes: u64::MAX });
                }
            };
            let read = self.read_places(tag, key, places, changes);
            let found = read.as_ref().is_ok_and(|(best, moved)| best.is_some() && !moved);
            let as_seen = self.index.read(tag, Shard::changes) == Some(changes)
                || sabotage::is(Flaw::MovedTakenForDamage);
            let best = match read {
                Ok((best, false)) if found || as_seen => best,
                Ok(_) => continue,
                Err(error) if as_seen => return Err(error),
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            if let Some((row, place)) = &best {
                self.index.change(tag, |shard| {
                    let place = if sabotage::is(Flaw::StaleKept) {
                        shard.places(tag).next()
                    } else {
                        Some(*place).filter(|_| shard.changes() == changes)
                    };
                    if let Some(place) = place {
                        shard.keep(tag, place, row);
                    }
                });
            }
            let (row, place) = best.unzip();
            return Ok(Fetched { key: *key, row, slot: place.map(Place::slot), changes });
        }
        Err(failed.unwrap_or_else(|| {
            Error::corrupt(format!("{key:?} is in the index, and not where the index says"))
        }))
    }

    /// The latest version of `key` in these places, which the shard had at so many `changes`, and
    /// whether one of them has moved on.
    fn read_places(
        &self,
        tag: u64,
        key: &Key,
        places: Vec<Place>,
        changes: u64,
    ) -> Result<(Option<(Row, Place)>, bool)> {
        let mut best: Option<(Row, Place)> = None;
        let mut moved = false;
        let (by_id, places): (Vec<_>, Vec<_>) =
            places.into_iter().partition(|place| place.at() == Where::ById);
        for place in places {
            match self.row_at(key, place)? {
                None => moved |= !self.slots.is_dead(place.slot()),
                Some(row) if row.key() != *key => {}
                Some(row) => {
                    let newer = |(held, _): &(Row, Place)| held.version() < row.version();
                    if best.as_ref().is_none_or(newer) {
                        best = Some((row, place));
                    }
                }
            }
        }
        match self.row_by_id(key, &by_id)? {
            Some((row, _))
                if best.as_ref().is_some_and(|(held, _)| held.version() >= row.version()) => {}
            Some(found) => best = Some(found),
            // An entry by id has its row in the table for as long as it is there: without it the
            // entry has gone meanwhile, or is another key's, or the table is damaged.
            None if !by_id.is_empty() => {
                let gone = self.index.read(tag, Shard::changes) != Some(changes);
                let window = |place: &Place| self.slots.window(place.slot());
                let windows: Vec<Window> = by_id.iter().filter_map(window).collect();
                if !gone && best.is_none() && self.table.look(|view| view.is_lost(key, &windows))? {
                    return Err(Error::corrupt(format!("{key:?} is missing in the table")));
                }
                moved |= gone;
            }
            None => {}
        }
        Ok((best, moved))
    }

    /// The row that the table has under the key's own id, and which of the places by id under its
    /// tag is its own: that of the window it is filed under, or the one that ends last while it is
    /// being filed anew.
    pub(crate) fn row_by_id(&self, key: &Key, places: &[Place]) -> Result<Option<(Row, Place)>> {
        if places.is_empty() {
            return Ok(None);
        }
        let Some(Filed { window: filed, row, .. }) = self.table.look(|view| view.filed(key))?
        else {
            return Ok(None);
        };
        let window = |place: &Place| self.slots.window(place.slot());
        let own = places.iter().find(|place| window(place) == Some(filed));
        let last = || places.iter().max_by_key(|place| window(place).map(Window::turn));
        Ok(own.or_else(last).map(|place| (row, *place)))
    }

    /// The row at a place, whichever key it has; `None` if the place has moved on.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for one that is damaged, or whose key has
    /// another tag: it was led to by something that is.
    pub(crate) fn row_at(&self, key: &Key, place: Place) -> Result<Option<Row>> {
        let row = match place.at() {
            Where::Log { segment, offset } => self.segments.row(segment, offset)?,
            at => match self.slots.window(place.slot()) {
                Some(window) => self.table.look(|view| view.row(key, window, at))?,
                None => None,
            },
        };
        match row {
            Some(row) if self.index.tag(&row.key()) != self.index.tag(key) => {
                let what = format!("the row of {key:?} is not where the index says");
                Err(Error::corrupt(format!("{what}: {ADVICE}")))
            }
            row => Ok(row),
        }
    }

    /// Those of `places` that hold a version of `key`: tags meet. Of several under the key's own id
    /// only one is its own.
    pub(crate) fn places_of(&self, key: &Key, places: Vec<Place>) -> Result<Vec<Place>> {
        let (by_id, mut ours): (Vec<_>, Vec<_>) =
            places.into_iter().partition(|place| place.at() == Where::ById);
        let mut failed = None;
        ours.retain(|place| match self.row_at(key, *place) {
            Ok(row) => row.is_some_and(|row| row.key() == *key),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        // A version by id that the log has replaced is in the table still, and not in the index.
        if !ours.is_empty() || by_id.is_empty() {
            return Ok(ours);
        }
        if let Some(filed) = self.table.look(|view| view.filed(key))? {
            let own = |place: &&Place| self.slots.window(place.slot()) == Some(filed.window);
            ours.extend(by_id.iter().find(own));
        }
        Ok(ours)
    }

    fn look(&self, tag: u64, key: &Key) -> Seen {
        let seen = self.index.read(tag, |shard| {
            if let Some((row, slot)) = shard.kept(tag, key)
                && !self.slots.is_dead(slot)
            {
                return Seen::Row(row);
            }
            let live = |place: &Place| !self.slots.is_dead(place.slot());
            let mut places = shard.places(tag).filter(live).peekable();
            if places.peek().is_none() {
                return Seen::Nothing;
            }
            Seen::Places(places.collect(), shard.changes())
        });
        seen.unwrap_or(Seen::Nothing)
    }

    /// One page of the rows that carry `term`, from log and table together.
    pub(crate) fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
        self.check_readable()?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut page = Page::default();
        let mut after = after;
        loop {
            // One more than wanted, so that the last page is known to be the last.
            let keys = self.keys(term, after, limit + 1)?;
            let more = keys.len() > limit;
            for key in keys {
                if page.rows.len() == limit {
                    page.next = page.rows.last().map(Row::key);
                    return Ok(page);
                }
                after = Some(key);
                // A key deleted and inserted anew may carry other terms than before.
                let row = self.find(&key)?;
                page.rows.extend(row.filter(|row| row.terms().iter().any(|own| own == term)));
            }
            if !more {
                return Ok(page);
            }
        }
    }

    /// Up to `limit` keys that carry `term`, after `after`, each once and in order.
    fn keys(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Vec<Key>> {
        let first = (term, after.unwrap_or(Key::MIN));
        let mut keys: Vec<Key> = {
            // The young ones first: a row carried in between is found in the table, not missed.
            let young = self.young_terms.lock();
            let range = young.range(first..=(term, Key::MAX)).map(|(_, key)| *key);
            range.filter(|key| Some(*key) != after).take(limit).collect()
        };
        keys.extend(self.table.look(|view| view.keys(term, after, limit))?);
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(limit);
        Ok(keys)
    }
}
