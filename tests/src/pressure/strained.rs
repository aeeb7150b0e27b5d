//! A disk over another one from which things are taken away and given back while a store runs:
//! room, descriptors, reads and writes of the table. It also times the syncs of the log, and slows
//! down the writes to a directory.

use grantkeep::{Disk, DiskFile, FileId, OpenMode};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const BLOCK_BYTES: u64 = 4_096;
const MIB: u64 = 1 << 20;
/// The name of a store's table.
const TABLE: &str = "table.redb";
/// `EMFILE`: no descriptors are left.
const NO_DESCRIPTORS: i32 = 24;

/// What is wrong with a disk at present. All of it may be changed at any time.
#[derive(Debug, Default)]
pub struct Strain {
    /// Reads of the table fail.
    pub table_reads: AtomicBool,
    /// Writes and syncs of the table fail.
    pub table_writes: AtomicBool,
    /// Whatever needs a descriptor fails.
    pub descriptors: AtomicBool,
    /// Operations that were refused.
    pub refused: AtomicU64,
    /// The longest sync of a log segment since it was set to 0, in microseconds.
    log_sync_longest_us: AtomicU64,
    /// Below which directory each MiB that is written takes so much longer.
    slow: Mutex<Option<(PathBuf, Duration)>>,
    room: Option<Room>,
}

