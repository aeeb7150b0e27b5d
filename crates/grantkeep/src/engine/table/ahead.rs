//! Reading ahead of an open, which goes through an index of the table page by page: a device
//! answers several reads at a time in not much more than the time of one.

use super::{Table, failed, guarded, tags};
use crate::engine::window::Window;
use crate::error::Result;
use crate::sync::fetching::{Builder, scope};
use crate::sync::{Ordering, Tally};
use redb::{ReadOnlyTable, ReadableTableMetadata as _, TableDefinition, Value};
use std::ops::{Bound, RangeBounds};

/// Reads under way at a time: of twice as many a virtual disk answers hardly more.
const READERS: usize = 8;
/// Entries that a reader takes at a time, about; an index of fewer is not read ahead.
const STRETCH_ENTRIES: u64 = 1_024;
/// The most stretches that one window is dealt in.
const STRETCHES_A_WINDOW: u64 = 1_024;

/// A part of an index, from a key to before another; the last one is open.
type Stretch<const N: usize> = (Bound<[u8; N]>, Bound<[u8; N]>);

impl Table {
    /// Reads every page of an index by windows once, so that whoever goes through it next finds it
    /// in memory. What cannot be read is left to them to find.
    pub(crate) fn read_ahead<const N: usize, V: Value + Sync + 'static>(
        &self,
        index: TableDefinition<'_, [u8; N], V>,
    ) -> Result<()> {
        self.read(|transaction| {
            let index = transaction.open_table(index).map_err(failed)?;
            let stretches = stretches(&index)?;
            let next = Tally::new(0);
            let take = || {
                let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok()?;
                stretches.get(at)
            };
            let read = || {
                while let Some(stretch) = take() {
                    let _ = guarded(|| count(&index, *stretch));
                }
            };
            scope(|scope| {
                for _ in 0..READERS.min(stretches.len().saturating_sub(1)) {
                    // Where there can be no more threads, fewer read ahead.
                    let named = Builder::new().name("grantkeep-ahead".to_owned());
                    let _ = named.spawn_scoped(scope, read);
                }
            });
            Ok(())
        })
    }
}

/// Goes through what is in a range.
fn count<const N: usize, V: Value + Sync + 'static>(
    index: &ReadOnlyTable<[u8; N], V>,
    range: impl RangeBounds<[u8; N]>,
) -> Result<usize> {
    let mut count = 0;
    for entry in index.range::<[u8; N]>(range).map_err(failed)? {
        entry.map_err(failed)?;
        count += 1;
    }
    Ok(count)
}

/// Deals an index in stretches: window by window, as many of each as an average window asks for,
/// evenly over what its keys differ in, numbers of blocks or ids. A single one for a short index.
fn stretches<const N: usize, V: Value + Sync + 'static>(
    index: &ReadOnlyTable<[u8; N], V>,
) -> Result<Vec<Stretch<N>>> {
    let entries = index.len().map_err(failed)?;
    if entries <= STRETCH_ENTRIES {
        return Ok(vec![(Bound::Unbounded, Bound::Unbounded)]);
    }
    let mut windows = Vec::new();
    let mut passed = Bound::Unbounded;
    while let Some(entry) =
        index.range::<[u8; N]>((passed, Bound::Unbounded)).map_err(failed)?.next()
    {
        let first = entry.map_err(failed)?.0.value();
        if windows.last().is_some_and(|(_, last)| *last >= first) {
            return Err(tags::damaged());
        }
        let end = end_of_window(&first);
        let last = index.range::<[u8; N]>(..=end).map_err(failed)?.next_back();
        let last = last.transpose().map_err(failed)?.ok_or_else(tags::damaged)?.0.value();
        windows.push((first, last));
        passed = Bound::Excluded(end);
    }
    let each = entries / STRETCH_ENTRIES / windows.len().max(1) as u64;
    let mut starts: Vec<[u8; N]> = Vec::new();
    for (first, last) in windows {
        starts.extend(spread(&first, &last, each.clamp(1, STRETCHES_A_WINDOW)));
    }
    let ends = starts.iter().skip(1).map(|end| Bound::Excluded(*end)).chain([Bound::Unbounded]);
    Ok(starts.iter().map(|start| Bound::Included(*start)).zip(ends).collect())
}

