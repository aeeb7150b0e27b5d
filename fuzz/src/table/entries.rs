//! The entries of the table's seven tables as `docs/format.md` draws them, read and written through
//! redb without the engine.

use crate::written::dir;
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::stored_table;
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const BLOCKS: TableDefinition<'_, [u8; 14], &[u8]> = TableDefinition::new("blocks");
const TAGS: TableDefinition<'_, [u8; 14], &[u8]> = TableDefinition::new("tags");
const LATER: TableDefinition<'_, [u8; 14], &[u8]> = TableDefinition::new("later tags");
const ROWS: TableDefinition<'_, [u8; 33], &[u8]> = TableDefinition::new("rows");
const DEATHS: TableDefinition<'_, [u8; 42], u64> = TableDefinition::new("deaths");
const TERMS: TableDefinition<'_, [u8; 66], ()> = TableDefinition::new("terms");

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Meta,
    Blocks,
    Tags,
    Later,
    Rows,
    Deaths,
    Terms,
}

impl Part {
    pub(super) const ALL: [Self; 7] =
        [Self::Blocks, Self::Tags, Self::Later, Self::Rows, Self::Deaths, Self::Terms, Self::Meta];
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// Every entry of every table.
#[derive(Debug, Clone)]
pub(super) struct Entries([Vec<Entry>; 7]);

impl Entries {
    pub(super) fn read(disk: &SimDisk) -> Self {
        // As long as the database is there it has the file to itself.
        let database = stored_table::open(&disk.kill(), dir());
        let reading = database.begin_read().expect("a transaction");
        macro_rules! all {
            ($table:expr, $key:expr, $value:expr) => {{
                let table = reading.open_table($table).expect("a table");
                let entries = table.iter().expect("entries").map(|entry| {
                    let (key, value) = entry.expect("an entry");
                    ($key(key.value()), $value(value.value()))
                });
                entries.collect::<Vec<Entry>>()
            }};
        }
        let number = |number: u64| number.to_le_bytes().to_vec();
        let mut entries = Self(Default::default());
        *entries.table(Part::Meta) = all!(META, |key: &str| key.as_bytes().to_vec(), number);
        *entries.table(Part::Blocks) = all!(BLOCKS, |key: [u8; 14]| key.to_vec(), <[u8]>::to_vec);
        *entries.table(Part::Tags) = all!(TAGS, |key: [u8; 14]| key.to_vec(), <[u8]>::to_vec);
        *entries.table(Part::Later) = all!(LATER, |key: [u8; 14]| key.to_vec(), <[u8]>::to_vec);
        *entries.table(Part::Rows) = all!(ROWS, |key: [u8; 33]| key.to_vec(), <[u8]>::to_vec);
        *entries.table(Part::Deaths) = all!(DEATHS, |key: [u8; 42]| key.to_vec(), number);
        *entries.table(Part::Terms) = all!(TERMS, |key: [u8; 66]| key.to_vec(), |()| Vec::new());
        entries
    }

    pub(super) fn table(&mut self, part: Part) -> &mut Vec<Entry> {
        &mut self.0[part as usize]
    }

    /// The entries that `before` does not have.
    pub(super) fn changed<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (Part, &'a Vec<u8>, &'a Vec<u8>)> {
        Part::ALL.into_iter().flat_map(move |part| {
            let held = &before.0[part as usize];
            let new = self.0[part as usize].iter().filter(|entry| !held.contains(entry));
            new.map(move |(key, value)| (part, key, value))
        })
    }

    /// What is stored under a key; nothing if there is no such key.
    pub(super) fn value(&self, part: Part, key: &[u8]) -> &[u8] {
        let found = self.0[part as usize].iter().find(|(held, _)| held == key);
        found.map_or(&[], |(_, value)| value)
    }

    pub(super) fn keys(&self, part: Part) -> impl Iterator<Item = &[u8]> {
        self.0[part as usize].iter().map(|(key, _)| key.as_slice())
    }

    /// Makes the table on `disk`, which has the entries of `before`, have these.
    pub(super) fn write(&self, before: &Self, disk: &SimDisk) {
        let gone = |part: Part| {
            let kept = &self.0[part as usize];
            before.0[part as usize].iter().filter(|entry| !kept.contains(entry)).map(|(key, _)| key)
        };
        let new = |part: Part| self.changed(before).filter(move |(of, ..)| *of == part);
        let database = stored_table::open(disk, dir());
        let writing = database.begin_write().expect("a transaction");
        macro_rules! change {
            ($part:expr, $table:expr, $key:expr, $value:expr) => {{
                let mut table = writing.open_table($table).expect("a table");
                for key in gone($part) {
                    table.remove($key(key)).expect("an entry is removed");
                }
                for (_, key, value) in new($part) {
                    table.insert($key(key), $value(value)).expect("an entry is added");
                }
            }};
        }
        let number = |value: &Vec<u8>| crate::record::u64_at(value, 0);
        change!(Part::Meta, META, |key| std::str::from_utf8(key).expect("a name"), number);
        change!(Part::Blocks, BLOCKS, fixed::<14>, Vec::as_slice);
        change!(Part::Tags, TAGS, fixed::<14>, Vec::as_slice);
        change!(Part::Later, LATER, fixed::<14>, Vec::as_slice);
        change!(Part::Rows, ROWS, fixed::<33>, Vec::as_slice);
        change!(Part::Deaths, DEATHS, fixed::<42>, number);
        change!(Part::Terms, TERMS, fixed::<66>, |_| ());
        writing.commit().expect("a commit");
    }
}

/// Makes the check of a value hold, where the table has one of its own.
pub(super) fn seal(part: Part, key: &[u8], value: &mut Vec<u8>) {
    match part {
        Part::Tags | Part::Later if value.len() >= 8 => {
            value.truncate(value.len() - 8);
            value.extend(check(key, value).to_le_bytes());
        }
        Part::Deaths => {
            let gone = value.first().is_some_and(|byte| byte & 1 == 1);
            *value = death(key, gone).to_le_bytes().to_vec();
        }
        _ => {}
    }
}

/// Gives a value the length that its table demands.
pub(super) fn fit(part: Part, value: &mut Vec<u8>) {
    match part {
        Part::Meta | Part::Deaths => value.resize(8, 0),
        Part::Terms => value.clear(),
        _ => {}
    }
}

/// True for tags whose check holds.
pub(super) fn sealed_tags(key: &[u8], value: &[u8]) -> bool {
    let rows = value.split_last_chunk::<8>();
    rows.is_some_and(|(rows, held)| u64::from_le_bytes(*held) == check(key, rows))
}

/// True for a death whose check holds.
pub(super) fn sealed_death(key: &[u8], value: &[u8]) -> bool {
    let value = crate::record::u64_at(value, 0);
    value == death(key, value & 1 == 1)
}

fn death(key: &[u8], gone: bool) -> u64 {
    check(key, &[u8::from(gone)]) & !1 | u64::from(gone)
}

fn check(key: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, xxh3_64(key))
}

fn fixed<const N: usize>(key: &Vec<u8>) -> [u8; N] {
    key.as_slice().try_into().expect("a key keeps its length")
}