/// Room that is counted here, over a disk that has no end.
#[derive(Debug)]
struct Room {
    bytes: AtomicU64,
    /// True for a disk that tells how much is left.
    told: bool,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    blocks: HashMap<PathBuf, Arc<Mutex<BTreeSet<u64>>>>,
    used_blocks: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Strain {
    /// Of a disk that has its own size.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Of an endless disk that is given this size; `told` says whether it tells what is left.
    pub fn with_room(bytes: u64, told: bool) -> Arc<Self> {
        let room = Room { bytes: AtomicU64::new(bytes), told, files: Mutex::default() };
        Arc::new(Self { room: Some(room), ..Self::default() })
    }

    /// Makes a disk of this size: smaller than what is used is full.
    pub fn resize(&self, bytes: u64) {
        if let Some(room) = &self.room {
            room.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// The bytes of all files, where they are counted here.
    pub fn used_bytes(&self) -> u64 {
        self.room.as_ref().map_or(0, |room| locked(&room.files).used_blocks * BLOCK_BYTES)
    }

    /// From now on each MiB that is written to a file opened below `dir` takes `longer`.
    pub fn slow_down(&self, dir: &Path, longer: Duration) {
        *locked(&self.slow) = Some((dir.to_path_buf(), longer));
    }

    /// The longest sync of a log segment since this was asked last.
    pub fn take_longest_log_sync(&self) -> Duration {
        Duration::from_micros(self.log_sync_longest_us.swap(0, Ordering::Relaxed))
    }

    fn check(&self, fails: &AtomicBool, why: impl FnOnce() -> io::Error) -> io::Result<()> {
        if !fails.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(why())
    }

    fn check_descriptors(&self) -> io::Result<()> {
        self.check(&self.descriptors, || io::Error::from_raw_os_error(NO_DESCRIPTORS))
    }

    fn blocks_of(&self, path: &Path) -> Option<Arc<Mutex<BTreeSet<u64>>>> {
        let room = self.room.as_ref()?;
        let mut files = locked(&room.files);
        Some(Arc::clone(files.blocks.entry(path.to_path_buf()).or_default()))
    }

    /// Takes the blocks of a write, if there is room.
    fn take(&self, held: &Mutex<BTreeSet<u64>>, offset: u64, bytes: u64) -> io::Result<()> {
        let Some(room) = &self.room else { return Ok(()) };
        let mut files = locked(&room.files);
        let mut held = locked(held);
        let wanted = offset / BLOCK_BYTES..(offset + bytes).div_ceil(BLOCK_BYTES);
        let fresh: Vec<u64> = wanted.filter(|at| !held.contains(at)).collect();
        let used = files.used_blocks + fresh.len() as u64;
        if !fresh.is_empty() && used * BLOCK_BYTES > room.bytes.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        files.used_blocks = used;
        held.extend(fresh);
        Ok(())
    }

    /// Gives back the blocks of a file from `bytes` on.
    fn cut(&self, held: &Mutex<BTreeSet<u64>>, bytes: u64) {
        let Some(room) = &self.room else { return };
        let mut files = locked(&room.files);
        let mut held = locked(held);
        let cut = held.split_off(&bytes.div_ceil(BLOCK_BYTES));
        files.used_blocks -= cut.len() as u64;
    }

    fn forget(&self, path: &Path) {
        let Some(room) = &self.room else { return };
        let gone = locked(&room.files).blocks.remove(path);
        if let Some(gone) = gone {
            self.cut(&gone, 0);
        }
    }
}

/// The disk.
#[derive(Debug)]
pub struct Strained {
    inner: Arc<dyn Disk>,
    strain: Arc<Strain>,
}

impl Strained {
    /// Over `inner`, under `strain`.
    pub fn over(inner: Arc<dyn Disk>, strain: &Arc<Strain>) -> Arc<Self> {
        Arc::new(Self { inner, strain: Arc::clone(strain) })
    }

    fn file(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let named = path.file_name().is_some_and(|name| name == TABLE);
        let slow = locked(&self.strain.slow).clone();
        Arc::new(StrainedFile {
            file,
            is_table: named,
            is_log: path.parent().is_some_and(|dir| dir.ends_with("log")),
            longer: slow.filter(|(dir, _)| path.starts_with(dir)).map(|(_, longer)| longer),
            written: AtomicU64::new(0),
            blocks: self.strain.blocks_of(path),
            strain: Arc::clone(&self.strain),
        })
    }
}

impl Disk for Strained {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.strain.check_descriptors()?;
        Ok(self.file(path, self.inner.open(path, mode)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.strain.check_descriptors()?;
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)?;
        if let Some(room) = &self.strain.room {
            self.strain.forget(to);
            let mut files = locked(&room.files);
            if let Some(held) = files.blocks.remove(from) {
                files.blocks.insert(to.to_path_buf(), held);
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)?;
        self.strain.forget(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.strain.check_descriptors()?;
        self.inner.sync_dir(dir)
    }

    fn sync_parent(&self, dir: &Path) -> io::Result<()> {
        self.strain.check_descriptors()?;
        self.inner.sync_parent(dir)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.strain.check_descriptors()?;
        Ok(self.file(path, self.inner.open_read(path)?))
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.strain.check_descriptors()?;
        self.inner.open_dir(dir)
    }

    fn hold(&self, dir: &Path) -> io::Result<Option<Arc<dyn Disk>>> {
        self.strain.check_descriptors()?;
        let held = self.inner.hold(dir)?;
        Ok(held.map(|held| Self::over(held, &self.strain) as Arc<dyn Disk>))
    }

    fn id_at(&self, path: &Path) -> io::Result<Option<FileId>> {
        self.inner.id_at(path)
    }

    fn room_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        self.strain.check_descriptors()?;
        match &self.strain.room {
            None => self.inner.room_bytes(dir),
            Some(room) if room.told => {
                let bytes = room.bytes.load(Ordering::Relaxed);
                Ok(Some(bytes.saturating_sub(self.strain.used_bytes())))
            }
            Some(_) => Ok(None),
        }
    }

    fn file_bytes_max(&self) -> Option<u64> {
        self.inner.file_bytes_max()
    }
}

#[derive(Debug)]
struct StrainedFile {
    file: Arc<dyn DiskFile>,
    is_table: bool,
    is_log: bool,
    /// How much longer each MiB takes.
    longer: Option<Duration>,
    written: AtomicU64,
    blocks: Option<Arc<Mutex<BTreeSet<u64>>>>,
    strain: Arc<Strain>,
}

impl StrainedFile {
    fn check_table(&self, fails: &AtomicBool) -> io::Result<()> {
        if !self.is_table {
            return Ok(());
        }
        self.strain.check(fails, || io::Error::other("the strained disk fails"))
    }
}

impl DiskFile for StrainedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.check_table(&self.strain.table_reads)?;
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_table(&self.strain.table_writes)?;
        if let Some(longer) = self.longer {
            let before = self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if before / MIB < (before + bytes.len() as u64) / MIB {
                std::thread::sleep(longer);
            }
        }
        if let Some(blocks) = &self.blocks {
            self.strain.take(blocks, offset, bytes.len() as u64)?;
        }
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_table(&self.strain.table_writes)?;
        let begun = Instant::now();
        let synced = self.file.sync_data();
        if self.is_log {
            let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.strain.log_sync_longest_us.fetch_max(took_us, Ordering::Relaxed);
        }
        synced
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.check_table(&self.strain.table_writes)?;
        self.file.set_len(bytes)?;
        if let Some(blocks) = &self.blocks {
            self.strain.cut(blocks, bytes);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn read_ahead(&self) {
        self.file.read_ahead();
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.file.id()
    }
}