/// The last key that a window can have.
fn end_of_window<const N: usize>(key: &[u8; N]) -> [u8; N] {
    let mut end = [u8::MAX; N];
    for (to, from) in end.iter_mut().zip(key).take(Window::BYTES) {
        *to = *from;
    }
    end
}

/// Up to `parts` keys from `first` on, evenly spread before `last`.
fn spread<const N: usize>(
    first: &[u8; N],
    last: &[u8; N],
    parts: u64,
) -> impl Iterator<Item = [u8; N]> {
    let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let number = |key: &[u8; N]| {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(key.iter().skip(same)) {
            *to = *from;
        }
        u64::from_be_bytes(bytes)
    };
    let (from, step) = (number(first), number(last).saturating_sub(number(first)) / parts);
    let (first, parts) = (*first, if step == 0 { 1 } else { parts });
    (0..parts).map(move |part| {
        if part == 0 {
            return first;
        }
        let mut key = [0; N];
        let differs = (from + step * part).to_be_bytes();
        let bytes = first.iter().take(same).chain(&differs);
        for (to, from) in key.iter_mut().zip(bytes) {
            *to = *from;
        }
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::disk::{Disk as _, DiskFile, OpenMode, OsDisk};
    use crate::engine::space::Space;
    use crate::engine::table::{TAGS, block_key};
    use crate::sync::Arc;
    use std::io;

    /// A file that counts its reads.
    #[derive(Debug)]
    struct Counting(Arc<dyn DiskFile>, Tally);

    impl DiskFile for Counting {
        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read_at(bytes, offset)
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.0.write_at(bytes, offset)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }

        fn set_len(&self, bytes: u64) -> io::Result<()> {
            self.0.set_len(bytes)
        }

        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn drop_cache(&self) -> io::Result<()> {
            self.0.drop_cache()
        }

        fn try_lock(&self) -> io::Result<bool> {
            self.0.try_lock()
        }
    }

    fn window(lifetime_s: u64, now_s: u64) -> Window {
        let now = Timestamp::from_millis(now_s * 1_000);
        Window::of(Timestamp::from_millis((now_s + lifetime_s) * 1_000), now)
    }

    // Goal: every page of the index is read, each part of it by one reader, and none has much
    // more to do than another. Method: a long window, a short one, and a single block; a file that
    // counts its reads, and a cache that holds only a part of it.
    #[test]
    fn index_is_read_ahead_in_even_stretches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let space = || Arc::new(Space::new(Arc::new(OsDisk), dir.path(), 0));
        let blocks = [
            (window(60, 1_000_000), 20_000),
            (window(60, 2_000_000), 1),
            (window(86_400, 1_000_000), 300),
        ];
        let file = OsDisk.open(&path, OpenMode::New).unwrap();
        let (table, _) = Table::open(file, space(), 1 << 20, Some([1; 16])).unwrap();
        table
            .write(|transaction| {
                let mut tags = transaction.open_table(TAGS).map_err(failed)?;
                for (window, blocks) in blocks {
                    for block in 0..blocks {
                        tags.insert(block_key(window, block), [7; 100].as_slice())
                            .map_err(failed)?;
                    }
                }
                Ok(())
            })
            .unwrap();
        table.close().unwrap();
        let file = OsDisk.open(&path, OpenMode::Existing).unwrap();
        let counting = Arc::new(Counting(file, Tally::new(0)));
        let file = Arc::clone(&counting) as Arc<dyn DiskFile>;
        let (table, _) = Table::open(file, space(), 1 << 20, None).unwrap();
        let reads = || counting.1.swap(0, Ordering::Relaxed);
        reads();
        table.read_ahead(TAGS).unwrap();
        let ahead = reads();
        table
            .read(|transaction| {
                let tags = transaction.open_table(TAGS).map_err(failed)?;
                let stretches = stretches(&tags)?;
                let counts: Result<Vec<usize>> =
                    stretches.iter().map(|stretch| count(&tags, *stretch)).collect();
                let counts = counts?;
                assert_eq!(counts.iter().sum::<usize>(), 20_301);
                assert!(counts.iter().all(|count| (1..=4_000).contains(count)), "{counts:?}");
                assert_eq!(count(&tags, ..)?, 20_301);
                Ok(())
            })
            .unwrap();
        // 36 entries of some 114 bytes fit in a page of 4 KiB.
        assert!(ahead >= 20_301 / 36, "{ahead} reads ahead");
    }
}
