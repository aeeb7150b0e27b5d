//! Aliases: entries of the table's versions of rows that the log has replaced. Only an open finds
//! them, since it does not read the table's rows; they go when their row is carried.

use super::core::Core;
use super::place::{Place, Where};
use super::shard::Shard;
use super::tag::Tags;
use super::window::Window;
use super::writer::Item;
use crate::backend::{Key, Row};
use crate::error::Result;
use crate::sabotage::{self, Flaw};
use std::ops::DerefMut;

/// A key that is about to get another version, and under whose tag several rows lie.
pub(crate) struct Meeting {
    key: Key,
    /// The places under the tag, and the shard's count of changes when they were.
    places: Vec<Place>,
    changes: u64,
}

/// Which of the places under its tag are the key's own: to be replaced by its next version.
pub(crate) struct Resolved {
    key: Key,
    /// `None` where they could not be read.
    before: Option<Vec<Place>>,
    /// The shard's count of changes at which this holds.
    changes: u64,
}

impl Core {
    /// Takes away the entries of older versions in blocks that the last open found beside rows
    /// that are carried now, and has them struck out: a deletion must not be outlived by what it
    /// deletes.
    pub(crate) fn note_aliases<'r>(
        &self,
        current: impl Iterator<Item = (u64, &'r Row)>,
    ) -> Result<()> {
        if self.aliases.lock().is_empty() {
            return Ok(());
        }
        for (tag, row) in current {
            let key = row.key();
            if !self.aliases.lock().contains(&self.index.hash(&key)) {
                continue;
            }
            let in_blocks = |shard: &Shard| {
                shard.places(tag).filter(|place| place.is_in_block()).collect::<Vec<_>>()
            };
            let blocks = self.index.read(tag, in_blocks).unwrap_or_default();
            for alias in self.places_of(&key, blocks)? {
                if self.take_away(tag, &key, alias) {
                    self.strike_later(alias);
                }
            }
        }
        Ok(())
    }

    /// Takes away the entries of older versions that the last open found in the table beside the
    /// one at `from`. What cannot be read is left to [`Core::tidy_unread`].
    pub(crate) fn drop_aliases(&self, tag: u64, key: &Key, from: Place, filed: Option<Window>) {
        let hash = self.index.hash(key);
        let found = {
            let mut aliases = self.aliases.lock();
            !aliases.is_empty() && aliases.remove(&hash)
        };
        if !found {
            return;
        }
        let places: Vec<Place> =
            self.index.read(tag, |shard| shard.places(tag).collect()).unwrap_or_default();
        let others: Vec<Place> = places.into_iter().filter(|place| *place != from).collect();
        let aliases = if key.kind.is_revised() {
            let under = |place: &&Place| {
                place.at() == Where::ById && self.slots.window(place.slot()) == filed
            };
            others.iter().filter(|_| filed.is_some()).find(under).copied().into_iter().collect()
        } else {
            let blocks = others.into_iter().filter(|place| place.is_in_block()).collect();
            self.places_of(key, blocks).unwrap_or_else(|_| {
                self.aliases.lock().insert(hash);
                self.unread.lock().push(*key);
                Vec::new()
            })
        };
        for alias in aliases {
            self.take_away(tag, key, alias);
        }
    }

    /// The places under a tag whose windows are not swept.
    pub(crate) fn live_places(&self, shard: &Shard, tag: u64) -> Vec<Place> {
        shard.places(tag).filter(|place| !self.slots.is_dead(place.slot())).collect()
    }

    /// The keys among `items` of which it must be read which places are their own. None of them
    /// once all are `resolved`, and their shards have not changed since.
    pub(crate) fn meetings(
        &self,
        shards: &[(usize, impl DerefMut<Target = Shard>)],
        items: &[Item],
        resolved: &[Resolved],
    ) -> Vec<Meeting> {
        let meeting = |item: &Item| {
            let (tag, key) = (item.tag, item.row.key());
            let number = Tags::shard(tag);
            let (_, shard) = shards.iter().find(|(held, _)| *held == number)?;
            let (places, changes) = (self.live_places(shard, tag), shard.changes());
            (places.len() > 1).then_some(Meeting { key, places, changes })
        };
        let replacing = items.iter().filter(|item| item.prior.is_some());
        let met: Vec<Meeting> = replacing.filter_map(meeting).collect();
        let is_known = |met: &Meeting| {
            resolved.iter().any(|own| own.key == met.key && own.changes == met.changes)
        };
        if met.iter().all(is_known) { Vec::new() } else { met }
    }

