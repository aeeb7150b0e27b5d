//! A disk of a set size over the real one: full when the blocks written to reach it, read-only when
//! told. As on the real ones, growing a file takes no room until the bytes are written.

use grantkeep::{Disk, DiskFile, OpenMode, OsDisk};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const BLOCK_BYTES: u64 = 4_096;

/// The blocks of all files together, and what the disk refuses.
#[derive(Debug)]
pub struct SmallDisk {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    room_bytes: AtomicU64,
    read_only: AtomicBool,
    /// The directory that has a quota of its own, and the bytes that it may hold.
    quota: Mutex<Option<(PathBuf, u64)>>,
    /// Writes that were refused.
    refused: AtomicU64,
    blocks: Mutex<HashMap<PathBuf, BTreeSet<u64>>>,
}

impl SmallDisk {
    /// A disk of `bytes`.
    pub fn new(bytes: u64) -> Arc<Self> {
        let state = State {
            room_bytes: AtomicU64::new(bytes),
            read_only: AtomicBool::new(false),
            quota: Mutex::new(None),
            refused: AtomicU64::new(0),
            blocks: Mutex::new(HashMap::new()),
        };
        Arc::new(Self { state: Arc::new(state) })
    }

    /// Makes the disk of this size: smaller than what is used is full.
    pub fn resize(&self, bytes: u64) {
        self.state.room_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bounds the blocks of the files below `dir`, whatever room the disk has.
    pub fn set_quota(&self, dir: &Path, bytes: u64) {
        *self.state.quota.lock().unwrap() = Some((dir.to_path_buf(), bytes));
    }

    /// Refuses every write from now on, or no more.
    pub fn set_read_only(&self, read_only: bool) {
        self.state.read_only.store(read_only, Ordering::Relaxed);
    }

    /// The bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        used_bytes(&self.state.blocks.lock().unwrap())
    }

    /// How many writes were refused.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }
}

impl State {
    fn check_writable(&self) -> io::Result<()> {
        match self.read_only.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            false => Ok(()),
        }
    }

    /// Takes the blocks of a write, if there is room.
    fn take(&self, path: &Path, offset: u64, bytes: u64) -> io::Result<()> {
        let mut files = self.blocks.lock().unwrap();
        let blocks = offset / BLOCK_BYTES..(offset + bytes).div_ceil(BLOCK_BYTES);
        let held = files.get(path);
        let fresh = blocks.clone().filter(|at| held.is_none_or(|held| !held.contains(at)));
        let more_bytes = fresh.count() as u64 * BLOCK_BYTES;
        let room_bytes = self.room_bytes.load(Ordering::Relaxed);
        let is_over_quota = match &*self.quota.lock().unwrap() {
            Some((dir, bytes)) if path.starts_with(dir) => {
                let below = files.iter().filter(|(path, _)| path.starts_with(dir));
                let held: usize = below.map(|(_, blocks)| blocks.len()).sum();
                held as u64 * BLOCK_BYTES + more_bytes > *bytes
            }
            _ => false,
        };
        if more_bytes > 0 && (is_over_quota || used_bytes(&files) + more_bytes > room_bytes) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        files.entry(path.to_path_buf()).or_default().extend(blocks);
        Ok(())
    }

    /// Gives the blocks behind a new length back.
    fn cut(&self, path: &Path, length: u64) {
        if let Some(held) = self.blocks.lock().unwrap().get_mut(path) {
            held.retain(|at| *at < length.div_ceil(BLOCK_BYTES));
        }
    }
}

fn used_bytes(files: &HashMap<PathBuf, BTreeSet<u64>>) -> u64 {
    files.values().map(|blocks| blocks.len() as u64 * BLOCK_BYTES).sum()
}

impl Disk for SmallDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode != OpenMode::Existing || path.exists() {
            self.state.check_writable()?;
        }
        let file = OsDisk.open(path, mode)?;
        let all = 0..file.len()?.div_ceil(BLOCK_BYTES);
        let mut blocks = self.state.blocks.lock().unwrap();
        blocks.entry(path.to_path_buf()).or_insert_with(|| all.collect());
        drop(blocks);
        let state = Arc::clone(&self.state);
        Ok(Arc::new(SmallFile { file, path: Mutex::new(path.to_path_buf()), state }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if !path.exists() {
            self.state.check_writable()?;
        }
        OsDisk.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state.check_writable()?;
        OsDisk.rename(from, to)?;
        let mut blocks = self.state.blocks.lock().unwrap();
        if let Some(held) = blocks.remove(from) {
            blocks.insert(to.to_path_buf(), held);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state.check_writable()?;
        OsDisk.remove(path)?;
        self.state.blocks.lock().unwrap().remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct SmallFile {
    file: Arc<dyn DiskFile>,
    path: Mutex<PathBuf>,
    state: Arc<State>,
}

impl SmallFile {
    /// The name under which the file counts: it may have lost its `.new` since it was opened.
    fn path(&self) -> PathBuf {
        let mut path = self.path.lock().unwrap();
        let known = |path: &Path| self.state.blocks.lock().unwrap().contains_key(path);
        if !known(&path) {
            let settled = match path.extension().and_then(|name| name.to_str()) {
                Some("new") if path.with_extension("seg").exists() => path.with_extension("seg"),
                Some("new") => path.with_extension(""),
                _ => path.clone(),
            };
            if known(&settled) {
                *path = settled;
            }
        }
        path.clone()
    }
}

impl DiskFile for SmallFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state.check_writable()?;
        self.state.take(&self.path(), offset, bytes.len() as u64)?;
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.state.check_writable()?;
        self.state.cut(&self.path(), bytes);
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
