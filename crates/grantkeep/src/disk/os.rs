//! The operating system's file system, by paths.

use super::held::HeldDir;
use super::{Disk, DiskFile, FileId, OpenMode};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

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
        OsFile::regular(options.open(path)?)
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

    fn sync_parent(&self, dir: &Path) -> io::Result<()> {
        HeldDir::open(dir)?.sync_parent(dir)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsFile::regular(open_to_read(path)?)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        HeldDir::open(dir)?.open_dir(dir)
    }

    fn hold(&self, dir: &Path) -> io::Result<Option<Arc<dyn Disk>>> {
        Ok(Some(Arc::new(HeldDir::open(dir)?)))
    }

    fn id_at(&self, path: &Path) -> io::Result<Option<FileId>> {
        let found = std::fs::metadata(path)?;
        Ok(Some(FileId::new(found.dev(), found.ino())))
    }

    fn room_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        room_bytes(File::open(dir)?).map(Some)
    }

    fn file_bytes_max(&self) -> Option<u64> {
        rustix::process::getrlimit(rustix::process::Resource::Fsize).current
    }
}

/// What opens a file that is only read. The open of a FIFO that nobody writes to would wait for
/// ever without it; on a regular file it changes nothing.
pub(super) const TO_READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

fn open_to_read(path: &Path) -> io::Result<File> {
    // The flags fit: they are bits of an `int` of the operating system.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Refuses what is not a regular file: it is asked of the open file, so that nobody can put
/// something else in its place between the look and the open.
fn check_regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Reads a regular file of at most `bytes_max` bytes; `None` if it is longer. Its length is not
/// believed, since the file may grow while it is read.
pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = open_to_read(path)?;
    check_regular(&file)?;
    let mut bytes = Vec::new();
    file.take((bytes_max as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

/// How many bytes an ordinary user may still write to the file system of a directory.
pub(super) fn room_bytes(dir: impl std::os::fd::AsFd) -> io::Result<u64> {
    let found = rustix::fs::fstatvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// A file of the operating system, and the process that has locked it.
#[derive(Debug)]
pub(super) struct OsFile {
    file: File,
    locked_by: OnceLock<u32>,
}

impl OsFile {
    pub(super) fn shared(file: File) -> Arc<dyn DiskFile> {
        Arc::new(Self { file, locked_by: OnceLock::new() })
    }

    /// A file that the store reads or writes: never a device, which has no end, nor a FIFO, which
    /// waits for another process.
    pub(super) fn regular(file: File) -> io::Result<Arc<dyn DiskFile>> {
        check_regular(&file)?;
        Ok(Self::shared(file))
    }

    /// Notes that this process has the file's lock, if it was taken.
    fn note_lock(&self, taken: Result<(), TryLockError>) -> io::Result<bool> {
        match taken {
            Ok(()) => {
                self.locked_by.get_or_init(std::process::id);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            // How NFS refuses to lock what is not open for writing, such as a directory.
            Err(TryLockError::Error(cause))
                if Errno::from_io_error(&cause) == Some(Errno::BADF) =>
            {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Refuses what would end at `end`, beyond the limit of this process: the operating system answers
/// it with a signal that ends the process, and what becomes of signals is for the host to say.
fn check_file_bytes(end: u64) -> io::Result<()> {
    match OsDisk.file_bytes_max() {
        Some(max) if end > max => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        check_file_bytes(offset.saturating_add(bytes.len() as u64))?;
        self.file.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        // A file that is too long already may be cut.
        if bytes > self.len()? {
            check_file_bytes(bytes)?;
        }
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
        self.note_lock(self.file.try_lock())
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        self.note_lock(self.file.try_lock_shared())
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        let found = self.file.metadata()?;
        Ok(Some(FileId::new(found.dev(), found.ino())))
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
