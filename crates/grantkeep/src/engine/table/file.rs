//! redb's storage on the store's disk: the seam, the reserve, and the pacing of its writes.

use crate::disk::DiskFile;
use crate::engine::courtesy;
use crate::engine::space::Space;
use crate::sync::{Arc, Ordering, Tally};
use redb::StorageBackend;
use std::io;

/// Bytes that the table writes before it lets the device come to rest: a commit of the log that
/// arrives in between waits behind at most this much. Where commits wait for the table, or soon
/// will, it does not rest.
const PACE_BYTES: u64 = 128 * 1024;

/// The table's file.
#[derive(Debug)]
pub(crate) struct TableFile {
    file: Arc<dyn DiskFile>,
    space: Arc<Space>,
    unsynced_bytes: Tally,
}

impl TableFile {
    pub(crate) fn new(file: Arc<dyn DiskFile>, space: Arc<Space>) -> Self {
        Self { file, space, unsynced_bytes: Tally::new(0) }
    }
}

impl StorageBackend for TableFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.space.write(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.unsynced_bytes.store(0, Ordering::Relaxed);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        courtesy::step();
        self.space.write(|| self.file.write_at(data, offset))?;
        let unsynced = self.unsynced_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        if unsynced >= PACE_BYTES && !courtesy::is_awaited() {
            // Early, not instead: the commit's own sync still follows.
            self.sync_data()?;
        }
        Ok(())
    }
}
