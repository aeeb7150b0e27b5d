//! Listing what a subject or a client has, page by page.

use super::Store;
use super::epoch::Owner;
use super::record::{Held, Record};
use crate::backend::{Backend, Key, Term};
use crate::digest::Digest;
use crate::error::Result;
use std::fmt;

/// Where the next page of a listing starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Key);

/// One page of records.
#[derive(Clone)]
pub struct Listing<R> {
    /// Records, expired ones that are not yet swept among them.
    pub records: Vec<Held<R>>,
    /// Where the next page starts, or `None` after the last.
    pub next: Option<Cursor>,
}

impl<R> fmt::Debug for Listing<R> {
    /// How many records there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("records", &self.records.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Store<B> {
    /// The records of one type that belong to `owner`, at most `limit` a page (up to
    /// [`PAGE_ROWS_MAX`](crate::backend::PAGE_ROWS_MAX)).
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn list<R: Record>(
        &self,
        owner: Owner<'_>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Listing<R>> {
        self.list_by(owner.term(), after, limit).await
    }

    /// The records of one type that carry `term`.
    pub(super) async fn list_by<R: Record>(
        &self,
        term: Term,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Listing<R>> {
        let first = Key::new(R::KIND, Digest::from_bytes([0; 32]));
        let after = after.map_or(first, |cursor| cursor.0);
        let page = self.backend().list(term, Some(after), limit).await?;
        let ours = |key: &Key| key.kind == R::KIND;
        let records = page
            .rows
            .iter()
            .filter(|row| ours(&row.key()))
            .map(Held::read)
            .collect::<Result<Vec<_>>>()?;
        Ok(Listing { records, next: page.next.filter(ours).map(Cursor) })
    }
}
