//! The live set: rows kept in memory for reading, up to a budget.

use super::place::Slot;
use crate::backend::record::key_of;
use crate::backend::{Key, Row};
use crate::sync::{Arc, AtomicBool, Ordering};
use hashbrown::HashTable;

/// What a kept row costs beside its record: the entry at half load, the counts of the `Arc`, and
/// the allocator's rounding.
const OVERHEAD_BYTES: usize = 96;

/// The part of the live set that belongs to one shard of the index, under that shard's lock.
///
/// Eviction is the clock algorithm: a hand goes round the table, spares a row that was read since
/// it last came by, and takes one that was not, or whose window is dead.
#[derive(Debug)]
pub(crate) struct LiveSet {
    rows: HashTable<Kept>,
    bytes: usize,
    budget_bytes: usize,
    hand: usize,
}

#[derive(Debug)]
struct Kept {
    tag: u64,
    /// A record alone: a row may share the bytes of its frame, which would stay with it. Half a
    /// line of the processor's cache has room for all this.
    record: Arc<[u8]>,
    slot: Slot,
    read: AtomicBool,
}

impl Kept {
    fn is_of(&self, tag: u64, key: &Key) -> bool {
        self.tag == tag && key_of(&self.record) == *key
    }
}

impl LiveSet {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self { rows: HashTable::new(), bytes: 0, budget_bytes, hand: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The row under `key`, and the slot of its window.
    pub(crate) fn get(&self, tag: u64, key: &Key) -> Option<(Row, Slot)> {
        let kept = self.rows.find(tag, |kept| kept.is_of(tag, key))?;
        if !kept.read.load(Ordering::Relaxed) {
            kept.read.store(true, Ordering::Relaxed);
        }
        Some((Row::of(Arc::clone(&kept.record)), kept.slot))
    }

    /// Keeps a row, in place of an older version of it.
    pub(crate) fn put(&mut self, tag: u64, row: Row, slot: Slot) {
        self.remove(tag, &row.key());
        let record = row.into_record();
        self.bytes += cost(&record);
        // New rows start unread: what is issued and never presented leaves at the first pass.
        let kept = Kept { tag, record, slot, read: AtomicBool::new(false) };
        self.rows.insert_unique(tag, kept, |kept| kept.tag);
        self.evict();
    }

    /// Keeps the row in the window of another slot.
    pub(crate) fn move_to(&mut self, tag: u64, key: &Key, slot: Slot) {
        if let Some(kept) = self.rows.find_mut(tag, |kept| kept.is_of(tag, key)) {
            kept.slot = slot;
        }
    }

    pub(crate) fn remove(&mut self, tag: u64, key: &Key) {
        if let Ok(entry) = self.rows.find_entry(tag, |kept| kept.is_of(tag, key)) {
            let (kept, _) = entry.remove();
            self.bytes = self.bytes.saturating_sub(cost(&kept.record));
        }
    }

    /// Drops the rows of which `gone` says so.
    pub(crate) fn forget(&mut self, gone: impl Fn(Slot) -> bool) {
        let mut freed = 0;
        self.rows.retain(|kept| {
            let keep = !gone(kept.slot);
            freed += if keep { 0 } else { cost(&kept.record) };
            keep
        });
        self.bytes = self.bytes.saturating_sub(freed);
    }

    fn evict(&mut self) {
        // Twice round finds a victim: the first pass takes away every mark.
        let mut steps = 2 * self.rows.num_buckets();
        while self.bytes > self.budget_bytes && steps > 0 {
            steps -= 1;
            self.hand = (self.hand + 1) % self.rows.num_buckets().max(1);
            let spared = self
                .rows
                .get_bucket(self.hand)
                .is_none_or(|kept| kept.read.swap(false, Ordering::Relaxed));
            if spared {
                continue;
            }
            if let Ok(entry) = self.rows.get_bucket_entry(self.hand) {
                let (kept, _) = entry.remove();
                self.bytes = self.bytes.saturating_sub(cost(&kept.record));
            }
        }
    }
}

fn cost(record: &[u8]) -> usize {
    record.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Kind, NewRow, Op, Terms, Version};
    use crate::clock::Timestamp;
    use crate::digest::Digest;

    fn row(number: u8) -> Row {
        let key = Key::new(Kind::write_once(1), Digest::from_bytes([number; 32]));
        let new = NewRow {
            value: vec![number; 100],
            expires_at: Timestamp::from_millis(1),
            terms: Terms::NONE,
        };
        Row::new(key, &new, Version(1), Op(1)).unwrap()
    }

    // Goal: P10, the budget holds, and a row in use stays. Method: put many rows, read one each
    // time.
    #[test]
    fn budget_holds_and_rows_in_use_stay() {
        let favorite = row(0);
        let mut live = LiveSet::new(10 * cost(favorite.as_record()));
        live.put(0, favorite.clone(), 0);
        for number in 1..=200 {
            assert!(live.get(0, &favorite.key()).is_some(), "evicted before {number}");
            let tag = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            live.put(tag, row(number), 0);
            assert!(live.bytes() <= 10 * cost(favorite.as_record()));
        }
    }
}
