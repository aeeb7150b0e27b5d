//! A disk in memory that loses power, fails, and forgets when told.
//!
//! Bytes written are seen at once and durable after a sync of their file; names are durable after
//! a sync of their directory. [`SimDisk::crash`] answers the disk as a power cut leaves it,
//! [`SimDisk::kill`] as the end of a process does; [`SimDisk::record`] keeps the disk as it was
//! before each operation, so that one run can be crashed anywhere.

mod fault;
mod image;
mod names;

pub use fault::{Failure, Fault, Operations, Turn};

use crate::pseudorandom::Pseudorandom;
use grantkeep::{Disk, DiskFile, OpenMode};
use image::{Change, Image};
use names::{Entry, Folder, Renaming};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// A disk in memory. Clones are handles of the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

/// A disk as it was before one of its operations.
#[derive(Debug)]
pub struct Recorded {
    /// The disk; what was not synced then is not.
    pub disk: SimDisk,
    /// The mark that was set then.
    pub mark: u64,
    /// The thread that did the operation; `None` for the present state.
    pub thread: Option<ThreadId>,
}

#[derive(Debug, Default)]
struct State {
    held: Held,
    /// Changes and syncs so far.
    operations: u64,
    reads: u64,
    fault: Option<Fault>,
    failed: u64,
    recorded: Option<Vec<Recorded>>,
    mark: u64,
}

/// Syncs that answer without being done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lies {
    /// Those of files.
    pub of_files: bool,
    /// Those of directories.
    pub of_directories: bool,
}

/// What the disk holds, and whether it tells the truth.
#[derive(Debug, Clone)]
struct Held {
    lies: Lies,
    /// How long each write takes.
    pace: Duration,
    files: Vec<FileState>,
    folders: BTreeMap<PathBuf, Folder>,
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

/// An open file of a [`SimDisk`].
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    number: usize,
    holds_lock: AtomicBool,
}

impl SimDisk {
    /// An empty disk, of which only the directory `/` is there.
    pub fn new() -> Self {
        Self::of(Held::default())
    }

    /// The disk as a power cut leaves it: of what was not synced, each write is there, lost, torn,
    /// or garbage, and of the changes to a directory some are there.
    pub fn crash(&self, seed: u64) -> Self {
        let mut random = Pseudorandom::new(seed);
        let held = &self.lock().held;
        let mut files: Vec<FileState> = vec![FileState::default(); held.files.len()];
        let (lies, pace, mut folders) = (held.lies, Duration::ZERO, BTreeMap::new());
        let mut open = vec![PathBuf::from("/")];
        while let Some(path) = open.pop() {
            let names = held.folders.get(&path).map(|folder| folder.after_crash(&mut random));
            let names = names.unwrap_or_default();
            for (name, entry) in &names {
                match entry {
                    Entry::File(number) => {
                        files[*number] = held.files[*number].after_crash(&mut random);
                    }
                    Entry::Folder => open.push(path.join(name)),
                }
            }
            folders.insert(path, Folder::holding(names));
        }
        Self::of(Held { lies, pace, files, folders })
    }

    /// The disk as the end of the process leaves it: nothing is lost, and nothing is locked.
    pub fn kill(&self) -> Self {
        let mut held = self.lock().held.clone();
        for file in &mut held.files {
            file.locked = false;
        }
        Self::of(held)
    }

