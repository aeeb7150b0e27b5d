//! A disk in memory that loses power, dies, and forgets when told.
//!
//! Bytes written are seen at once and durable after a sync of their file; names are durable after
//! a sync of their directory. [`SimDisk::crash`] answers the disk as a power cut leaves it,
//! [`SimDisk::kill`] as the end of a process does.

use grantkeep::{Disk, DiskFile, OpenMode};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PAGE_BYTES: usize = 4_096;
/// What a device writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
static ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// Which operations fail with an I/O error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every one from this number on.
    From(u64),
    /// The one of this number. If it is a sync, the bytes it was for are taken for clean
    /// afterwards: they are seen until the cache is dropped, and no later sync writes them.
    Once(u64),
}

/// A disk in memory. Clones are handles of the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Clone)]
struct State {
    files: Vec<FileState>,
    folders: BTreeMap<PathBuf, Folder>,
    operations: u64,
    fault: Option<Fault>,
    failed: u64,
}

/// What a file holds, as it is seen and as the device has it.
#[derive(Debug, Clone, Default)]
struct FileState {
    seen: Image,
    durable: Image,
    /// Changes since the last sync, in their order.
    unsynced: Vec<Change>,
    locked: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

/// The names in one directory, as they are seen and as the device has them.
#[derive(Debug, Clone, Default)]
struct Folder {
    seen: Names,
    durable: Names,
    unsynced: Vec<Renaming>,
}

type Names = BTreeMap<String, Entry>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Folder,
}

#[derive(Debug, Clone)]
enum Renaming {
    Add(String, Entry),
    Rename(String, String),
    Remove(String),
}

/// Bytes in pages that images share until one of them changes; a missing page holds zeros.
#[derive(Debug, Clone, Default)]
struct Image {
    bytes: u64,
    pages: Vec<Option<Arc<[u8; PAGE_BYTES]>>>,
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    number: usize,
    holds_lock: AtomicBool,
}

