//! A simulated disk on which each operation on the log is a step: other threads may go on, and the
//! power may fail, between any two.
//!
//! The table's file takes no steps: redb holds locks of its own meanwhile, which the checker does
//! not know.

use crate::sim_disk::SimDisk;
use grantkeep::{Disk, DiskFile, OpenMode};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A disk whose log is written step by step.
#[derive(Debug, Clone)]
pub struct SteppingDisk(pub SimDisk);

#[derive(Debug)]
struct SteppingFile(Arc<dyn DiskFile>);

/// Lets the checker choose who goes on.
fn step() {
    shuttle::thread::sleep(Duration::ZERO);
}

impl Disk for SteppingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(path, mode)?;
        let of_log = path.parent().is_some_and(|folder| folder.ends_with("log"));
        Ok(if of_log { Arc::new(SteppingFile(file)) } else { file })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
}

impl DiskFile for SteppingFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        step();
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        step();
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        step();
        self.0.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.0.drop_cache()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}
