//! The seam through which every file operation of the store goes: log, table, keyring, and lock.
//!
//! [`OsDisk`] is the operating system's file system. A test may put a simulated disk in its
//! place, which crashes, fails, or fills up when told.

mod held;
#[cfg(test)]
pub(crate) mod hooked;
mod os;
mod read_only;

pub use os::OsDisk;
pub(crate) use read_only::{NoFile, ReadOnly};

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

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

/// Which file a file is, whatever its names: two open files with one id are the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The id of a file that its device knows by this number.
    pub fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// The number that its device knows it by.
    pub(crate) fn inode(self) -> u64 {
        self.inode
    }
}

/// A directory tree that the store lives in.
///
/// A name created, renamed, or removed is durable once [`Disk::sync_dir`] on its directory has
/// answered; bytes written are durable once [`DiskFile::sync_data`] has.
///
/// The methods with a body have one for disks that know nothing better: such a disk reaches
/// everything by its path, has no limits, and locks the file `LOCK` alone.
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

    /// Makes the name of a directory itself durable, in the directory that it is in.
    ///
    /// # Errors
    /// As [`Disk::sync_dir`].
    fn sync_parent(&self, dir: &Path) -> io::Result<()> {
        match dir.components().next_back() {
            Some(Component::Normal(_)) => match dir.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
                _ => self.sync_dir(Path::new(".")),
            },
            // What has no name of its own: the root is in no directory.
            Some(Component::CurDir | Component::ParentDir) => self.sync_dir(&dir.join("..")),
            Some(Component::RootDir | Component::Prefix(_)) | None => Ok(()),
        }
    }

    /// Opens a file that is only read: neither a file of mode 0400 nor a disk that is mounted for
    /// reading stops it.
    ///
    /// # Errors
    /// As [`Disk::open`] with [`OpenMode::Existing`].
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path, OpenMode::Existing)
    }

    /// Opens a directory, to be locked and told by its id; `None` where a disk has no such thing.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn open_dir(&self, _dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        Ok(None)
    }

    /// A disk on which every path in `dir` leads through that directory as it is now, wherever it
    /// is moved and whatever the process makes its working directory; all other paths lead where
    /// they do here. `None` where this disk does so itself, or cannot.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn hold(&self, _dir: &Path) -> io::Result<Option<Arc<dyn Disk>>> {
        Ok(None)
    }

    /// Which file or directory a path leads to; `None` where a disk does not tell.
    ///
    /// # Errors
    /// `NotFound` where it leads to nothing.
    fn id_at(&self, _path: &Path) -> io::Result<Option<FileId>> {
        Ok(None)
    }

    /// How many bytes an ordinary user may still write to the file system of a directory; `None`
    /// where a disk does not tell.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn room_bytes(&self, _dir: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// How long a file may be that this process writes to, in bytes; `None` without a limit.
    fn file_bytes_max(&self) -> Option<u64> {
        None
    }
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
    /// `StorageFull` on a full disk, `FileTooLarge` beyond [`Disk::file_bytes_max`].
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

    /// Takes the file's shared lock, which any number may have and which keeps the exclusive one
    /// from everybody: true if taken. A disk that has no such lock leaves this as it is.
    ///
    /// # Errors
    /// As [`DiskFile::try_lock`].
    fn try_lock_shared(&self) -> io::Result<bool> {
        self.try_lock()
    }

    /// Which file this is; `None` where a disk does not tell.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn id(&self) -> io::Result<Option<FileId>> {
        Ok(None)
    }
}

/// A file of the store that is read as a whole, the keyring or `LOCK`, has far fewer bytes.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 64 << 10;

/// The content of a small file. Of a longer one these are the first [`SMALL_FILE_BYTES_MAX`] bytes,
/// which no reader takes for a whole file: memory does not depend on what lies in a directory.
pub(crate) fn read_small(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = file.len()?.min(SMALL_FILE_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The content of a file that a person names, such as a policy: a regular file of at most
/// `bytes_max` bytes, or a link to one. `what` is what the error calls it.
///
/// A FIFO or a device is refused without waiting for it, and a file that grows while it is read
/// takes no more memory than the limit.
///
/// # Errors
/// [`ErrorKind::Limit`] for something that is not a regular file, or is longer;
/// [`ErrorKind::Missing`], [`ErrorKind::Permission`], or [`ErrorKind::Io`] if it cannot be read.
pub fn read_named_file(what: &str, path: impl AsRef<Path>, bytes_max: usize) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let shown = path.display();
    let refused =
        |kind, way_out: &str| Error::new(kind, format!("cannot read {what} in {shown}: {way_out}"));
    match os::read_bounded(path, bytes_max) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let way_out = format!("it is longer than {bytes_max} bytes, name a shorter file");
            Err(refused(ErrorKind::Limit, &way_out))
        }
        Err(cause) => {
            let (kind, way_out) = match cause.kind() {
                io::ErrorKind::NotFound => (ErrorKind::Missing, "check the path"),
                io::ErrorKind::PermissionDenied => (ErrorKind::Permission, "let this user read it"),
                io::ErrorKind::InvalidInput => (ErrorKind::Limit, "name a regular file"),
                _ => (ErrorKind::Io, "check the path"),
            };
            Err(refused(kind, way_out).with_source(cause))
        }
    }
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
