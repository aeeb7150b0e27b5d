//! The table of a store on a simulated disk, through redb and without the engine.

use crate::sim_disk::SimDisk;
use grantkeep::{Disk as _, DiskFile, OpenMode};
use redb::Database;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Opens the table of the store in `dir`.
///
/// # Panics
/// If it is not there, or not whole.
pub fn open(disk: &SimDisk, dir: &Path) -> Database {
    let file = disk.open(&dir.join("table.redb"), OpenMode::Existing).expect("a table");
    Database::builder().create_with_backend(File(file)).expect("a whole database")
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
