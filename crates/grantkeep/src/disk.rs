//! The seam through which every file operation of the store goes: log, table, keyring, and lock.
//!
//! [`OsDisk`] is the operating system's file system. A test may put a simulated disk in its
//! place, which crashes, fails, or fills up when told.

#[cfg(test)]
pub(crate) mod hooked;

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It is created, readable by its owner only (mode 0600), and must not exist.
    New,
    /// It is created where it does not exist.
    Any,
}

/// A directory tree that the store lives in.
///
/// A name created, renamed, or removed is durable once [`Disk::sync_dir`] on its directory has
/// answered; bytes written are durable once [`DiskFile::sync_data`] has.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// Whatever the operating system answers; a mode that does not fit is `NotFound` or
    /// `AlreadyExists`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory; one that is already there is fine.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no particular order.
    ///
    /// # Errors
    /// `NotFound` where the directory does not exist.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Renames a file within one directory, replacing what is there.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// A failed sync is never retried.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file where needed.
    ///
    /// # Errors
    /// `StorageFull` on a full disk.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the bytes written so far, and the length, durable.
    ///
    /// # Errors
    /// After an error the state of the bytes is unknown; a second call proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn len(&self) -> io::Result<u64>;

    /// True if the file has no bytes.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Drops what the operating system caches of this file, so that the next read is served by
    /// the device. Bytes not yet synced are not lost.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn drop_cache(&self) -> io::Result<()>;

    /// Says that the whole file is about to be read, so that it may be fetched beforehand.
    fn read_ahead(&self) {}

    /// Takes the file's exclusive lock, which ends with the file or the process: true if taken,
    /// false if another process has it.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn try_lock(&self) -> io::Result<bool>;
}

/// The operating system's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match mode {
            OpenMode::Existing => {}
            OpenMode::New => {
                options.create_new(true);
            }
            OpenMode::Any => {
                options.create(true).truncate(false);
            }
        }
        Ok(Arc::new(OsFile { file: options.open(path)?, locked_by: OnceLock::new() }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// A file of the operating system, and the process that has locked it.
#[derive(Debug)]
struct OsFile {
    file: File,
    locked_by: OnceLock<u32>,
}

impl DiskFile for OsFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)?)
    }

    fn read_ahead(&self) {
        // Without it the same is read, a little later.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::WillNeed);
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => {
                self.locked_by.get_or_init(std::process::id);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for OsFile {
    /// Gives the lock back by word: a program that is being started at this moment has the file for
    /// an instant as well, and would keep the lock for it. A fork keeps its hands off.
    fn drop(&mut self) {
        if self.locked_by.get() == Some(&std::process::id()) {
            // What cannot be unlocked is unlocked when the last of its copies is closed.
            let _ = self.file.unlock();
        }
    }
}

/// The whole content of a small file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Writes what is to replace a small file as a whole, beside it. A failure changes nothing.
pub(crate) fn stage(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = staged(dir, name);
    // A file on which a sync has failed is not written to again.
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&fresh, OpenMode::New)?;
    file.write_at(bytes, 0)?;
    file.sync_data()
}

/// Puts what was staged in the place of the file: after a crash it has its old content or its new
/// one. After a failure it may have either.
pub(crate) fn exchange(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<()> {
    disk.rename(&staged(dir, name), &dir.join(name))?;
    disk.sync_dir(dir)
}

fn staged(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.new"))
}

/// Zeros written between two syncs.
const ZEROS_BYTES: u64 = 128 << 10;

/// Writes zeros from `from` up to `to`, syncing as it goes so that a commit's sync never waits
/// behind all of them.
pub(crate) fn fill_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(ZEROS_BYTES).map_err(io::Error::other)?];
    let mut at = from;
    while at < to {
        let step = ZEROS_BYTES.min(to - at);
        let part = usize::try_from(step).map_err(io::Error::other)?;
        file.write_at(zeros.get(..part).unwrap_or_default(), at)?;
        file.sync_data()?;
        at += step;
    }
    Ok(())
}
