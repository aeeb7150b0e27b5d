//! Reading ahead of an open, which goes through an index of the table page by page: a device
//! answers several reads at a time in not much more than the time of one.

use super::{Table, end_of_window, entries_of, failed, firsts_of_windows, guarded, join, tags};
use crate::error::{Error, Result};
use crate::sync::fetching::{Builder, scope};
use crate::sync::{Ordering, Tally};
use redb::{ReadOnlyTable, ReadableTableMetadata as _, TableDefinition, Value};
use std::ops::{Bound, RangeBounds};
use std::sync::OnceLock;

/// Reads under way at a time: of twice as many a virtual disk answers hardly more.
const READERS: usize = 8;
/// Entries that a reader takes at a time, about; an index of fewer is not read ahead.
const STRETCH_ENTRIES: u64 = 1_024;
/// The most stretches that one window is dealt in.
const STRETCHES_A_WINDOW: u64 = 64;

/// A part of an index, from a key to before another; the last one is open.
type Stretch<const N: usize> = (Bound<[u8; N]>, Bound<[u8; N]>);

impl Table {
    /// Reads every page of an index by windows once, so that whoever goes through it next finds it
    /// in memory.
    ///
    /// # Errors
    /// What going through the index would have answered, where it cannot be read.
    pub(crate) fn read_ahead<const N: usize, V: Value + Sync + 'static>(
        &self,
        index: TableDefinition<'_, [u8; N], V>,
    ) -> Result<()> {
        self.read(|transaction| {
            let index = transaction.open_table(index).map_err(failed)?;
            let stretches = stretches(&index)?;
            let (next, refused) = (Tally::new(0), OnceLock::new());
            let read = || {
                let take = || next.fetch_add(1, Ordering::Relaxed);
                while let Some(stretch) =
                    stretches.get(usize::try_from(take()).unwrap_or(usize::MAX))
                {
                    let read = guarded(|| count(&index, *stretch));
                    // After a failed read redb answers all others with a word of that alone.
                    if let Err(error) = read
                        && !is_of_an_earlier_one(&error)
                    {
                        let _ = refused.set(error);
                    }
                }
            };
            scope(|scope| {
                for _ in 0..READERS.min(stretches.len()) {
                    // Where there can be no more threads, fewer read ahead.
                    let named = Builder::new().name("grantkeep-ahead".to_owned());
                    let _ = named.spawn_scoped(scope, read);
                }
            });
            refused.into_inner().map_or(Ok(()), Err)
        })
    }
}

fn is_of_an_earlier_one(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(redb::Error::PreviousIo))
}

/// Goes through what is in a range.
fn count<const N: usize, V: Value + Sync + 'static>(
    index: &ReadOnlyTable<[u8; N], V>,
    range: impl RangeBounds<[u8; N]>,
) -> Result<usize> {
    let most = entries_of(index)?;
    let mut count = 0;
    for entry in index.range::<[u8; N]>(range).map_err(failed)?.take(most) {
        entry.map_err(failed)?;
        count += 1;
    }
    Ok(count)
}

/// Deals an index in stretches: window by window, and a long one evenly over what its keys differ
/// in, numbers of blocks or ids. None for a short index.
fn stretches<const N: usize, V: Value + Sync + 'static>(
    index: &ReadOnlyTable<[u8; N], V>,
) -> Result<Vec<Stretch<N>>> {
    let parts = index.len().map_err(failed)? / STRETCH_ENTRIES;
    if parts == 0 {
        return Ok(Vec::new());
    }
    let mut starts: Vec<[u8; N]> = Vec::new();
    for first in firsts_of_windows(index)? {
        let last = index.range::<[u8; N]>(..=end_of_window(&first)).map_err(failed)?.next_back();
        let last = last.transpose().map_err(failed)?.ok_or_else(tags::damaged)?.0.value();
        starts.extend(spread(&first, &last, parts.min(STRETCHES_A_WINDOW)));
    }
    let ends = starts.iter().skip(1).map(|end| Bound::Excluded(*end)).chain([Bound::Unbounded]);
    Ok(starts.iter().map(|start| Bound::Included(*start)).zip(ends).collect())
}

