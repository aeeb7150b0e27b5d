//! Settling what was carried: the index is pointed at the table, for rows that nobody has changed
//! meanwhile, and what is dead leaves memory.

use super::core::Core;
use super::courtesy;
use super::place::Place;
use super::shard::Shard;
use super::window::Window;
use crate::backend::{Key, Row};
use crate::sabotage::{self, Flaw};

/// A row that is not needed any more, and where it is if the index still has it.
pub(crate) struct Dead {
    pub(crate) tag: u64,
    pub(crate) row: Row,
    pub(crate) from: Option<Place>,
}

/// A row that is still needed, and where it is.
pub(crate) struct Current {
    pub(crate) tag: u64,
    pub(crate) row: Row,
    pub(crate) from: Place,
    pub(crate) window: Window,
    /// True if it takes the row out of the table: a row that has died since, or a deletion that
    /// leaves nothing. The version there may be filed to die later.
    pub(crate) gone: bool,
}

/// Where a row has gone in the table.
pub(crate) struct Move {
    pub(crate) row: Current,
    pub(crate) to: Place,
}

impl Move {
    /// True if the row's window is another than before.
    fn is_refiled(&self) -> bool {
        self.to.slot() != self.row.from.slot()
    }
}

impl Core {
    /// Points the index at the table for the rows that were carried, and takes out those that are
    /// dead.
    pub(crate) fn settle(&self, moves: Vec<Move>, dead: Vec<Dead>) {
        let mut counts: Vec<(Place, Option<Place>, Key)> = Vec::new();
        let moved =
            self.index.change_each(moves, |to| to.row.tag, |shard, to| self.point(shard, to));
        for (to, moved) in moved {
            courtesy::step();
            let row = &to.row;
            if moved && !row.row.is_tombstone() && (row.gone || to.is_refiled()) {
                counts.push((row.from, Some(to.to).filter(|_| !row.gone), row.row.key()));
            }
        }
        let removed =
            self.index.change_each(dead, |dead| dead.tag, |shard, dead| self.take_out(shard, dead));
        for (Dead { row, from, .. }, removed) in removed {
            courtesy::step();
            if let (true, Some(from), false) = (removed, from, row.is_tombstone()) {
                counts.push((from, None, row.key()));
            }
        }
        let mut writer = self.writer.lock();
        for (from, to, key) in counts {
            writer.windows.remove(from.slot(), key.kind);
            if let Some(to) = to {
                writer.windows.add(to.slot(), key.kind);
            }
        }
    }

    /// Points the entry of a row at where it has gone; false if it has changed meanwhile.
    fn point(&self, shard: &mut Shard, to: &Move) -> bool {
        let Current { tag, row, from, gone, .. } = &to.row;
        let blind = sabotage::is(Flaw::MovedBlindly).then(|| shard.places(*tag).next());
        let from = blind.flatten().unwrap_or(*from);
        let key = row.key();
        let moved = if *gone {
            shard.remove(*tag, &key, from)
        } else {
            shard.relocate(*tag, &key, from, to.to)
        };
        // Of a row that was replaced meanwhile those in a block go with its window; the version
        // that replaced it has none of its own yet. One that replaced a deletion has.
        if moved || !gone && !to.to.is_in_block() && !row.is_tombstone() {
            self.drop_young_terms(row);
        }
        moved
    }

    /// Takes out the entry of a dead row; false if it has none.
    fn take_out(&self, shard: &mut Shard, Dead { tag, row, from }: &Dead) -> bool {
        let removed = from.is_some_and(|from| shard.remove(*tag, &row.key(), from));
        // Under the shard's lock: a row just published has its terms noted under it.
        if shard.places(*tag).all(|place| self.slots.is_dead(place.slot())) {
            self.drop_young_terms(row);
        }
        removed
    }

    fn drop_young_terms(&self, row: &Row) {
        let terms = row.terms();
        if !terms.is_empty() {
            let mut young = self.young_terms.lock();
            for term in terms.iter() {
                young.remove(&(term, row.key()));
            }
        }
    }
}