/// A small generator of random numbers, the same for the same seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl SimDisk {
    /// An empty disk, of which only the directory `/` is there.
    pub fn new() -> Self {
        Self::of(State {
            files: Vec::new(),
            folders: BTreeMap::from([(PathBuf::from("/"), Folder::default())]),
            operations: 0,
            fault: None,
            failed: 0,
        })
    }

    /// The disk as a power cut leaves it: of what was not synced, each write is there, lost, or
    /// torn between sectors, and of the changes to a directory some first ones are there.
    pub fn crash(&self, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let state = self.lock();
        let mut files: Vec<FileState> = vec![FileState::default(); state.files.len()];
        let mut folders = BTreeMap::new();
        let mut open = vec![PathBuf::from("/")];
        while let Some(path) = open.pop() {
            let names = state.folders.get(&path).map(|folder| folder.after_crash(&mut dice));
            let names = names.unwrap_or_default();
            for (name, entry) in &names {
                match entry {
                    Entry::File(number) => {
                        files[*number] = state.files[*number].after_crash(&mut dice)
                    }
                    Entry::Folder => open.push(path.join(name)),
                }
            }
            folders.insert(path, Folder::holding(names));
        }
        Self::of(State { files, folders, operations: 0, fault: None, failed: 0 })
    }

    /// The disk as the end of the process leaves it: nothing is lost, and nothing is locked.
    pub fn kill(&self) -> Self {
        let mut state = self.lock().clone();
        for file in &mut state.files {
            file.locked = false;
        }
        (state.operations, state.fault, state.failed) = (0, None, 0);
        Self::of(state)
    }

    /// Changes of files and names, and syncs, since the disk was made.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Says which operations fail.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    /// How many operations have failed.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let (folder, name) = split(path)?;
        let found = state.folder(&folder)?.seen.get(&name).copied();
        let number = match (found, mode) {
            (Some(Entry::Folder), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(_), OpenMode::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Entry::File(number)), _) => number,
            (None, OpenMode::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::New | OpenMode::Any) => {
                state.count()?;
                state.files.push(FileState::default());
                let number = state.files.len() - 1;
                state.folder(&folder)?.change(Renaming::Add(name, Entry::File(number)))?;
                number
            }
        };
        let (disk, holds_lock) = (self.clone(), AtomicBool::new(false));
        Ok(Arc::new(SimFile { disk, number, holds_lock }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let (folder, name) = split(path)?;
        match state.folder(&folder)?.seen.get(&name) {
            Some(Entry::Folder) => return Ok(()),
            Some(Entry::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => state.count()?,
        }
        state.folder(&folder)?.change(Renaming::Add(name, Entry::Folder))?;
        state.folders.insert(path.to_path_buf(), Folder::default());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.lock().folder(dir)?.seen.keys().cloned().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let ((folder, old), (_, new)) = (split(from)?, split(to)?);
        assert_eq!(from.parent(), to.parent(), "a rename within one directory");
        state.count()?;
        state.folder(&folder)?.change(Renaming::Rename(old, new))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let (folder, name) = split(path)?;
        state.count()?;
        state.folder(&folder)?.change(Renaming::Remove(name))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.count()?;
        let folder = state.folder(dir)?;
        folder.durable = folder.seen.clone();
        folder.unsynced.clear();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.lock().files[self.number].seen.read(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let change = Change::Write { offset, bytes: bytes.into() };
        self.disk.lock().change(self.number, change)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let counted = state.count();
        let (fault, operation) = (state.fault, state.operations);
        let file = &mut state.files[self.number];
        match (&counted, fault) {
            (Ok(()), _) => {
                for change in std::mem::take(&mut file.unsynced) {
                    file.durable.apply(&change);
                }
            }
            (Err(_), Some(Fault::Once(_))) => {
                let mut dice = Dice::new(operation);
                for change in std::mem::take(&mut file.unsynced) {
                    file.durable.apply_some(&change, &mut dice);
                }
            }
            (Err(_), _) => {}
        }
        counted
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.lock().change(self.number, Change::SetLen(bytes))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.number].seen.bytes)
    }

    fn drop_cache(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let file = &mut state.files[self.number];
        let mut device = file.durable.clone();
        file.unsynced.iter().for_each(|change| device.apply(change));
        file.seen = device;
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.lock();
        let locked = &mut state.files[self.number].locked;
        if *locked && !self.holds_lock.load(Ordering::Relaxed) {
            return Ok(false);
        }
        *locked = true;
        self.holds_lock.store(true, Ordering::Relaxed);
        Ok(true)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.holds_lock.load(Ordering::Relaxed) {
            self.disk.lock().files[self.number].locked = false;
        }
    }
}

impl State {
    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        self.folders.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Counts an operation, and fails if it is its turn.
    fn count(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        let fails = match self.fault {
            None => false,
            Some(Fault::From(first)) => number >= first,
            Some(Fault::Once(only)) => number == only,
        };
        self.failed += u64::from(fails);
        if fails { Err(io::Error::other("the simulated disk fails")) } else { Ok(()) }
    }

    fn change(&mut self, number: usize, change: Change) -> io::Result<()> {
        let counted = self.count();
        let dies = matches!(self.fault, Some(Fault::From(_)));
        let file = &mut self.files[number];
        if counted.is_ok() {
            file.seen.apply(&change);
        }
        if counted.is_ok() || dies {
            // What a dying disk refuses may still have happened.
            file.unsynced.push(change);
        }
        counted
    }
}

impl FileState {
    fn after_crash(&self, dice: &mut Dice) -> Self {
        let mut image = self.durable.clone();
        for change in &self.unsynced {
            image.apply_some(change, dice);
        }
        Self { seen: image.clone(), durable: image, unsynced: Vec::new(), locked: false }
    }
}

impl Folder {
    fn holding(names: Names) -> Self {
        Self { seen: names.clone(), durable: names, unsynced: Vec::new() }
    }

