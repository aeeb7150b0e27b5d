//! A directory of the operating system's file system that is held open: what is in it is reached
//! through it.
//!
//! A path that begins with the one the directory was opened by is cut by it, and the rest is looked
//! up from the open directory. So neither the working directory of the process nor the names of the
//! directories above matter any more. All other paths lead where they do without.

use super::os::{OsDisk, OsFile, TO_READ, room_bytes};
use super::{Disk, DiskFile, FileId, OpenMode};
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A directory that is held open.
#[derive(Debug)]
pub(super) struct HeldDir {
    path: PathBuf,
    dir: OwnedFd,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl HeldDir {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let dir = retry_on_intr(|| rustix::fs::open(path, DIRECTORY, Mode::empty()))?;
        Ok(Self { path: path.to_path_buf(), dir })
    }

    /// What is left of a path below the directory; `None` for a path to elsewhere.
    fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let rest = path.strip_prefix(&self.path).ok()?;
        let stays = rest.components().all(|part| matches!(part, Component::Normal(_)));
        if rest.as_os_str().is_empty() {
            return Some(Path::new("."));
        }
        Some(rest).filter(|_| stays)
    }

    fn open_at(&self, rest: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let opened =
            retry_on_intr(|| rustix::fs::openat(&self.dir, rest, flags | OFlags::CLOEXEC, mode));
        Ok(opened?)
    }

    /// Syncs the directory that the held one is in. One that this user may not read has its whole
    /// file system synced in its place.
    fn sync_above(&self) -> io::Result<()> {
        match self.open_at(Path::new(".."), DIRECTORY, Mode::empty()) {
            Ok(above) => File::from(above).sync_all(),
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                Ok(rustix::fs::syncfs(&self.dir)?)
            }
            Err(cause) => Err(cause),
        }
    }
}