    /// Says which operations fail, from here on.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.lock();
        (state.operations, state.reads, state.fault) = (0, 0, fault);
    }

    /// How many operations have failed.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// Says which syncs lie from here on, here and on the disks that come of this one.
    pub fn set_lies(&self, lies: Lies) {
        self.lock().held.lies = lies;
    }

    /// Says how long each write takes from here on, also after an end of the process: what does not
    /// wait for a write overtakes it.
    pub fn set_pace(&self, pace: Duration) {
        self.lock().held.pace = pace;
    }

    /// Lets every operation wait until what this answers is dropped.
    pub fn stall(&self) -> impl Sized + '_ {
        self.lock()
    }

    /// Keeps the disk as it is before each operation from here on.
    pub fn record(&self) {
        self.lock().recorded = Some(Vec::new());
    }

    /// Marks what is recorded from here on.
    pub fn set_mark(&self, mark: u64) {
        self.lock().mark = mark;
    }

    /// The disks that were recorded, and the present one; nothing is recorded any more.
    pub fn recorded(&self) -> Vec<Recorded> {
        let mut state = self.lock();
        let last = state.snapshot(None);
        let mut recorded = state.recorded.take().unwrap_or_default();
        recorded.push(last);
        recorded
    }

    /// What the processes on it see in the file at this path, if there is one.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let file = self.open(path, OpenMode::Existing).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    /// The content of every file.
    pub fn contents(&self) -> Vec<Vec<u8>> {
        let state = self.lock();
        let content = |entry: &Entry| match entry {
            Entry::File(number) => Some(state.held.files[*number].seen.content()),
            Entry::Folder => None,
        };
        state
            .held
            .folders
            .values()
            .flat_map(|folder| folder.seen.values())
            .filter_map(content)
            .collect()
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        let state = self.lock();
        let numbers = state.held.folders.values().flat_map(|folder| folder.seen.values());
        let bytes = numbers.map(|entry| match entry {
            Entry::File(number) => state.held.files[*number].seen.bytes,
            Entry::Folder => 0,
        });
        bytes.sum()
    }

    fn of(held: Held) -> Self {
        Self(Arc::new(Mutex::new(State { held, ..State::default() })))
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

impl Default for Held {
    fn default() -> Self {
        let folders = BTreeMap::from([(PathBuf::from("/"), Folder::default())]);
        let (lies, pace) = (Lies::default(), Duration::ZERO);
        Self { lies, pace, files: Vec::new(), folders }
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
                state.held.files.push(FileState::default());
                let number = state.held.files.len() - 1;
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
        state.held.folders.insert(path.to_path_buf(), Folder::default());
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
        let counted = state.count();
        let (fault, operation) = (state.fault, state.operations);
        let once = matches!(fault, Some(Fault { turn: Turn::Once(_), .. }));
        let lies = state.held.lies.of_directories;
        let folder = state.folder(dir)?;
        if counted.is_ok() && !lies {
            folder.sync();
        } else if counted.is_err() && once {
            folder.sync_some(&mut Pseudorandom::new(operation));
        }
        counted
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let failure = state.count_read();
        let whole = if failure == Some(Failure::Short) { bytes.len() / 2 } else { bytes.len() };
        let file = &state.held.files[self.number];
        if failure.is_none_or(|failure| failure == Failure::Short) {
            file.seen.read(&mut bytes[..whole], offset)?;
        }
        failure.map_or(Ok(()), |failure| Err(failure.error(Operations::Reads)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let change = Change::Write { offset, bytes: bytes.into() };
        let pace = self.disk.lock().held.pace;
        if !pace.is_zero() {
            std::thread::sleep(pace);
        }
        self.disk.lock().change(self.number, change)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let counted = state.count();
        let (fault, operation, lies) = (state.fault, state.operations, state.held.lies.of_files);
        let once = matches!(fault, Some(Fault { turn: Turn::Once(_), .. }));
        let file = &mut state.held.files[self.number];
        if counted.is_ok() && !lies {
            for change in std::mem::take(&mut file.unsynced) {
                file.durable.apply(&change);
            }
        } else if counted.is_err() && once {
            let mut random = Pseudorandom::new(operation);
            for change in std::mem::take(&mut file.unsynced) {
                file.durable.apply_some(&change, &mut random);
            }
        }
        counted
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.lock().change(self.number, Change::SetLen(bytes))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().held.files[self.number].seen.bytes)
    }

    fn drop_cache(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let file = &mut state.held.files[self.number];
        let mut device = file.durable.clone();
        file.unsynced.iter().for_each(|change| device.apply(change));
        file.seen = device;
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.lock();
        let locked = &mut state.held.files[self.number].locked;
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
            self.disk.lock().held.files[self.number].locked = false;
        }
    }
}

impl State {
    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        self.held.folders.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn snapshot(&self, thread: Option<ThreadId>) -> Recorded {
        Recorded { disk: SimDisk::of(self.held.clone()), mark: self.mark, thread }
    }

    /// Counts a change or a sync, and fails if it is its turn.
    fn count(&mut self) -> io::Result<()> {
        if let Some(mut recorded) = self.recorded.take() {
            recorded.push(self.snapshot(Some(thread::current().id())));
            self.recorded = Some(recorded);
        }
        let number = self.operations;
        self.operations += 1;
        let fault = self.fault.filter(|fault| fault.befalls(Operations::Changes, number));
        self.failed += u64::from(fault.is_some());
        fault.map_or(Ok(()), |fault| Err(fault.failure.error(Operations::Changes)))
    }

    /// Counts a read, and says how it fails if it is its turn.
    fn count_read(&mut self) -> Option<Failure> {
        let number = self.reads;
        self.reads += 1;
        let fault = self.fault.filter(|fault| fault.befalls(Operations::Reads, number));
        self.failed += u64::from(fault.is_some());
        fault.map(|fault| fault.failure)
    }

    fn change(&mut self, number: usize, change: Change) -> io::Result<()> {
        let counted = self.count();
        let fault = self.fault.filter(|_| counted.is_err());
        let file = &mut self.held.files[number];
        let Some(Fault { turn, failure, .. }) = fault else {
            file.seen.apply(&change);
            file.unsynced.push(change);
            return counted;
        };
        match (failure, &change) {
            (Failure::Short, Change::Write { offset, bytes }) => {
                let half = bytes[..bytes.len() / 2].into();
                let change = Change::Write { offset: *offset, bytes: half };
                file.seen.apply(&change);
                file.unsynced.push(change);
            }
            // What a dying disk refuses may still have happened.
            (Failure::Io, _) if matches!(turn, Turn::From(_)) => file.unsynced.push(change),
            _ => {}
        }
        counted
    }
}

impl FileState {
    fn after_crash(&self, random: &mut Pseudorandom) -> Self {
        let mut image = self.durable.clone();
        for change in &self.unsynced {
            image.apply_some(change, random);
        }
        Self { seen: image.clone(), durable: image, unsynced: Vec::new(), locked: false }
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
mod tests;