    /// The places that the next version of an item's row takes the place of. What was `resolved`
    /// holds only while the shard is as it was then: a row that has moved to one place since meets
    /// nobody any more, and is where it is now.
    pub(crate) fn before(
        &self,
        shards: &[(usize, impl DerefMut<Target = Shard>)],
        item: &Item,
        resolved: &[Resolved],
    ) -> Vec<Place> {
        let (tag, key) = (item.tag, item.row.key());
        if item.prior.is_none() {
            return Vec::new();
        }
        let number = Tags::shard(tag);
        let Some((_, shard)) = shards.iter().find(|(held, _)| *held == number) else {
            return Vec::new();
        };
        let holds = |own: &&Resolved| {
            own.key == key
                && (own.changes == shard.changes() || sabotage::is(Flaw::MovedPlacesBelieved))
        };
        let Some(own) = resolved.iter().find(holds) else { return self.live_places(shard, tag) };
        let Some(before) = &own.before else { return Vec::new() };
        // Not earlier: whoever carries the row has looked after its aliases until now.
        self.aliases.lock().remove(&self.index.hash(&key));
        before.clone()
    }

    /// Reads which places are the keys' own. Where a read fails, the older versions stay beside the
    /// new one, and look-ups take the newest, until [`Core::tidy_unread`] has read them.
    pub(crate) fn resolve(&self, met: Vec<Meeting>) -> Vec<Resolved> {
        let resolve = |Meeting { key, places, changes }| {
            let before = self.places_of(&key, places).ok();
            if before.is_none() {
                self.aliases.lock().insert(self.index.hash(&key));
                self.unread.lock().push(key);
            }
            Resolved { key, before, changes }
        };
        met.into_iter().map(resolve).collect()
    }

    /// Takes away the older versions that a publish could not read. It comes before anything is
    /// carried: what was carried could not be told from the latest version (P2).
    ///
    /// # Errors
    /// Whatever kept a row from being read: nothing is carried then.
    pub(crate) fn tidy_unread(&self) -> Result<()> {
        let mut keys = std::mem::take(&mut *self.unread.lock());
        while let Some(key) = keys.last() {
            if let Err(cause) = self.tidy(key) {
                self.unread.lock().append(&mut keys);
                return Err(cause);
            }
            keys.pop();
        }
        Ok(())
    }

    fn tidy(&self, key: &Key) -> Result<()> {
        let tag = self.index.tag(key);
        loop {
            let look = |shard: &Shard| (self.live_places(shard, tag), shard.changes());
            let (places, changes) = self.index.read(tag, look).unwrap_or_default();
            let mut own = Vec::new();
            for place in self.places_of(key, places)? {
                let row = match place.at() {
                    Where::ById => self.row_by_id(key, &[place])?.map(|(row, _)| row),
                    _ => self.row_at(key, place)?,
                };
                own.extend(row.map(|row| (row.version(), row.is_tombstone(), place)));
            }
            own.sort_unstable_by_key(|(version, ..)| *version);
            own.pop();
            let removed = self.index.change(tag, |shard| {
                let same = shard.changes() == changes;
                if same {
                    for (.., place) in &own {
                        shard.remove(tag, key, *place);
                    }
                }
                same
            });
            if removed == Some(false) {
                continue;
            }
            self.aliases.lock().remove(&self.index.hash(key));
            for (_, is_tombstone, place) in own {
                self.strike_later(place);
                if !is_tombstone {
                    self.writer.lock().windows.remove(place.slot(), key.kind);
                }
            }
            return Ok(());
        }
    }

    /// Takes an entry out of the index and off the count of its window; false if it is gone.
    fn take_away(&self, tag: u64, key: &Key, alias: Place) -> bool {
        let removed = self.index.change(tag, |shard| shard.remove(tag, key, alias)) == Some(true);
        if removed {
            self.writer.lock().windows.remove(alias.slot(), key.kind);
        }
        removed
    }
}