impl Disk for HeldDir {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let Some(rest) = self.below(path) else { return OsDisk.open(path, mode) };
        let flags = match mode {
            OpenMode::Existing => OFlags::empty(),
            OpenMode::New => OFlags::CREATE | OFlags::EXCL,
            OpenMode::Any => OFlags::CREATE,
        };
        let opened = self.open_at(rest, OFlags::RDWR | flags, Mode::RUSR | Mode::WUSR)?;
        OsFile::regular(File::from(opened))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let Some(rest) = self.below(path) else { return OsDisk.create_dir(path) };
        match rustix::fs::mkdirat(&self.dir, rest, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
            // A file of this name is none.
            Err(Errno::EXIST) => self.open_at(rest, DIRECTORY, Mode::empty()).map(drop),
            other => Ok(other?),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let Some(rest) = self.below(dir) else { return OsDisk.list(dir) };
        let opened = self.open_at(rest, DIRECTORY, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::new(opened)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match (self.below(from), self.below(to)) {
            (Some(from), Some(to)) => Ok(rustix::fs::renameat(&self.dir, from, &self.dir, to)?),
            _ => OsDisk.rename(from, to),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let Some(rest) = self.below(path) else { return OsDisk.remove(path) };
        Ok(rustix::fs::unlinkat(&self.dir, rest, AtFlags::empty())?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let Some(rest) = self.below(dir) else { return OsDisk.sync_dir(dir) };
        File::from(self.open_at(rest, DIRECTORY, Mode::empty())?).sync_all()
    }

    fn sync_parent(&self, dir: &Path) -> io::Result<()> {
        if dir != self.path {
            return OsDisk.sync_parent(dir);
        }
        self.sync_above()?;
        // A link leads to the directory by a name that is elsewhere.
        if dir.is_symlink()
            && let Some(parent) = dir.parent()
        {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            match OsDisk.sync_dir(parent) {
                Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let Some(rest) = self.below(path) else { return OsDisk.open_read(path) };
        let opened = self.open_at(rest, TO_READ, Mode::empty())?;
        OsFile::regular(File::from(opened))
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let Some(rest) = self.below(dir) else { return OsDisk.open_dir(dir) };
        let opened = self.open_at(rest, DIRECTORY, Mode::empty())?;
        Ok(Some(OsFile::shared(File::from(opened))))
    }

    fn hold(&self, dir: &Path) -> io::Result<Option<Arc<dyn Disk>>> {
        let Some(rest) = self.below(dir) else { return OsDisk.hold(dir) };
        let held = self.open_at(rest, DIRECTORY, Mode::empty())?;
        Ok(Some(Arc::new(Self { path: dir.to_path_buf(), dir: held })))
    }

    fn id_at(&self, path: &Path) -> io::Result<Option<FileId>> {
        let Some(rest) = self.below(path) else { return OsDisk.id_at(path) };
        let found = rustix::fs::statat(&self.dir, rest, AtFlags::empty())?;
        Ok(Some(FileId::new(found.st_dev, found.st_ino)))
    }

    fn room_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        let Some(rest) = self.below(dir) else { return OsDisk.room_bytes(dir) };
        room_bytes(self.open_at(rest, DIRECTORY, Mode::empty())?).map(Some)
    }

    fn file_bytes_max(&self) -> Option<u64> {
        OsDisk.file_bytes_max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    // Goal: a held directory is reached wherever it is moved, in every way that a disk is used.
    // Method: hold one, move it, put another in its place, and do everything with the old paths.
    #[test]
    fn a_held_directory_is_followed_wherever_it_is_moved() {
        let place = tempfile::tempdir().unwrap();
        let (dir, moved) = (place.path().join("dir"), place.path().join("moved"));
        fs::create_dir(&dir).unwrap();
        let held = OsDisk.hold(&dir).unwrap().unwrap();
        let id = held.id_at(&dir).unwrap();
        fs::rename(&dir, &moved).unwrap();
        fs::create_dir(&dir).unwrap();

        assert_ne!(OsDisk.id_at(&dir).unwrap(), id);
        assert_eq!(held.id_at(&dir).unwrap(), id);
        assert_eq!(held.open_dir(&dir).unwrap().unwrap().id().unwrap(), id);
        held.create_dir(&dir.join("log")).unwrap();
        held.create_dir(&dir.join("log")).unwrap();
        let file = held.open(&dir.join("log/1.new"), OpenMode::New).unwrap();
        file.write_at(b"row", 0).unwrap();
        held.rename(&dir.join("log/1.new"), &dir.join("log/1")).unwrap();
        held.sync_dir(&dir.join("log")).unwrap();
        held.sync_dir(&dir).unwrap();
        held.sync_parent(&dir).unwrap();
        assert_eq!(held.list(&dir).unwrap(), ["log"]);
        assert_eq!(held.list(&dir.join("log")).unwrap(), ["1"]);
        assert_eq!(held.id_at(&dir.join("log/1")).unwrap(), file.id().unwrap());
        assert_eq!(fs::read(moved.join("log/1")).unwrap(), b"row");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "the other directory was written to");
        // A directory held through a held one, and paths that lead elsewhere.
        let log = held.hold(&dir.join("log")).unwrap().unwrap();
        log.remove(&dir.join("log/1")).unwrap();
        assert!(!moved.join("log/1").exists());
        held.open(&place.path().join("other"), OpenMode::Any).unwrap();
        assert!(held.open(&dir.join("../dir/log"), OpenMode::Existing).is_err());
        assert!(held.room_bytes(&dir).unwrap().is_some_and(|bytes| bytes > 0));
    }

    // Goal: the name of a directory is synced however it is written. Method: one component, dots,
    // slashes at the end, a link, the root.
    #[test]
    fn every_spelling_of_a_directory_has_its_parent_synced() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("dir");
        fs::create_dir(&dir).unwrap();
        symlink(&dir, place.path().join("link")).unwrap();
        for name in ["dir", "dir/", "dir/.", "dir/../dir", "link", "link/", ""] {
            OsDisk.sync_parent(&place.path().join(name)).unwrap();
        }
        for path in ["/", ".", "..", "src"] {
            OsDisk.sync_parent(Path::new(path)).unwrap();
        }
        assert!(OsDisk.sync_parent(&place.path().join("none")).is_err());
    }

    // Goal: what is only read is opened for reading. Method: a file of mode 0400, through the disk
    // and a held directory; writing to it fails, also for root.
    #[test]
    fn a_file_to_be_read_is_not_opened_for_writing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys");
        fs::write(&path, "keys").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let held = OsDisk.hold(place.path()).unwrap().unwrap();
        for disk in [&OsDisk as &dyn Disk, &*held] {
            let file = disk.open_read(&path).unwrap();
            assert_eq!(crate::disk::read_small(&*file).unwrap(), b"keys");
            assert!(file.write_at(b"x", 0).is_err());
        }
    }
}
