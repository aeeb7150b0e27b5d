//! Directories on a real file system, which go when they are dropped.

use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory for one store or yardstick.
///
/// It lies beside the running program, in the target directory, because a temporary directory is
/// often memory, where a sync costs nothing; the variable `GRANTKEEP_BENCH_DIR` names another
/// place.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// An empty directory.
    pub fn new() -> Self {
        let place = std::env::var_os("GRANTKEEP_BENCH_DIR").map_or_else(beside, PathBuf::from);
        Self(tempfile::tempdir_in(place).expect("a directory for the bench"))
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies a store directory as a kill would leave it: whatever is in its files at this moment,
/// written back to the disk.
///
/// # Errors
/// Whatever the operating system answers.
pub fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
            std::fs::File::open(&target)?.sync_all()?;
        }
    }
    Ok(())
}

fn beside() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.parent().map_or_else(std::env::temp_dir, Path::to_path_buf)
}
