//! The index: where every row is that is not swept, in at most 14 bytes a row.
//!
//! It is filed by tags (`tag.rs`), not by keys: a place is looked at to tell two keys of one tag
//! apart. The row cache shares the shards and their locks, so the two never disagree.

use super::courtesy;
use super::place::{Place, Slot};
use super::shard::Shard;
use super::tag::{KeyHash, SHARDS, Tags};
use crate::backend::Key;
use crate::sync::{RwLock, RwLockWriteGuard};
use std::ops::{Deref, Range};

/// Things of one shard that are done under one lock: enough to fetch their memory together, and few
/// enough that who waits for the lock does not notice.
const TOGETHER: usize = 16;

/// One row: a tag and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) tag: u64,
    pub(crate) place: Place,
}

/// The index over all rows that are not swept.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[Aligned]>,
    tags: Tags,
}

/// A shard whose lock and table share a line of the processor's cache.
#[derive(Debug)]
#[repr(align(64))]
struct Aligned(RwLock<Shard>);

impl Deref for Aligned {
    type Target = RwLock<Shard>;

    fn deref(&self) -> &RwLock<Shard> {
        &self.0
    }
}

impl Index {
    pub(crate) fn new(tags: Tags, cache_bytes: usize) -> Self {
        let shard = |_| Aligned(RwLock::new(Shard::new(tags.clone(), cache_bytes / SHARDS)));
        Self { shards: (0..SHARDS).map(shard).collect(), tags }
    }

    /// The tag of a key in this store.
    pub(crate) fn tag(&self, key: &Key) -> u64 {
        self.tags.of(key)
    }

    /// The hash of a key in this store.
    pub(crate) fn hash(&self, key: &Key) -> KeyHash {
        self.tags.hash(key)
    }

    /// The tag of a key that has this hash.
    pub(crate) fn tag_of(&self, hash: KeyHash) -> u64 {
        self.tags.of_hash(hash)
    }

    /// Looks at the shard of `tag` while nobody changes it.
    pub(crate) fn read<T>(&self, tag: u64, look: impl FnOnce(&Shard) -> T) -> Option<T> {
        self.shards.get(Tags::shard(tag)).map(|shard| look(&shard.read()))
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
            let number = Tags::shard(tag(&thing));
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
        self.shards.get(shard).map(|shard| shard.write())
    }

    /// Changes the shard of `tag`.
    pub(crate) fn change<T>(&self, tag: u64, change: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        self.write(Tags::shard(tag)).map(|mut shard| change(&mut shard))
    }

