//! What is left in a store's table: every entry of its five tables, counted without the engine.

use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::stored_table;
use redb::{ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
use std::path::Path;

const BLOCKS: TableDefinition<[u8; 14], &[u8]> = TableDefinition::new("blocks");
const TAGS: TableDefinition<[u8; 14], &[u8]> = TableDefinition::new("tags");
const ROWS: TableDefinition<[u8; 33], &[u8]> = TableDefinition::new("rows");
const DEATHS: TableDefinition<[u8; 42], u64> = TableDefinition::new("deaths");
const TERMS: TableDefinition<[u8; 66], ()> = TableDefinition::new("terms");

/// How many entries each table of a closed store has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Residue {
    pub blocks: u64,
    pub tags: u64,
    pub rows: u64,
    pub deaths: u64,
    pub terms: u64,
}

pub fn count(disk: &SimDisk, dir: &Path) -> Residue {
    let database = stored_table::open(disk, dir);
    let transaction = database.begin_read().unwrap();
    Residue {
        blocks: transaction.open_table(BLOCKS).unwrap().len().unwrap(),
        tags: transaction.open_table(TAGS).unwrap().len().unwrap(),
        rows: transaction.open_table(ROWS).unwrap().len().unwrap(),
        deaths: transaction.open_table(DEATHS).unwrap().len().unwrap(),
        terms: transaction.open_table(TERMS).unwrap().len().unwrap(),
    }
}
