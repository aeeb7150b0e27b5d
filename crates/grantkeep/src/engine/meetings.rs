//! Meetings: keys whose tags are equal, and which is to be replaced of the rows under the tag.
//!
//! Whoever replaces a row has to know which entry of the index is its own. Where its tag has but
//! one, it is that one. Where it has several the rows are read, without the locks.

use super::core::Core;
use super::place::{Place, Where};
use super::shard::Shard;
use super::tag::Tags;
use super::writer::Item;
use crate::backend::Key;
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
            // What was resolved holds for that moment alone, also if nobody is met any more.
            let meets = places.len() > 1 || resolved.iter().any(|own| own.key == key);
            meets.then_some(Meeting { key, places, changes })
        };
        let replacing = items.iter().filter(|item| item.prior.is_some());
        let met: Vec<Meeting> = replacing.filter_map(meeting).collect();
        let is_known = |met: &Meeting| {
            let holds = |own: &Resolved| {
                own.changes == met.changes || sabotage::is(Flaw::MovedPlacesBelieved)
            };
            resolved.iter().any(|own| own.key == met.key && holds(own))
        };
        if met.iter().all(is_known) { Vec::new() } else { met }
    }

    /// The places that the next version of an item's row takes the place of; what was `resolved`
    /// holds.
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
        match resolved.iter().find(|own| own.key == key) {
            Some(own) => own.before.clone().unwrap_or_default(),
            None => self.live_places(shard, tag),
        }
    }

    /// Reads which places are the keys' own. Where a read fails, the older versions stay beside the
    /// new one, and look-ups take the newest, until [`Core::tidy_unread`] has read them.
    pub(crate) fn resolve(&self, met: Vec<Meeting>) -> Vec<Resolved> {
        let resolve = |Meeting { key, places, changes }| {
            let before = self.places_of(&key, places).ok();
            if before.is_none() {
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
            for (_, is_tombstone, place) in own {
                if !is_tombstone {
                    self.writer.lock().windows.remove(place.slot(), key.kind);
                }
            }
            return Ok(());
        }
    }
}
