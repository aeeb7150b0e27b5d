//! What readers of the table share until it changes: one read transaction.

use super::{
    BLOCKS, BlockKey, DEATHS, DeathKey, Filed, ROWS, TABLE_FILE, TERMS, TermKey, block, block_key,
    death_key, failed, firsts_of_windows, front_of, guarded, key_of, read_filed, tags, term_key,
};
use crate::backend::{Key, Row, Term};
use crate::engine::place::Where;
use crate::engine::window::Window;
use crate::error::{Error, Result};
use redb::{Database, ReadOnlyTable, ReadableDatabase as _};
use std::ops::Bound;

/// One read transaction, shared by all readers until the next change.
pub(crate) struct View {
    blocks: ReadOnlyTable<BlockKey, &'static [u8]>,
    deaths: ReadOnlyTable<DeathKey, u64>,
    rows: ReadOnlyTable<[u8; Key::BYTES], &'static [u8]>,
    terms: ReadOnlyTable<TermKey, ()>,
}

impl View {
    pub(super) fn new(database: &Database) -> Result<Self> {
        let transaction = database.begin_read().map_err(failed)?;
        Ok(Self {
            blocks: transaction.open_table(BLOCKS).map_err(failed)?,
            deaths: transaction.open_table(DEATHS).map_err(failed)?,
            rows: transaction.open_table(ROWS).map_err(failed)?,
            terms: transaction.open_table(TERMS).map_err(failed)?,
        })
    }

