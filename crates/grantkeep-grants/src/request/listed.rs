//! A page of a listing.

use grantkeep::Cursor;
use std::fmt;

/// A page of a listing: only what is in force, so it may hold fewer than were asked for, or none,
/// while there is a next page.
#[derive(Clone)]
#[non_exhaustive]
pub struct Listed<T> {
    /// What is in force.
    pub items: Vec<T>,
    /// Where the next page starts, or `None` after the last.
    pub next: Option<Cursor>,
}

impl<T> fmt::Debug for Listed<T> {
    /// How many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed")
            .field("items", &self.items.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
