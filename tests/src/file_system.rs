//! File systems of their own, mounted for a test and gone with it.

use crate::process::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// `EXT4_IOC_SHUTDOWN` with the flag not to flush the journal: as if the power were cut.
const CUT: &str = "open(my $dir, '<', $ARGV[0]) or die \"open: $!\\n\"; \
                   my $flag = pack('L', 2); \
                   ioctl($dir, 0x8004587d, $flag) or die \"ioctl: $!\\n\"";

/// Nothing is left for the kernel to write by itself later on.
const LAZY: &str = "lazy_itable_init=0,lazy_journal_init=0";

/// A mounted file system, unmounted when this is dropped.
#[derive(Debug)]
pub struct FileSystem {
    dir: TempDir,
    /// How it is mounted, but for the place.
    mount: Vec<String>,
    mounted: bool,
}

impl FileSystem {
    /// One in memory, of so many MiB.
    ///
    /// # Errors
    /// Why that cannot be mounted here.
    pub fn tmpfs(mib: u64) -> Result<Self, String> {
        let size = format!("-osize={mib}m");
        let mount = ["-t", "tmpfs", &size, "grantkeep"].map(str::to_owned).to_vec();
        Self::mounted(TempDir::new().map_err(|why| why.to_string())?, mount)
            .map_err(|why| format!("this user may not mount a tmpfs ({why})"))
    }

    /// An ext4 of so many MiB in a file, through a loop device.
    ///
    /// # Errors
    /// Why that cannot be mounted here.
    pub fn ext4(mib: u64) -> Result<Self, String> {
        let dir = TempDir::new().map_err(|why| why.to_string())?;
        let image = dir.path().join("image");
        let made = fs::File::create(&image).and_then(|file| file.set_len(mib << 20));
        made.map_err(|why| why.to_string())?;
        make_ext4(&image)?;
        let image = image.to_str().ok_or("a path that is no text")?.to_owned();
        let mount = ["-t", "ext4", "-o", "loop", &image].map(str::to_owned).to_vec();
        Self::mounted(dir, mount).map_err(|why| format!("no ext4 can be mounted here ({why})"))
    }

    /// The ext4 on a block device.
    ///
    /// # Errors
    /// Why that cannot be mounted here.
    pub fn on_device(device: &str) -> Result<Self, String> {
        let dir = TempDir::new().map_err(|why| why.to_string())?;
        // A journal that is seldom written leaves the faults to the data.
        let mount = ["-t", "ext4", "-o", "commit=300", device].map(str::to_owned).to_vec();
        Self::mounted(dir, mount).map_err(|why| format!("no ext4 can be mounted here ({why})"))
    }

    fn mounted(dir: TempDir, mount: Vec<String>) -> Result<Self, String> {
        fs::create_dir(dir.path().join("mounted")).map_err(|why| why.to_string())?;
        let mut made = Self { dir, mount, mounted: false };
        made.mount()?;
        Ok(made)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Mounts it again.
    ///
    /// # Errors
    /// The tool's message.
    pub fn mount(&mut self) -> Result<(), String> {
        tool(Command::new("mount").args(&self.mount).arg(self.path()))?;
        self.mounted = true;
        Ok(())
    }

    /// Unmounts it: what was not written is gone after a cut, and nothing stays cached.
    ///
    /// # Errors
    /// The tool's message.
    pub fn unmount(&mut self) -> Result<(), String> {
        tool(Command::new("umount").arg(self.path()))?;
        self.mounted = false;
        Ok(())
    }

    /// Cuts the power: nothing is written any more, not even the journal.
    ///
    /// # Errors
    /// Why this file system, or this user, cannot.
    pub fn cut(&self) -> Result<(), String> {
        tool(Command::new("perl").args(["-e", CUT]).arg(self.path())).map(drop)
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            // Somebody still has it open: it goes when they do.
            let _ = tool(Command::new("umount").arg("-l").arg(self.path()));
        }
    }
}

/// Makes an ext4 without blocks that are kept for root.
///
/// # Errors
/// The tool's message.
pub fn make_ext4(on: &Path) -> Result<(), String> {
    let made = tool(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", LAZY]).arg(on));
    made.map(drop).map_err(|why| format!("no ext4 can be made here ({why})"))
}
