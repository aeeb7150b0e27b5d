//! The index: where every row is that is not swept, in at most 32 bytes a row.
//!
//! An entry is a tag (64 bits of hash of the key) and a place. Keys are not kept: a place is
//! looked at to tell two keys of one tag apart, which a store of 10^9 rows meets about once in
//! forty. The live set shares the shards and their locks, so the two never disagree.

use super::courtesy;
use super::live::LiveSet;
use super::place::{Place, Slot};
use crate::backend::Key;
use crate::sync::{RwLock, RwLockWriteGuard, scaled};
use hashbrown::HashTable;
use hashbrown::hash_table::OccupiedEntry;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const SHARDS: usize = scaled(256, 4);
/// Tags are dealt to shards by 12 of their bits.
const DEALT: usize = 4_096;
/// Things of one shard that are done under one lock: enough to fetch their memory together, and few
/// enough that who waits for the lock does not notice.
const TOGETHER: usize = 16;

/// One row: a tag and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) tag: u64,
    pub(crate) place: Place,
}

/// A part of the index, and of the live set.
#[derive(Debug)]
pub(crate) struct Shard {
    entries: HashTable<Entry>,
    pub(crate) live: LiveSet,
    changes: u64,
}

/// The index over all rows that are not swept.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[RwLock<Shard>]>,
    deal: Box<[u8]>,
    seed: u64,
    tag_mask: u64,
}

impl Index {
    /// `tag_bits` below 64 provoke tags that meet; only tests want that.
    pub(crate) fn new(seed: u64, live_set_bytes: usize, tag_bits: u32) -> Self {
        let deal = deal();
        let mut shares = [0; SHARDS];
        for to in &deal {
            if let Some(share) = shares.get_mut(usize::from(*to)) {
                *share += 1;
            }
        }
        let shard = |share| {
            let live = LiveSet::new(live_set_bytes / DEALT * share);
            RwLock::new(Shard { entries: HashTable::new(), live, changes: 0 })
        };
        Self {
            shards: shares.into_iter().map(shard).collect(),
            deal,
            seed,
            tag_mask: u64::MAX >> (64 - tag_bits.clamp(1, 64)),
        }
    }

    /// The tag of a key in this store.
    pub(crate) fn tag(&self, key: &Key) -> u64 {
        // Spreads short tags over all bits again; the identity for whole ones would do as well.
        (self.hash(key) & self.tag_mask).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// All 64 bits of which a tag may be a part.
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        xxh3_64_with_seed(&key.to_bytes(), self.seed)
    }

    /// The number of the shard that `tag` belongs to.
    pub(crate) fn shard_of(&self, tag: u64) -> usize {
        let dealt = usize::try_from(tag >> 40 & (DEALT as u64 - 1)).unwrap_or(0);
        self.deal.get(dealt).map_or(0, |shard| usize::from(*shard))
    }

    /// Looks at the shard of `tag` while nobody changes it.
    pub(crate) fn read<T>(&self, tag: u64, look: impl FnOnce(&Shard) -> T) -> Option<T> {
        self.shards.get(self.shard_of(tag)).map(|shard| look(&shard.read()))
    }

    /// Looks at the shards of many things, some of one shard at a time; answers them with what was
    /// seen, in no order.
    pub(crate) fn read_each<T, S>(
        &self,
        things: Vec<T>,
        tag: impl Fn(&T) -> u64,
        look: impl Fn(&Shard, &T) -> S,
    ) -> Vec<(T, S)> {
        self.with_each(things, &tag, |shard, some| {
            let shard = shard.read();
            shard.fetch(some.iter().map(&tag));
            some.iter().map(|thing| look(&shard, thing)).collect()
        })
    }

    /// Changes the shards of many things, some of one shard at a time; answers them with what came
    /// of it, in no order.
    pub(crate) fn change_each<T, S>(
        &self,
        things: Vec<T>,
        tag: impl Fn(&T) -> u64,
        change: impl Fn(&mut Shard, &T) -> S,
    ) -> Vec<(T, S)> {
        self.with_each(things, &tag, |shard, some| {
            let mut shard = shard.write();
            shard.fetch(some.iter().map(&tag));
            some.iter().map(|thing| change(&mut shard, thing)).collect()
        })
    }

