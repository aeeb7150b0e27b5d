//! What readers of the table share until it changes: one read transaction.

use super::{
    BLOCKS, BlockKey, Filed, ROWS, TABLE_FILE, TERMS, TermKey, block, block_key, failed,
    firsts_of_windows, front_of, guarded, key_of, read_filed, tags, term_key,
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
    rows: ReadOnlyTable<[u8; Key::BYTES], &'static [u8]>,
    terms: ReadOnlyTable<TermKey, ()>,
}

impl View {
    pub(super) fn new(database: &Database) -> Result<Self> {
        let transaction = database.begin_read().map_err(failed)?;
        Ok(Self {
            blocks: transaction.open_table(BLOCKS).map_err(failed)?,
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

    /// Up to `limit` keys that rows are filed under, after `after`, in order.
    pub(crate) fn filed_after(&self, after: Option<Key>, limit: usize) -> Result<Vec<Key>> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_bytes()));
        guarded(|| {
            let range = self.rows.range::<[u8; Key::BYTES]>((from, Bound::Unbounded));
            let entries = range.map_err(failed)?.take(limit);
            entries.map(|entry| Ok(Key::from_bytes(&entry.map_err(failed)?.0.value()))).collect()
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
                let first = term_key(window, batch, term, &after.unwrap_or(Key::MIN));
                let range = self.terms.range(first..=term_key(window, batch, term, &Key::MAX));
                // One more: the key `after` may be the first.
                for entry in range.map_err(failed)?.take(limit + 1) {
                    let found = entry.map_err(failed)?.0.value();
                    keys.push(key_of(&found).ok_or_else(damaged)?);
                }
                passed = Bound::Excluded(term_key(window, batch, Term::MAX, &Key::MAX));
            }
            keys.retain(|key| Some(*key) != after);
            keys.sort_unstable();
            keys.dedup();
            keys.truncate(limit);
            Ok(keys)
        })
    }
}