    /// The shard of `tag`, for whoever has the index alone: without a lock the processor fetches
    /// several shards' memory at a time, which is most of what filling the index costs.
    pub(crate) fn own(&mut self, tag: u64) -> Option<&mut Shard> {
        let number = Tags::shard(tag);
        self.shards.get_mut(number).map(|shard| shard.0.get_mut())
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
            shard.write().forget(&gone);
        }
        more
    }

    /// The entries as they are when each shard's turn comes; nobody waits longer than for one
    /// shard.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Vec<Entry>> + '_ {
        (0..self.shards.len()).map_while(|shard| {
            courtesy::offer();
            self.entries_of(shard)
        })
    }

    /// The entries of one shard as they are now; `None` behind the last shard.
    pub(crate) fn entries_of(&self, shard: usize) -> Option<Vec<Entry>> {
        let number = Tags::of_shard(shard);
        let held = self.shards.get(shard)?.read();
        let entry = |(below, place)| Entry { tag: number | below, place };
        Some(held.entries().map(entry).collect())
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.read().len() as u64).sum()
    }

    /// The memory of the entries, and of the row cache, in bytes.
    pub(crate) fn memory_bytes(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(entries, kept), shard| {
            let (own_entries, own_kept) = shard.read().memory_bytes();
            (entries + own_entries as u64, kept + own_kept as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Kind, NewRow, Op, Row, Terms, Version};
    use crate::clock::Timestamp;
    use crate::digest::Digest;
    use crate::engine::place::Where;
    use xxhash_rust::xxh3::xxh3_64_with_seed;

    /// A row that differs with its number and its version.
    fn row(number: u64, version: u64) -> Row {
        let key = Key::new(Kind::write_once(1), Digest::of_name("row", &number.to_le_bytes()));
        let value = vec![0; 100];
        let new = NewRow { value, expires_at: Timestamp::from_millis(1), terms: Terms::NONE };
        Row::new(key, &new, Version(version), Op(1)).unwrap()
    }

    /// One of so many slots.
    fn slot_of(number: u32, slots: u32) -> Slot {
        1 + Slot::try_from(number % slots).unwrap()
    }

    /// A tag that differs with the number, made faster than that of a key.
    fn tag_of(number: u64) -> u64 {
        let hash = xxh3_64_with_seed(&number.to_le_bytes(), 7);
        Tags::of_shard(usize::try_from(hash % SHARDS as u64).unwrap())
            | Tags::below_shard(u32::try_from(hash >> 40).unwrap())
    }

    fn kept(index: &Index, row: &Row) -> Option<(Version, Slot)> {
        let (tag, key) = (index.tag(&row.key()), row.key());
        let kept = index.read(tag, |shard| shard.kept(tag, &key)).flatten();
        kept.map(|(row, slot)| (row.version(), slot))
    }

    fn places(index: &Index, tag: u64) -> Vec<Place> {
        index.read(tag, |shard| shard.places(tag).collect()).unwrap_or_default()
    }

    /// Puts a row into the index and the cache.
    fn put(index: &Index, row: &Row, place: Place) {
        let tag = index.tag(&row.key());
        index.change(tag, |shard| {
            shard.insert(tag, place);
            shard.keep(tag, place, row);
        });
    }

    // Goal: P10, at most 14 bytes a row in a store of any size above 500,000 rows. Method: fill an
    // index and measure at every 5% of growth.
    #[test]
    fn index_takes_at_most_14_bytes_a_row() {
        let index = Index::new(Tags::new(&[1; 16], 64), 0);
        let (mut rows, mut next, mut worst) = (0_u64, 500_000.0_f64, 0.0_f64);
        while rows < 2_000_000 {
            let tag = tag_of(rows);
            index.change(tag, |shard| shard.insert(tag, Place::new(0, Where::ById)));
            rows += 1;
            if rows as f64 >= next {
                worst = worst.max(index.memory_bytes().0 as f64 / rows as f64);
                next *= 1.05;
            }
        }
        println!("index: at most {worst:.1} bytes a row between 500,000 and 2,000,000 rows");
        assert!(worst <= 14.0, "{worst}");
    }

    // Goal: P10, the index of few rows is small, also after there were many. Method: fill it, and
    // forget all but 4,000.
    #[test]
    fn an_index_shrinks_with_its_rows() {
        let index = Index::new(Tags::new(&[1; 16], 64), 0);
        for number in 0..300_000_u64 {
            let tag = tag_of(number);
            let slot = u16::from(number >= 4_000);
            index.change(tag, |shard| shard.insert(tag, Place::in_log(slot, 1, 8)));
        }
        let full = index.memory_bytes().0;
        index.forget(0..SHARDS, |slot| slot == 1);
        let (left, rows) = (index.memory_bytes().0, index.len());
        println!("index: {} KiB for {rows} rows, {} KiB before", left >> 10, full >> 10);
        assert_eq!(rows, 4_000);
        assert!(left < 600 << 10, "{left}");
    }

    // Goal: entries of one tag are told apart by their place. Method: two entries, remove one.
    #[test]
    fn entries_of_one_tag_are_told_apart() {
        let index = Index::new(Tags::new(&[1; 16], 64), 0);
        let (a, b) = (Place::in_log(1, 1, 8), Place::in_log(1, 1, 16));
        index.change(5, |shard| {
            shard.insert(5, a);
            shard.insert(5, b);
            assert!(shard.remove(5, &Key::MIN, a));
            assert!(!shard.remove(5, &Key::MIN, a));
            assert!(shard.replace(5, &Key::MIN, b, a));
            assert_eq!(shard.places(5).collect::<Vec<_>>(), [a]);
        });
    }

    // Goal: a copy of the index names every entry by the tag that it is found under. Method: 1,000
    // keys; look every copied tag up, and compare the keys' own tags.
    #[test]
    fn copied_entries_have_the_tags_of_their_keys() {
        let index = Index::new(Tags::new(&[3; 16], 64), 0);
        let mut tags: Vec<u64> = (0..1_000).map(|n| index.tag(&row(n, 1).key())).collect();
        for tag in &tags {
            index.change(*tag, |shard| shard.insert(*tag, Place::in_log(1, 1, 8)));
        }
        let mut copied: Vec<u64> = index.entries().flatten().map(|entry| entry.tag).collect();
        tags.sort_unstable();
        copied.sort_unstable();
        assert_eq!(copied, tags);
    }

    // Goal: P7, what is kept of a row is its last version, and is there for as long as its entry
    // is. Method: keep, replace, relocate within its window and to another, remove.
    #[test]
    fn a_kept_row_follows_its_entry() {
        let index = Index::new(Tags::new(&[1; 16], 64), 1 << 20);
        let (old, new) = (row(1, 1), row(1, 2));
        let (tag, key) = (index.tag(&old.key()), old.key());
        let place = |slot, offset| Place::in_log(slot, 1, offset);
        put(&index, &old, place(4, 8));
        assert_eq!(kept(&index, &new), Some((Version(1), 4)));
        index.change(tag, |shard| {
            assert!(shard.replace(tag, &key, place(4, 8), place(5, 16)));
        });
        assert_eq!(kept(&index, &new), None, "another version took its place");
        index.change(tag, |shard| {
            shard.keep(tag, place(4, 8), &old);
            shard.keep(tag, place(5, 16), &new);
        });
        assert_eq!(kept(&index, &new), Some((Version(2), 5)), "no entry leads to the old one");
        let to = Place::new(5, Where::Block { block: 3, row: 2 });
        index.change(tag, |shard| assert!(shard.relocate(tag, &key, place(5, 16), to)));
        assert_eq!((kept(&index, &new), places(&index, tag)), (Some((Version(2), 5)), vec![to]));
        let other = Place::new(9, Where::ById);
        index.change(tag, |shard| assert!(shard.relocate(tag, &key, to, other)));
        assert_eq!((kept(&index, &new), places(&index, tag)), (Some((Version(2), 9)), vec![other]));
        index.change(tag, |shard| assert!(shard.remove(tag, &key, other)));
        assert_eq!((kept(&index, &new), places(&index, tag)), (None, vec![]));
        assert!(index.memory_bytes().1 < 8_000, "two chunks of a row at most");
    }

    // Goal: of two entries of one key one version is kept, and rows of one tag are told apart.
    // Method: tags of one bit; keep two versions of one key, and another key.
    #[test]
    fn of_one_key_one_version_is_kept() {
        let index = Index::new(Tags::new(&[1; 16], 1), 1 << 20);
        let (old, new) = (row(1, 1), row(1, 2));
        let tag = index.tag(&old.key());
        let other = (2..99).map(|n| row(n, 7)).find(|row| index.tag(&row.key()) == tag).unwrap();
        let at = |offset| Place::in_log(1, 1, offset);
        put(&index, &old, at(8));
        put(&index, &other, at(16));
        put(&index, &new, at(24));
        assert_eq!(kept(&index, &old), Some((Version(2), 1)));
        assert_eq!(kept(&index, &other), Some((Version(7), 1)));
        index.change(tag, |shard| shard.remove(tag, &old.key(), at(24)));
        assert_eq!(kept(&index, &old), None, "the older version was not kept any more");
        assert_eq!(places(&index, tag).len(), 2);
    }

    // Goal: P2, where two keys of one tag are filed by id under one window, and so have one place,
    // each is kept, moved, and taken out as itself. Method: tags of one bit; keep both, in either
    // order; take one out.
    #[test]
    fn rows_of_one_place_are_told_apart() {
        let one = row(1, 1);
        for removed in [true, false] {
            let index = Index::new(Tags::new(&[1; 16], 1), 1 << 20);
            let tag = index.tag(&one.key());
            let same = |row: &Row| index.tag(&row.key()) == tag;
            let other = (2..99).map(|number| row(number, 7)).find(same).unwrap();
            let (place, to) = (Place::new(3, Where::ById), Place::new(4, Where::ById));
            put(&index, &one, place);
            put(&index, &other, place);
            assert_eq!(kept(&index, &one), Some((Version(1), 3)));
            assert_eq!(kept(&index, &other), Some((Version(7), 3)));
            let (gone, left) = if removed { (&one, &other) } else { (&other, &one) };
            index.change(tag, |shard| {
                assert!(shard.relocate(tag, &left.key(), place, to));
                assert!(shard.remove(tag, &gone.key(), place));
            });
            assert_eq!((kept(&index, gone), places(&index, tag)), (None, vec![to]));
            assert_eq!(kept(&index, left), Some((left.version(), 4)));
        }
    }

    // Goal: P10, the budget holds, a row in use stays, and a row that leaves is found on disk.
    // Method: put many rows of several windows, read one each time, in budgets from less than a
    // chunk on.
    #[test]
    fn budget_holds_and_rows_in_use_stay() {
        for budget in [4_000, 60_000, 400_000] {
            let index = Index::new(Tags::new(&[1; 16], 1), budget * SHARDS);
            let favorite = row(0, 1);
            put(&index, &favorite, Place::in_log(1, 1, 8));
            for number in 1..6_000_u32 {
                assert!(kept(&index, &favorite).is_some(), "evicted before {number}");
                let place = Place::in_log(slot_of(number, 3), 1, 8 + 8 * number);
                let row = row(u64::from(number), 1);
                put(&index, &row, place);
                assert!(places(&index, index.tag(&row.key())).contains(&place));
                let (_, bytes) = index.memory_bytes();
                assert!(bytes <= 2 * budget as u64, "{bytes}: two shards of {budget}");
                assert!(number < 4_000 || bytes * 3 > budget as u64, "{bytes} of {budget} used");
            }
            assert_eq!(index.len(), 6_000);
        }
    }

    // Goal: P10, a kept row takes at most 16 bytes beside its record. Method: 10^6 rows of 310
    // bytes of two windows.
    #[test]
    fn a_kept_row_takes_at_most_16_bytes_beside_its_record() {
        let index = Index::new(Tags::new(&[1; 16], 64), 1 << 30);
        let mut records = 0;
        for number in 0..1_000_000_u32 {
            let key = Digest::of_name("row", &number.to_le_bytes());
            let key = Key::new(Kind::write_once(1), key);
            let value = vec![0; 230];
            let new = NewRow { value, expires_at: Timestamp::from_millis(1), terms: Terms::NONE };
            let row = Row::new(key, &new, Version(1), Op(1)).unwrap();
            records += row.as_record().len() as u64;
            put(&index, &row, Place::in_log(slot_of(number, 2), 1, 8 + 8 * number));
        }
        let beside = (index.memory_bytes().1 - records) as f64 / 1_000_000.0;
        println!("row cache: {beside:.1} bytes for each row beside its record");
        assert!(beside <= 16.0, "{beside}");
    }

    // Goal: P5 and P10, the rows of a window that is forgotten leave memory, and no others do.
    // Method: rows of two windows; forget one.
    #[test]
    fn a_forgotten_window_leaves_memory() {
        let index = Index::new(Tags::new(&[1; 16], 64), 64 << 20);
        let rows: Vec<Row> = (0..2_000).map(|number| row(number, 1)).collect();
        for (at, row) in (0_u32..).zip(&rows) {
            put(&index, row, Place::in_log(slot_of(at, 2), 1, 8 + 8 * at));
        }
        let before = index.memory_bytes();
        index.forget(0..SHARDS, |slot| slot == 2);
        let after = index.memory_bytes();
        assert_eq!(index.len(), 1_000);
        assert!(after.1 * 3 < before.1 * 2, "{} of {} bytes are kept", after.1, before.1);
        for (at, row) in rows.iter().enumerate() {
            let expected = (at % 2 == 0).then_some((Version(1), 1));
            assert_eq!(kept(&index, row), expected);
        }
    }
}