    /// Gathers things by their shards, and does what is to be done with some of one at a time.
    fn with_each<T, S>(
        &self,
        things: Vec<T>,
        tag: impl Fn(&T) -> u64,
        work: impl Fn(&RwLock<Shard>, &[T]) -> Vec<S>,
    ) -> Vec<(T, S)> {
        let mut done = Vec::with_capacity(things.len());
        let mut finish = |shard: &RwLock<Shard>, some: &mut Vec<T>| {
            courtesy::offer();
            let seen = work(shard, some);
            done.extend(some.drain(..).zip(seen));
        };
        let mut waiting: Vec<Vec<T>> = self.shards.iter().map(|_| Vec::new()).collect();
        for thing in things {
            let number = self.shard_of(tag(&thing));
            if let (Some(shard), Some(some)) = (self.shards.get(number), waiting.get_mut(number)) {
                some.push(thing);
                if some.len() == TOGETHER {
                    finish(shard, some);
                }
            }
        }
        let rest = self.shards.iter().zip(&mut waiting).filter(|(_, some)| !some.is_empty());
        rest.for_each(|(shard, some)| finish(shard, some));
        done
    }

    /// The shard of this number, to be changed.
    pub(crate) fn write(&self, shard: usize) -> Option<RwLockWriteGuard<'_, Shard>> {
        self.shards.get(shard).map(RwLock::write)
    }

    /// Changes the shard of `tag`.
    pub(crate) fn change<T>(&self, tag: u64, change: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        self.write(self.shard_of(tag)).map(|mut shard| change(&mut shard))
    }

    /// The shard of `tag`, for whoever has the index alone: without a lock the processor fetches
    /// several shards' memory at a time, which is most of what filling the index costs.
    pub(crate) fn own(&mut self, tag: u64) -> Option<&mut Shard> {
        let number = self.shard_of(tag);
        self.shards.get_mut(number).map(RwLock::get_mut)
    }

    /// As [`Shard::fetch`], for whoever has the index alone.
    pub(crate) fn fetch(&mut self, tags: impl Iterator<Item = u64>) {
        tags.for_each(|tag| self.own(tag).into_iter().for_each(|shard| shard.fetch([tag])));
    }

    /// Forgets every entry and kept row of some shards of which `gone` says so; true if there are
    /// shards behind these.
    pub(crate) fn forget(&self, shards: Range<usize>, gone: impl Fn(Slot) -> bool) -> bool {
        let more = shards.end < self.shards.len();
        for shard in self.shards.iter().take(shards.end).skip(shards.start) {
            courtesy::offer();
            let mut shard = shard.write();
            shard.changes += 1;
            shard.entries.retain(|entry| !gone(entry.place.slot()));
            shard.live.forget(&gone);
        }
        more
    }

    /// The entries as they are when each shard's turn comes; nobody waits longer than for one
    /// shard.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Vec<Entry>> + '_ {
        self.shards.iter().map(|shard| {
            courtesy::offer();
            shard.read().entries.iter().copied().collect()
        })
    }

    /// The entries of one shard as they are now; `None` behind the last shard.
    pub(crate) fn entries_of(&self, shard: usize) -> Option<Vec<Entry>> {
        Some(self.shards.get(shard)?.read().entries.iter().copied().collect())
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.read().entries.len() as u64).sum()
    }

    /// The memory of the entries, and of the live set, in bytes.
    pub(crate) fn memory_bytes(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(entries, live), shard| {
            let shard = shard.read();
            let table = shard.entries.allocation_size() as u64;
            (entries + table, live + shard.live.bytes() as u64)
        })
    }
}