    /// The row at a place in the table, if it is there; its check is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub(crate) fn row(&self, key: &Key, window: Window, at: Where) -> Result<Option<Row>> {
        match at {
            Where::Log { .. } => Ok(None),
            Where::ById => Ok(self.filed(key)?.map(|filed| filed.row)),
            Where::Block { block, row } => guarded(|| {
                let Some(value) = self.blocks.get(&block_key(window, block)).map_err(failed)?
                else {
                    return Ok(None);
                };
                let found = block::row(value.value(), row);
                found.map(Some).ok_or_else(|| {
                    Error::corrupt(format!("row {row} of block {block} in {TABLE_FILE} is damaged"))
                })
            }),
        }
    }

    /// A revised row and the window it is filed under.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub(crate) fn filed(&self, key: &Key) -> Result<Option<Filed>> {
        guarded(|| {
            let value = self.rows.get(&key.to_bytes()).map_err(failed)?;
            value.map(|value| read_filed(key, value.value())).transpose()
        })
    }

    /// True if a row by id has a death under one of these windows, and is not there.
    pub(crate) fn is_lost(&self, key: &Key, windows: &[Window]) -> Result<bool> {
        guarded(|| {
            if self.rows.get(&key.to_bytes()).map_err(failed)?.is_some() {
                return Ok(false);
            }
            for window in windows {
                if self.deaths.get(&death_key(*window, key)).map_err(failed)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Up to `limit` keys that rows are filed under, after `after`, in order.
    pub(crate) fn filed_after(&self, after: Option<Key>, limit: usize) -> Result<Vec<Key>> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_bytes()));
        guarded(|| {
            let range = self.rows.range::<[u8; Key::BYTES]>((from, Bound::Unbounded));
            let entries = range.map_err(failed)?.take(limit);
            let keys = entries.map(|entry| Ok(Key::from_bytes(&entry.map_err(failed)?.0.value())));
            let keys = keys.collect::<Result<Vec<Key>>>()?;
            // A damaged page may lead back to where it was come from.
            let ascends = after.iter().chain(&keys).is_sorted_by(|one, next| one < next);
            if ascends { Ok(keys) } else { Err(tags::damaged()) }
        })
    }

    /// The windows that the terms of rows lie under.
    pub(crate) fn windows_with_terms(&self) -> Result<Vec<Window>> {
        guarded(|| {
            let windows = firsts_of_windows(&self.terms)?
                .into_iter()
                .map(|first| front_of(&first).map(|(window, _)| window).ok_or_else(tags::damaged));
            windows.collect()
        })
    }

    /// Up to `limit` keys that carry `term`, after `after`, in order and each once.
    pub(crate) fn keys(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Vec<Key>> {
        let damaged = || Error::corrupt(format!("a term in {TABLE_FILE} is damaged"));
        guarded(|| {
            let mut keys = Vec::new();
            let mut passed = Bound::Unbounded;
            // From batch to batch: each checkpoint adds one to each window that it files under.
            while let Some(entry) =
                self.terms.range::<TermKey>((passed, Bound::Unbounded)).map_err(failed)?.next()
            {
                let found = entry.map_err(failed)?.0.value();
                let (window, batch) = front_of(&found).ok_or_else(damaged)?;
                let last = term_key(window, batch, Term::MAX, &Key::MAX);
                // A damaged page may lead back to where it was come from.
                if matches!(passed, Bound::Excluded(passed) if passed >= last) {
                    return Err(damaged());
                }
                let first = term_key(window, batch, term, &after.unwrap_or(Key::MIN));
                let asked = first..=term_key(window, batch, term, &Key::MAX);
                let range = self.terms.range(asked.clone()).map_err(failed)?;
                // One more: the key `after` may be the first.
                for entry in range.take(limit + 1) {
                    let found = entry.map_err(failed)?.0.value();
                    // One before `after` would lead the next page back.
                    let key = asked.contains(&found).then(|| key_of(&found)).flatten();
                    keys.push(key.ok_or_else(damaged)?);
                }
                passed = Bound::Excluded(last);
            }
            keys.retain(|key| Some(*key) != after);
            keys.sort_unstable();
            keys.dedup();
            keys.truncate(limit);
            Ok(keys)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Kind;
    use crate::clock::Timestamp;
    use crate::digest::Digest;
    use crate::error::ErrorKind;
    use std::path::Path;

    const ENTRIES: u8 = 40;
    const TERM: Term = Term([7; 16]);
    /// A term of which every entry is of one batch.
    const OF_ONE_BATCH: Term = Term([8; 16]);

    fn key(number: u8) -> Key {
        Key::new(Kind::revised(1), Digest::from_bytes([number; 32]))
    }

    fn window() -> Window {
        let now = Timestamp::from_millis(1_800_000_000_000);
        Window::of(now, now)
    }

    fn term_of(number: u8) -> TermKey {
        term_key(window(), number.into(), TERM, &key(number))
    }

    fn of_one_batch(number: u8) -> TermKey {
        term_key(window(), 1, OF_ONE_BATCH, &key(number))
    }

    /// Makes a table of one entry for each number from 1 on.
    fn make(path: &Path) {
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            transaction.open_table(BLOCKS).unwrap();
            transaction.open_table(DEATHS).unwrap();
            let mut rows = transaction.open_table(ROWS).unwrap();
            let mut terms = transaction.open_table(TERMS).unwrap();
            for number in 1..=ENTRIES {
                rows.insert(key(number).to_bytes(), [number].as_slice()).unwrap();
                terms.insert(term_of(number), ()).unwrap();
                terms.insert(of_one_batch(number), ()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    /// Makes `found` `instead`, wherever it is in the file.
    fn replace(path: &Path, found: &[u8], instead: &[u8]) {
        let mut bytes = std::fs::read(path).unwrap();
        let places = (0..bytes.len() - found.len()).filter(|at| bytes[*at..].starts_with(found));
        let places: Vec<usize> = places.collect();
        assert!(!places.is_empty(), "it is in the file");
        for at in places {
            bytes[at..at + found.len()].copy_from_slice(instead);
        }
        std::fs::write(path, bytes).unwrap();
    }

    // Goal: P4, a page whose entries do not ascend ends a listing and a scan, and is told: they go
    // from each entry to the next, and one that leads back would be met for good. Method: make each
    // entry in turn the least of all; list and scan.
    #[test]
    fn entries_that_lead_back_end_a_listing() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, path) = (dir.path().join("whole"), dir.path().join("damaged"));
        make(&whole);
        let look = |path: &Path| {
            let database = Database::open(path).unwrap();
            let view = View::new(&database).unwrap();
            let kinds = |found: Result<Vec<Key>>| found.map_err(|error| error.kind());
            (kinds(view.keys(TERM, None, 100)), kinds(view.filed_after(None, 100)))
        };
        let all: Vec<Key> = (1..=ENTRIES).map(key).collect();
        assert_eq!(look(&whole), (Ok(all.clone()), Ok(all)));
        let (mut listings, mut scans) = (0, 0);
        for number in 2..=ENTRIES {
            std::fs::copy(&whole, &path).unwrap();
            replace(&path, &term_of(number), &term_of(0));
            replace(&path, &key(number).to_bytes(), &key(0).to_bytes());
            let (listed, scanned) = look(&path);
            listings += usize::from(listed == Err(ErrorKind::Corrupt));
            scans += usize::from(scanned == Err(ErrorKind::Corrupt));
        }
        assert!(listings > 0, "no listing was led back");
        assert_eq!(scans, usize::from(ENTRIES) - 1);
    }

    // Goal: P4, no page of a listing has a key that is before where the page begins: whoever goes
    // on behind its last key would meet it for good. Method: make each entry of a page in turn the
    // least of its batch; list the page.
    #[test]
    fn no_page_of_a_listing_leads_back() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, path) = (dir.path().join("whole"), dir.path().join("damaged"));
        make(&whole);
        let page = |path: &Path| {
            let database = Database::open(path).unwrap();
            let view = View::new(&database).unwrap();
            let listed = view.keys(OF_ONE_BATCH, Some(key(20)), 10);
            listed.map_err(|error| error.kind())
        };
        assert_eq!(page(&whole), Ok((21..=30).map(key).collect()));
        let mut told = 0;
        for number in 21..=30 {
            std::fs::copy(&whole, &path).unwrap();
            replace(&path, &of_one_batch(number), &of_one_batch(0));
            match page(&path) {
                Err(kind) => {
                    assert_eq!(kind, ErrorKind::Corrupt);
                    told += 1;
                }
                Ok(keys) => assert!(keys.iter().all(|listed| *listed > key(20)), "{keys:?}"),
            }
        }
        assert!(told > 0, "no page was led back");
    }
}
