//! A disk that refuses chosen calls: each kind of call on each kind of file of a store.

use crate::sim_disk::SimDisk;
use grantkeep::{Disk, DiskFile, OpenMode};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What a path of a store leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A segment of the log.
    Segment,
    /// A segment that is being made.
    FreshSegment,
    /// The directory of the log.
    Log,
    Table,
    Lock,
    Reserve,
    Keyring,
    /// The keyring that is to be.
    FreshKeyring,
    /// The store's directory.
    Store,
}

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Open,
    Read,
    Write,
    Sync,
    SetLength,
    Length,
    Rename,
    Remove,
    DropCache,
}

#[derive(Debug)]
struct Refusal {
    part: Part,
    call: Call,
    error: io::ErrorKind,
    /// How many are let through before.
    passed: u64,
    /// How many more are refused.
    left: u64,
}

/// A simulated disk that refuses what it is told to. Clones are handles of the same disk.
#[derive(Debug, Clone)]
pub struct RefusingDisk {
    pub disk: SimDisk,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    refused: Arc<AtomicU64>,
}

impl RefusingDisk {
    pub fn over(disk: SimDisk) -> Self {
        Self { disk, refusals: Arc::default(), refused: Arc::default() }
    }

    /// Refuses the next `times` calls of this kind with an error, beside what it refuses already.
    pub fn refuse(&self, part: Part, call: Call, error: io::ErrorKind, times: u64) {
        self.refuse_behind(0, part, call, error, times);
    }

    /// Refuses calls of this kind as well, once `passed` of them were let through.
    pub fn refuse_behind(
        &self,
        passed: u64,
        part: Part,
        call: Call,
        error: io::ErrorKind,
        times: u64,
    ) {
        self.refusals.lock().unwrap().push(Refusal { part, call, error, passed, left: times });
    }

    /// Refuses nothing from now on.
    pub fn heal(&self) {
        self.refusals.lock().unwrap().clear();
    }

    /// How many calls were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn check(&self, part: Option<Part>, call: Call) -> io::Result<()> {
        let mut refusals = self.refusals.lock().unwrap();
        let is_due =
            |held: &&mut Refusal| Some(held.part) == part && held.call == call && held.left > 0;
        let Some(refusal) = refusals.iter_mut().find(is_due) else { return Ok(()) };
        if refusal.passed > 0 {
            refusal.passed -= 1;
            return Ok(());
        }
        refusal.left -= 1;
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(refusal.error.into())
    }
}

fn part_of(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_str()?;
    Some(match name {
        "table.redb" | "table.redb.new" => Part::Table,
        "LOCK" => Part::Lock,
        "reserve" => Part::Reserve,
        "keyring" => Part::Keyring,
        "keyring.new" => Part::FreshKeyring,
        "log" => Part::Log,
        _ if name.ends_with(".seg") => Part::Segment,
        _ if name.ends_with(".new") => Part::FreshSegment,
        _ => Part::Store,
    })
}

impl Disk for RefusingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let part = part_of(path);
        self.check(part, Call::Open)?;
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(RefusingFile { file, part: Mutex::new(part), disk: self.clone() }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(part_of(from), Call::Rename)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(part_of(path), Call::Remove)?;
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(part_of(dir), Call::Sync)?;
        self.disk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct RefusingFile {
    file: Arc<dyn DiskFile>,
    part: Mutex<Option<Part>>,
    disk: RefusingDisk,
}

impl RefusingFile {
    fn check(&self, call: Call) -> io::Result<()> {
        self.disk.check(*self.part.lock().unwrap(), call)
    }
}

impl DiskFile for RefusingFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.check(Call::Read)?;
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check(Call::Write)?;
        self.file.write_at(bytes, offset)?;
        // Its header is the last that is written to a segment before it has its name.
        let mut part = self.part.lock().unwrap();
        if *part == Some(Part::FreshSegment) && bytes.starts_with(b"GKLOG") && offset > 0 {
            *part = Some(Part::Segment);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(Call::Sync)?;
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.check(Call::SetLength)?;
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.check(Call::Length)?;
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.check(Call::DropCache)?;
        self.file.drop_cache()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