    fn change(&mut self, renaming: Renaming) -> io::Result<()> {
        apply_names(&mut self.seen, &renaming)?;
        self.unsynced.push(renaming);
        Ok(())
    }

    fn after_crash(&self, dice: &mut Dice) -> Names {
        let mut names = self.durable.clone();
        let kept = dice.below(self.unsynced.len() as u64 + 1);
        for (_, renaming) in (0..kept).zip(&self.unsynced) {
            apply_names(&mut names, renaming).expect("the same changes in the same order");
        }
        names
    }
}

fn apply_names(names: &mut Names, renaming: &Renaming) -> io::Result<()> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    match renaming {
        Renaming::Add(name, entry) => {
            names.insert(name.clone(), *entry);
        }
        Renaming::Rename(from, to) => {
            let entry = names.remove(from).ok_or_else(missing)?;
            names.insert(to.clone(), entry);
        }
        Renaming::Remove(name) => {
            names.remove(name).ok_or_else(missing)?;
        }
    }
    Ok(())
}

impl Image {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = usize::try_from(offset).map_err(io::Error::other)?;
        let mut rest = out;
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let (part, more) = rest.split_at_mut(rest.len().min(PAGE_BYTES - start));
            let page = self.pages.get(at / PAGE_BYTES).and_then(Option::as_deref);
            part.copy_from_slice(&page.unwrap_or(&ZEROS)[start..start + part.len()]);
            at += part.len();
            rest = more;
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => self.write(bytes, *offset),
            Change::SetLen(bytes) => self.set_len(*bytes),
        }
    }

    /// Applies all of a change, nothing, or some sectors of it.
    fn apply_some(&mut self, change: &Change, dice: &mut Dice) {
        match (dice.below(4), change) {
            (0, _) => {}
            (1, Change::Write { offset, bytes }) => self.tear(bytes, *offset, dice),
            _ => self.apply(change),
        }
    }

    /// Writes the first sectors, the last, or any.
    fn tear(&mut self, bytes: &[u8], offset: u64, dice: &mut Dice) {
        let end = offset + bytes.len() as u64;
        let sectors = end.div_ceil(SECTOR_BYTES) - offset / SECTOR_BYTES;
        let (shape, cut) = (dice.below(3), dice.below(sectors + 1));
        for sector in 0..sectors {
            let written = match shape {
                0 => sector < cut,
                1 => sector >= cut,
                _ => dice.below(2) == 0,
            };
            let start = ((offset / SECTOR_BYTES + sector) * SECTOR_BYTES).max(offset);
            let stop = ((offset / SECTOR_BYTES + sector + 1) * SECTOR_BYTES).min(end);
            if written {
                let part = |at: u64| usize::try_from(at - offset).expect("within a write");
                self.write(&bytes[part(start)..part(stop)], start);
            }
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        if end > self.bytes {
            self.set_len(end);
        }
        let mut at = usize::try_from(offset).expect("a small disk");
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let (part, more) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let page = &mut self.pages[at / PAGE_BYTES];
            if part == ZEROS {
                *page = None;
            } else if page.is_some() || part != &ZEROS[..part.len()] {
                let page = page.get_or_insert_with(|| Arc::new(ZEROS));
                Arc::make_mut(page)[start..start + part.len()].copy_from_slice(part);
            }
            at += part.len();
            rest = more;
        }
    }

    fn set_len(&mut self, bytes: u64) {
        let len = usize::try_from(bytes).expect("a small disk");
        self.pages.resize(len.div_ceil(PAGE_BYTES), None);
        let kept = len % PAGE_BYTES;
        if bytes < self.bytes
            && kept > 0
            && let Some(Some(page)) = self.pages.last_mut()
        {
            Arc::make_mut(page)[kept..].fill(0);
        }
        self.bytes = bytes;
    }
}

fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(folder), Some(name)) => Ok((folder.to_path_buf(), name.to_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
        let file = disk.open(Path::new(path), OpenMode::Existing).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    // Goal: a crash loses nothing that was synced, and keeps, loses, and tears what was not.
    // Method: one synced write, then one over it; many seeds; every outcome must be met.
    #[test]
    fn crash_keeps_loses_and_tears_only_what_was_not_synced() {
        let disk = SimDisk::new();
        let file = disk.open(Path::new("/a"), OpenMode::New).unwrap();
        file.write_at(&[1; 10_000], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.write_at(&[2; 5_000], 3_000).unwrap();
        let (mut kept, mut lost, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let bytes = content(&disk.crash(seed), "/a").unwrap();
            assert_eq!(bytes.len(), 10_000);
            assert!(bytes[..3_000].iter().chain(&bytes[8_000..]).all(|byte| *byte == 1));
            let middle = &bytes[3_000..8_000];
            match middle.iter().filter(|byte| **byte == 2).count() {
                0 => lost += 1,
                5_000 => kept += 1,
                _ => torn += 1,
            }
            let edges = (1..5_000).filter(|at| middle[*at] != middle[at - 1]);
            assert!(edges.into_iter().all(|at| (3_000 + at) % 512 == 0), "seed {seed}");
        }
        assert!(kept > 0 && lost > 0 && torn > 0, "{kept} {lost} {torn}");
        assert_eq!(content(&disk.kill(), "/a").unwrap()[3_000..8_000], [2; 5_000]);
    }

    // Goal: names are durable once their directory is synced, and lost in reverse order before.
    // Method: a synced name, a rename, and a new name; all crashes must show a prefix of these.
    #[test]
    fn crash_keeps_a_prefix_of_the_changes_to_a_directory() {
        let disk = SimDisk::new();
        let root = Path::new("/");
        drop(disk.open(Path::new("/a"), OpenMode::New).unwrap());
        disk.sync_dir(root).unwrap();
        disk.rename(Path::new("/a"), Path::new("/b")).unwrap();
        drop(disk.open(Path::new("/c"), OpenMode::New).unwrap());
        let mut met = std::collections::BTreeSet::new();
        for seed in 0..50 {
            met.insert(disk.crash(seed).list(root).unwrap());
        }
        let all = [vec!["a"], vec!["b"], vec!["b", "c"]];
        assert!(met.iter().eq(&all), "{met:?}");
    }

    // Goal: after a failed sync the bytes are seen, and gone with the cache, however often they
    // are synced again. Method: fail one sync once, over seeds of position; read before and after.
    #[test]
    fn failed_sync_leaves_pages_that_lie() {
        let mut lied = 0;
        for padding in 0..20 {
            let disk = SimDisk::new();
            let file = disk.open(Path::new("/a"), OpenMode::New).unwrap();
            (0..padding).for_each(|_| file.write_at(&[1], 0).unwrap());
            disk.set_fault(Some(Fault::Once(padding + 2)));
            file.write_at(&[2; 100], 0).unwrap();
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            assert_eq!(content(&disk, "/a").unwrap(), [2; 100]);
            file.drop_cache().unwrap();
            lied += u64::from(content(&disk, "/a").unwrap() != [2; 100]);
        }
        assert!(lied > 0);
    }

    // Goal: one handle at a time holds a lock, and it ends with the handle, a crash, or a kill.
    // Method: lock twice, drop, lock again; lock on the disks that a crash and a kill leave.
    #[test]
    fn locks_end_with_their_holder() {
        let disk = SimDisk::new();
        let lock = |disk: &SimDisk| {
            let file = disk.open(Path::new("/a"), OpenMode::Any).unwrap();
            (file.try_lock().unwrap(), file)
        };
        let (taken, held) = lock(&disk);
        assert!(taken && !lock(&disk).0);
        assert!(lock(&disk.kill()).0 && lock(&disk.crash(1)).0);
        drop(held);
        assert!(lock(&disk).0);
    }
}