/// Up to `parts` keys from `first` on, evenly spread before `last`.
fn spread<const N: usize>(
    first: &[u8; N],
    last: &[u8; N],
    parts: u64,
) -> impl Iterator<Item = [u8; N]> {
    let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let number = |key: &[u8; N]| u64::from_be_bytes(join(key.get(same..).unwrap_or_default(), &[]));
    let (from, step) = (number(first), number(last).saturating_sub(number(first)) / parts);
    let (first, parts) = (*first, if step == 0 { 1 } else { parts });
    (0..parts).map(move |part| match part {
        0 => first,
        _ => join(first.get(..same).unwrap_or_default(), &(from + step * part).to_be_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, Timestamp};
    use crate::disk::hooked::Hooked;
    use crate::disk::{Disk as _, OpenMode, OsDisk};
    use crate::engine::space::Space;
    use crate::engine::table::{TAGS, block_key};
    use crate::engine::window::Window;
    use crate::error::ErrorKind;
    use crate::sync::Arc;
    use std::io;
    use std::path::Path;

    /// The reads of a file, and how they are refused once that is said.
    #[derive(Debug, Default)]
    struct Watch {
        reads: Tally,
        refusal: OnceLock<io::ErrorKind>,
    }

    impl Watch {
        fn read(&self) -> io::Result<()> {
            // The first few find out how the index is dealt.
            let first = self.reads.fetch_add(1, Ordering::Relaxed) < 40;
            let refusal = self.refusal.get().filter(|_| !first);
            refusal.map_or(Ok(()), |kind| Err((*kind).into()))
        }
    }

    fn window(lifetime_s: u64, now_s: u64) -> Window {
        let now = Timestamp::from_millis(now_s * 1_000);
        Window::of(Timestamp::from_millis((now_s + lifetime_s) * 1_000), now)
    }

    /// A table with tags of a long window, of a short one, and of a single block; and the watch on
    /// its file.
    fn filled(dir: &Path) -> (Table, Arc<Watch>) {
        let path = dir.join("table");
        let clock = Arc::new(SystemClock::new());
        let space = || Arc::new(Space::new(Arc::new(OsDisk), clock.clone(), dir, 0));
        let file = OsDisk.open(&path, OpenMode::New).unwrap();
        let (table, _) = Table::open(file, space(), 1 << 20, Some([1; 16])).unwrap();
        let blocks = [
            (window(60, 1_000_000), 20_000),
            (window(60, 2_000_000), 1),
            (window(86_400, 1_000_000), 300),
        ];
        let filled = table.write(|transaction| {
            let mut tags = transaction.open_table(TAGS).map_err(failed)?;
            for (window, blocks) in blocks {
                for block in 0..blocks {
                    tags.insert(block_key(window, block), [7; 100].as_slice()).map_err(failed)?;
                }
            }
            Ok(())
        });
        filled.and_then(|_| table.close()).unwrap();
        let file = OsDisk.open(&path, OpenMode::Existing).unwrap();
        let watch = Arc::new(Watch::default());
        let own = Arc::clone(&watch);
        let file = Hooked::over(file, move || own.read());
        // Its cache holds only a part of it.
        let (table, _) = Table::open(file, space(), 1 << 20, None).unwrap();
        watch.reads.store(0, Ordering::Relaxed);
        (table, watch)
    }

    // Goal: every page of the index is read, each part of it by one reader, and none has much
    // more to do than another. Method: windows of very different lengths; count the reads of the
    // file, and what is in each stretch.
    #[test]
    fn index_is_read_ahead_in_even_stretches() {
        let dir = tempfile::tempdir().unwrap();
        let (table, watch) = filled(dir.path());
        table.read_ahead(TAGS).unwrap();
        // 36 entries of some 114 bytes fit in a page of 4 KiB, half as many fill it by half.
        let (reads, pages) = (watch.reads.swap(0, Ordering::Relaxed), 20_301 / 36);
        assert!((pages..3 * pages).contains(&reads), "{reads} reads of some {pages} pages");
        let counted = table.read(|transaction| {
            let tags = transaction.open_table(TAGS).map_err(failed)?;
            assert_eq!(count(&tags, ..)?, 20_301);
            stretches(&tags)?.into_iter().map(|stretch| count(&tags, stretch)).collect()
        });
        let counts: Vec<usize> = counted.unwrap();
        assert_eq!(counts.iter().sum::<usize>(), 20_301);
        assert!(counts.iter().all(|count| (1..=1_100).contains(count)), "{counts:?}");
    }

    // Goal: P8, a read that fails ahead is told as it would be by whoever goes through the index:
    // a file that ends too soon is damage, and what the disk refuses is not. Method: refuse reads
    // in either way.
    #[test]
    fn failed_read_ahead_is_told_for_what_it_is() {
        let refusals = [
            (io::ErrorKind::UnexpectedEof, ErrorKind::Corrupt),
            (io::ErrorKind::PermissionDenied, ErrorKind::Io),
        ];
        for (refusal, told) in refusals {
            let dir = tempfile::tempdir().unwrap();
            let (table, watch) = filled(dir.path());
            watch.refusal.set(refusal).unwrap();
            let error = table.read_ahead(TAGS).unwrap_err();
            assert_eq!(error.kind(), told, "{error:?}");
            assert!(!is_of_an_earlier_one(&error), "{error:?}");
        }
    }
}
