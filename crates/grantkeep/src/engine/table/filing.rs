//! Filing revised rows: by id, by the window in which they die, and by index term.
//!
//! Deaths and terms have the window in front, so that the entries of rows that die together lie
//! together: what a checkpoint adds falls into few pages, and what a sweep removes does too.

use super::{
    DEATHS, DeathKey, ROWS, TERMS, TermKey, death_key, entry_check, failed, read_filed, term_key,
    write_filed,
};
use crate::backend::{Key, Row};
use crate::engine::window::Window;
use crate::error::Result;
use redb::{ReadableTable as _, Table, WriteTransaction};

/// The three tables of revised rows, open for writing.
pub(crate) struct Filing<'txn> {
    rows: Table<'txn, [u8; Key::BYTES], &'static [u8]>,
    deaths: Table<'txn, DeathKey, u64>,
    terms: Table<'txn, TermKey, ()>,
    /// What is to be added, so that it can be added in the order of the keys.
    new_deaths: Vec<DeathKey>,
    new_terms: Vec<TermKey>,
}

impl<'txn> Filing<'txn> {
    pub(crate) fn new(transaction: &'txn WriteTransaction) -> Result<Self> {
        Ok(Self {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            deaths: transaction.open_table(DEATHS).map_err(failed)?,
            terms: transaction.open_table(TERMS).map_err(failed)?,
            new_deaths: Vec::new(),
            new_terms: Vec::new(),
        })
    }

    /// The row under `key`, and the window it is filed under.
    pub(crate) fn filed(&self, key: &Key) -> Result<Option<(Window, Row)>> {
        let value = self.rows.get(key.to_bytes()).map_err(failed)?;
        value.map(|value| read_filed(key, value.value())).transpose()
    }

    /// Files `row` under `window`, in place of what was filed `before`.
    pub(crate) fn put(
        &mut self,
        window: Window,
        row: &Row,
        before: Option<(Window, Row)>,
    ) -> Result<()> {
        let key = row.key();
        let stays = before
            .as_ref()
            .is_some_and(|(filed, before)| *filed == window && before.terms() == row.terms());
        if !stays {
            if let Some((filed, before)) = &before {
                self.remove_entries(*filed, before)?;
            }
            self.new_deaths.push(death_key(window, &key));
            self.new_terms.extend(row.terms().iter().map(|term| term_key(window, term, &key)));
        }
        let value = write_filed(window, row);
        self.rows.insert(key.to_bytes(), value.as_slice()).map_err(failed)?;
        Ok(())
    }

    /// Takes out a row that is filed under `window`.
    pub(crate) fn remove(&mut self, window: Window, row: &Row) -> Result<()> {
        self.rows.remove(row.key().to_bytes()).map_err(failed)?;
        self.remove_entries(window, row)
    }

    /// Adds the entries that are left to be added.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.new_deaths.sort_unstable();
        for death in &self.new_deaths {
            self.deaths.insert(death, entry_check(death, &[])).map_err(failed)?;
        }
        self.new_terms.sort_unstable();
        for term in &self.new_terms {
            self.terms.insert(term, ()).map_err(failed)?;
        }
        Ok(())
    }

    fn remove_entries(&mut self, window: Window, row: &Row) -> Result<()> {
        let key = row.key();
        self.deaths.remove(death_key(window, &key)).map_err(failed)?;
        for term in row.terms().iter() {
            self.terms.remove(term_key(window, term, &key)).map_err(failed)?;
        }
        Ok(())
    }
}
