//! What is left in a store's table: every entry of its five tables, counted without the engine.

use grantkeep::{Disk as _, DiskFile, OpenMode};
use grantkeep_tests::sim_disk::SimDisk;
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
use std::io;
use std::path::Path;
use std::sync::Arc;

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
    let file = disk.open(&dir.join("table.redb"), OpenMode::Existing).unwrap();
    let database = Database::builder().create_with_backend(File(file)).unwrap();
    let transaction = database.begin_read().unwrap();
    Residue {
        blocks: transaction.open_table(BLOCKS).unwrap().len().unwrap(),
        tags: transaction.open_table(TAGS).unwrap().len().unwrap(),
        rows: transaction.open_table(ROWS).unwrap().len().unwrap(),
        deaths: transaction.open_table(DEATHS).unwrap().len().unwrap(),
        terms: transaction.open_table(TERMS).unwrap().len().unwrap(),
    }
}

#[derive(Debug)]
struct File(Arc<dyn DiskFile>);

impl redb::StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
}