impl Shard {
    /// Looks at where the entries of these tags are, or would be, so that they are in the
    /// processor's cache: it waits for many of them at a time, since no look depends on another.
    fn fetch(&self, tags: impl IntoIterator<Item = u64>) {
        for tag in tags {
            std::hint::black_box(self.places(tag).count());
        }
    }

    /// The places filed under `tag`: none or one, but for tags that meet and versions of one row
    /// that an open has found twice.
    pub(crate) fn places(&self, tag: u64) -> impl Iterator<Item = Place> + '_ {
        let entries = self.entries.iter_hash(tag).filter(move |entry| entry.tag == tag);
        entries.map(|entry| entry.place)
    }

    /// Grows with every change of an entry: who has fetched a row without the lock may keep it
    /// only if nothing has changed meanwhile, since a place alone may be the same again.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn insert(&mut self, tag: u64, place: Place) {
        self.changes += 1;
        self.entries.insert_unique(tag, Entry { tag, place }, |entry| entry.tag);
    }

    /// Puts `to` where `from` was; false if it is not there any more.
    pub(crate) fn replace(&mut self, tag: u64, from: Place, to: Place) -> bool {
        self.changes += 1;
        let same = |entry: &Entry| entry.tag == tag && entry.place == from;
        let found = self.entries.find_mut(tag, same);
        found.map(|entry| entry.place = to).is_some()
    }

    /// Takes `place` away; false if it is not there any more.
    pub(crate) fn remove(&mut self, tag: u64, place: Place) -> bool {
        self.changes += 1;
        let same = |entry: &Entry| entry.tag == tag && entry.place == place;
        self.entries.find_entry(tag, same).map(OccupiedEntry::remove).is_ok()
    }
}

/// Which shard each of the dealt values goes to.
///
/// A hash table doubles when it is full, so it wastes up to half of itself; equal shards would all
/// double at the same time. Shares that grow from one shard to the next, up to twice the first,
/// spread the doublings evenly: the memory per row stays near its mean, 28 bytes, at any size.
fn deal() -> Box<[u8]> {
    let share = |shard: usize| (shard as f64 / SHARDS as f64).exp2();
    let total: f64 = (0..SHARDS).map(share).sum();
    let mut deal = Vec::with_capacity(DEALT);
    let mut due = 0.0;
    for shard in 0..SHARDS {
        due += share(shard) / total * DEALT as f64;
        while (deal.len() as f64) < due && deal.len() < DEALT {
            deal.push(u8::try_from(shard).unwrap_or(0));
        }
    }
    deal.resize(DEALT, 0);
    deal.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::place::Where;

    // Goal: P10, at most 32 bytes a row at any size. Method: fill an index and measure at every
    // 5% of growth, past several doublings.
    #[test]
    fn index_takes_at_most_32_bytes_a_row_at_any_size() {
        let index = Index::new(1, 0, 64);
        let (mut rows, mut next, mut worst) = (0_u64, 100_000.0_f64, 0.0_f64);
        while rows < 1_000_000 {
            let tag = xxh3_64_with_seed(&rows.to_le_bytes(), 7);
            index.change(tag, |shard| shard.insert(tag, Place::new(0, Where::ById)));
            rows += 1;
            if rows as f64 >= next {
                worst = worst.max(index.memory_bytes().0 as f64 / rows as f64);
                next *= 1.05;
            }
        }
        println!("index: at most {worst:.1} bytes a row between 100,000 and 1,000,000 rows");
        assert!(worst <= 32.0, "{worst}");
    }

    // Goal: entries of one tag are told apart by their place. Method: two entries, remove one.
    #[test]
    fn entries_of_one_tag_are_told_apart() {
        let index = Index::new(1, 0, 64);
        let (a, b) = (Place::in_log(1, 1, 8), Place::in_log(1, 1, 16));
        index.change(5, |shard| {
            shard.insert(5, a);
            shard.insert(5, b);
            assert!(shard.remove(5, a));
            assert!(!shard.remove(5, a));
            assert!(shard.replace(5, b, a));
            assert_eq!(shard.places(5).collect::<Vec<_>>(), [a]);
        });
    }
}
