//! How the embedded peers keep tokens: a table by the token's digest, one by the family's id, and
//! an index by expiry, as one builds it on any engine that keeps keys in order.

use crate::workload::{Change, Family, row};
use std::ops::Range;

/// Rows that one transaction of a sweep removes.
pub(crate) const SWEEP_ROWS: usize = 10_000;

/// Length of an entry of the index.
const ENTRY_BYTES: usize = 41;

/// An entry of the index by expiry: when a row dies, which table it is in, its key there.
pub(crate) type Entry = [u8; ENTRY_BYTES];

/// Before all entries.
pub(crate) const NO_ENTRY: Entry = [0; ENTRY_BYTES];

/// The table that a row is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Of {
    Token = 0,
    Family = 1,
}

/// The entry of a row, so that entries are in the order in which rows die.
fn entry(dies_ms: u64, of: Of, id: &[u8; 32]) -> Entry {
    let mut entry = [0; ENTRY_BYTES];
    entry[..8].copy_from_slice(&dies_ms.to_be_bytes());
    entry[8] = of as u8;
    entry[9..].copy_from_slice(id);
    entry
}

/// The row of an entry.
fn row_of(entry: &[u8]) -> (Of, [u8; 32]) {
    let of = if entry[8] == Of::Token as u8 { Of::Token } else { Of::Family };
    (of, entry[9..ENTRY_BYTES].try_into().expect("an entry ends with an id"))
}

/// The entries of rows that are dead at this moment.
pub(crate) fn dead(now_ms: u64) -> Range<Entry> {
    NO_ENTRY..entry(now_ms, Of::Token, &[0; 32])
}

/// The tables of an engine, inside a transaction.
pub(crate) trait Tables {
    /// The row of a family that is there.
    fn family(&mut self, id: &[u8; 32]) -> Vec<u8>;
    /// Puts a row in the place of what there was.
    fn put(&mut self, of: Of, id: &[u8; 32], row: &[u8]);
    /// Removes a row.
    fn remove(&mut self, of: Of, id: &[u8; 32]);
    /// Adds an entry to the index by expiry.
    fn enter(&mut self, entry: &Entry);
    /// Removes an entry.
    fn strike(&mut self, entry: &[u8]);
}

/// A change, and the digest that its token is filed under.
pub(crate) struct Filed {
    change: Change,
    digest: [u8; 32],
}

impl Filed {
    /// Computes the digest, on the thread of the caller.
    pub(crate) fn new(change: Change) -> Self {
        Self { digest: change.token.text.digest(), change }
    }
}

/// Does what a change says.
pub(crate) fn apply(tables: &mut impl Tables, Filed { change, digest }: &Filed) {
    let token = &change.token;
    tables.put(Of::Token, digest, &token.row);
    tables.enter(&entry(token.dies_ms, Of::Token, digest));
    match &change.what {
        Family::Opened(opened) => tables.put(Of::Family, &change.family, opened),
        Family::Rotated => {
            let held = tables.family(&change.family);
            tables.strike(&entry(row::dies_ms(&held), Of::Family, &change.family));
            tables.put(Of::Family, &change.family, &row::next(&held, change.family_dies_ms));
        }
    }
    tables.enter(&entry(change.family_dies_ms, Of::Family, &change.family));
}

/// Removes the rows of these entries, and the entries; answers how many.
pub(crate) fn sweep(tables: &mut impl Tables, entries: &[Entry]) -> usize {
    for entry in entries {
        let (of, id) = row_of(entry);
        tables.remove(of, &id);
        tables.strike(entry);
    }
    entries.len()
}

/// An entry as it was read.
pub(crate) fn read_entry(entry: &[u8]) -> Entry {
    entry.try_into().expect("entries of the index have one length")
}
