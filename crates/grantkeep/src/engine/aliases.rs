//! Aliases: entries of the table's versions of rows that the log has replaced. Only an open finds
//! them, since it does not read the table's rows; they go when their row is carried.

use super::core::Core;
use super::index::Shard;
use super::place::{Place, Where};
use super::window::Window;
use crate::backend::{Key, Row};
use crate::error::Result;

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
    /// one at `from`.
    pub(crate) fn drop_aliases(
        &self,
        tag: u64,
        key: &Key,
        from: Place,
        filed: Option<Window>,
    ) -> Result<()> {
        let found = {
            let mut aliases = self.aliases.lock();
            !aliases.is_empty() && aliases.remove(&self.index.hash(key))
        };
        if !found {
            return Ok(());
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
            self.places_of(key, others.into_iter().filter(|place| place.is_in_block()).collect())?
        };
        for alias in aliases {
            self.take_away(tag, key, alias);
        }
        Ok(())
    }

    /// Takes an entry out of the index and off the count of its window; false if it is gone.
    fn take_away(&self, tag: u64, key: &Key, alias: Place) -> bool {
        let removed = self.index.change(tag, |shard| shard.remove(tag, alias)) == Some(true);
        if removed {
            self.writer.lock().windows.remove(alias.slot(), key.kind);
        }
        removed
    }
}
