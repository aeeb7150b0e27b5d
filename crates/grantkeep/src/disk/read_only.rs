//! A disk that refuses every change: whoever looks at a store through it cannot write.
//!
//! Files are opened for reading alone, so that neither a file of mode 0400 nor a file system that
//! is mounted for reading stops it. Nothing was written, so there is nothing to sync: file systems
//! that cannot be written to may refuse to.

use super::{Disk, DiskFile, FileId, OpenMode};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Another disk, for reading only.
#[derive(Debug)]
pub(crate) struct ReadOnly(Arc<dyn Disk>);

impl ReadOnly {
    pub(crate) fn over(disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        Arc::new(Self(disk))
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnly {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        match mode {
            OpenMode::Existing => self.open_read(path),
            OpenMode::New | OpenMode::Any => refused(),
        }
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_parent(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(self.0.open_read(path)?)))
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let opened = self.0.open_dir(dir)?;
        Ok(opened.map(|opened| Arc::new(ReadOnlyFile(opened)) as Arc<dyn DiskFile>))
    }

    fn hold(&self, dir: &Path) -> io::Result<Option<Arc<dyn Disk>>> {
        Ok(self.0.hold(dir)?.map(Self::over))
    }

    fn id_at(&self, path: &Path) -> io::Result<Option<FileId>> {
        self.0.id_at(path)
    }

    fn room_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        self.0.room_bytes(dir)
    }

    fn file_bytes_max(&self) -> Option<u64> {
        self.0.file_bytes_max()
    }
}

/// A file of a [`ReadOnly`] disk.
#[derive(Debug)]
struct ReadOnlyFile(Arc<dyn DiskFile>);

impl DiskFile for ReadOnlyFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _bytes: u64) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.0.drop_cache()
    }

    fn read_ahead(&self) {
        self.0.read_ahead();
    }

    /// Nobody who cannot write needs a store for itself alone.
    fn try_lock(&self) -> io::Result<bool> {
        refused()
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        self.0.try_lock_shared()
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.0.id()
    }
}

/// A file that is on no disk, and empty: it stands where there is none to look at.
#[derive(Debug)]
pub(crate) struct NoFile;

impl DiskFile for NoFile {
    fn read_at(&self, bytes: &mut [u8], _offset: u64) -> io::Result<()> {
        if bytes.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _bytes: u64) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        refused()
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{OsDisk, read_small};
    use std::fs;

    // Goal: nothing can be changed through a disk for reading, whichever way is tried, and all of
    // it can be read. Method: each operation of a disk and of its files, on one and on what it
    // holds; two shared locks at once, and the exclusive one.
    #[test]
    fn a_disk_for_reading_refuses_every_change() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        let path = dir.join("file");
        fs::write(&path, "content").unwrap();
        let disk = ReadOnly::over(Arc::new(OsDisk));
        let held = disk.hold(dir).unwrap().unwrap();
        for disk in [&*disk, &*held] {
            let is_refused = |done: io::Result<()>| {
                done.is_err_and(|cause| cause.kind() == io::ErrorKind::ReadOnlyFilesystem)
            };
            assert!(is_refused(disk.open(&dir.join("new"), OpenMode::New).map(drop)));
            assert!(is_refused(disk.open(&path, OpenMode::Any).map(drop)));
            assert!(is_refused(disk.create_dir(&dir.join("dir"))));
            assert!(is_refused(disk.rename(&path, &dir.join("other"))));
            assert!(is_refused(disk.remove(&path)));
            disk.sync_dir(dir).and_then(|()| disk.sync_parent(dir)).unwrap();
            for file in [disk.open(&path, OpenMode::Existing), disk.open_read(&path)] {
                let file = file.unwrap();
                assert!(is_refused(file.write_at(b"x", 0)) && is_refused(file.set_len(0)));
                assert!(is_refused(file.try_lock().map(drop)));
                file.sync_data().and_then(|()| file.drop_cache()).unwrap();
                assert_eq!(read_small(&*file).unwrap(), b"content");
                assert_eq!(file.id().unwrap(), disk.id_at(&path).unwrap());
            }
            let dirs = [disk.open_dir(dir), disk.open_dir(dir)].map(|dir| dir.unwrap().unwrap());
            assert!(dirs.iter().all(|dir| dir.try_lock_shared().unwrap()));
            let alone = OsDisk.open_dir(dir).unwrap().unwrap();
            assert!(!alone.try_lock().unwrap(), "locked while others look");
            drop(dirs);
            assert!(alone.try_lock().unwrap(), "locked for nobody");
            drop(alone);
            assert_eq!(disk.list(dir).unwrap(), ["file"]);
        }
        assert_eq!(fs::read(&path).unwrap(), b"content");
    }
}
