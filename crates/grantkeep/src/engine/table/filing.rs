//! Filing later versions of rows: by id, by the window in which they die, and by index term.
//!
//! Deaths and terms have the window in front, so that the entries of rows that die together lie
//! together. Terms have the batch behind it: what a checkpoint adds is appended, and what a sweep
//! cuts is one range.

use super::{
    DEATHS, DeathKey, Filed, ROWS, TERMS, TermKey, death_key, death_value, failed, read_filed,
    term_key, write_filed,
};
use crate::backend::{Key, Row};
use crate::engine::courtesy;
use crate::engine::window::Window;
use crate::error::Result;
use redb::{ReadableTable as _, Table, WriteTransaction};

/// The three tables of revised rows, open for writing.
pub(crate) struct Filing<'txn> {
    rows: Table<'txn, [u8; Key::BYTES], &'static [u8]>,
    deaths: Table<'txn, DeathKey, u64>,
    terms: Table<'txn, TermKey, ()>,
    /// The number of this batch of terms.
    batch: u64,
    /// What is to be added, so that it can be added in the order of the keys.
    new_deaths: Vec<(DeathKey, u64)>,
    new_terms: Vec<TermKey>,
}

impl<'txn> Filing<'txn> {
    /// Opens the tables; terms are added as batch number `batch`.
    pub(crate) fn new(transaction: &'txn WriteTransaction, batch: u64) -> Result<Self> {
        Ok(Self {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            deaths: transaction.open_table(DEATHS).map_err(failed)?,
            terms: transaction.open_table(TERMS).map_err(failed)?,
            batch,
            new_deaths: Vec::new(),
            new_terms: Vec::new(),
        })
    }

    /// What is filed under `key`.
    pub(crate) fn filed(&self, key: &Key) -> Result<Option<Filed>> {
        let value = self.rows.get(key.to_bytes()).map_err(failed)?;
        value.map(|value| read_filed(key, value.value())).transpose()
    }

    /// Files `row` under `window`, in place of what was filed `before`.
    pub(crate) fn put(&mut self, window: Window, row: &Row, before: Option<&Filed>) -> Result<()> {
        // A deletion has no terms. Those of a version in a block stay until they are cut.
        let gone = row.is_tombstone();
        let same = |filed: &&Filed| {
            let (there, was_gone) = (&filed.row, filed.row.is_tombstone());
            filed.window == window && there.terms() == row.terms() && was_gone == gone
        };
        let batch = if let Some(filed) = before.filter(same) {
            filed.batch
        } else {
            if let Some(filed) = before {
                self.remove_entries(filed)?;
            }
            let death = death_key(window, &row.key());
            self.new_deaths.push((death, death_value(&death, gone)));
            self.list(window, row);
            self.batch
        };
        let value = write_filed(&Filed { window, batch, row: row.clone() });
        self.rows.insert(row.key().to_bytes(), value.as_slice()).map_err(failed)?;
        Ok(())
    }

    /// Adds the terms of a row that lies under `window`, by id or in a block.
    pub(crate) fn list(&mut self, window: Window, row: &Row) {
        if row.is_tombstone() {
            return;
        }
        let key = row.key();
        let keys = row.terms();
        self.new_terms.extend(keys.iter().map(|term| term_key(window, self.batch, term, &key)));
    }

    /// Takes out a row.
    pub(crate) fn remove(&mut self, filed: &Filed) -> Result<()> {
        self.rows.remove(filed.row.key().to_bytes()).map_err(failed)?;
        self.remove_entries(filed)
    }

    /// Takes out a row whose window is about to be cut, terms and all.
    pub(crate) fn remove_ended(&mut self, filed: &Filed) -> Result<()> {
        let key = filed.row.key();
        self.rows.remove(key.to_bytes()).map_err(failed)?;
        self.deaths.remove(death_key(filed.window, &key)).map_err(failed)?;
        Ok(())
    }

    /// Adds the entries that are left to be added.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.new_deaths.sort_unstable();
        for (death, value) in &self.new_deaths {
            self.deaths.insert(death, value).map_err(failed)?;
        }
        self.new_terms.sort_unstable();
        for term in &self.new_terms {
            courtesy::step();
            self.terms.insert(term, ()).map_err(failed)?;
        }
        Ok(())
    }

    fn remove_entries(&mut self, filed: &Filed) -> Result<()> {
        let key = filed.row.key();
        self.deaths.remove(death_key(filed.window, &key)).map_err(failed)?;
        for term in filed.row.terms().iter() {
            let term = term_key(filed.window, filed.batch, term, &key);
            self.terms.remove(term).map_err(failed)?;
        }
        Ok(())
    }
}
