//! What a command makes, and takes away again when it is interrupted.
//!
//! A command writes to directories that it has made for that purpose alone. Each is noted here as
//! it is made, and so is the process that the demonstration kills. When the command is told to end
//! (Ctrl-C, SIGTERM, SIGHUP) the process is killed and the directories are removed, with the list
//! locked: the command itself, which goes on meanwhile, gets no further than to its next use of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a shell calls the end by Ctrl-C.
const INTERRUPTED: i32 = 130;
/// How often a directory is removed in which somebody still makes files, and how long after.
const REMOVALS: u32 = 20;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(25);

static MADE: Mutex<Made> = Mutex::new(Made { dirs: Vec::new(), child: None });

#[derive(Debug)]
struct Made {
    dirs: Vec<PathBuf>,
    child: Option<Child>,
}

fn made() -> MutexGuard<'static, Made> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has what was made removed when the command is told to end.
///
/// # Errors
/// Where the operating system refuses to say so.
pub(crate) fn remove_when_interrupted() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        let mut made = made();
        if let Some(child) = &mut made.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        for dir in &made.dirs {
            remove(dir);
            eprintln!("interrupted: {} is removed again", dir.display());
        }
        std::process::exit(INTERRUPTED);
    })
}

/// Waits for ever where the command is being interrupted: what goes wrong from then on is no news.
pub(crate) fn check_interrupted() {
    drop(made());
}

/// Removes a directory in which somebody may still be making files.
fn remove(dir: &Path) {
    for _ in 0..REMOVALS {
        match std::fs::remove_dir_all(dir) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                std::thread::sleep(BETWEEN_REMOVALS);
            }
            _ => return,
        }
    }
}

/// A directory that the command has made; it goes with this, unless it is kept.
#[derive(Debug)]
pub(crate) struct MadeDir(Option<PathBuf>);

impl MadeDir {
    /// Makes a directory.
    ///
    /// # Errors
    /// `AlreadyExists` for one that is there, also if it is empty.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Self::make(|| std::fs::create_dir(path).map(|()| path.to_path_buf()))
    }

    /// Makes a directory where temporary ones are.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    pub(crate) fn temporary() -> io::Result<Self> {
        Self::make(|| tempfile::tempdir().map(tempfile::TempDir::keep))
    }

    fn make(make: impl FnOnce() -> io::Result<PathBuf>) -> io::Result<Self> {
        // Noted before anybody can interrupt.
        let mut made = made();
        let dir = make()?;
        // The working directory is nobody's promise.
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        made.dirs.push(dir.clone());
        Ok(Self(Some(dir)))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Leaves the directory where it is.
    pub(crate) fn keep(mut self) {
        if let Some(dir) = self.0.take() {
            made().dirs.retain(|held| *held != dir);
        }
    }
}

impl Drop for MadeDir {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take() {
            let mut made = made();
            remove(&dir);
            made.dirs.retain(|held| *held != dir);
        }
    }
}

/// Starts the process that ends with the command.
///
/// # Errors
/// Whatever the operating system answers.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Option<std::process::ChildStdout>> {
    let mut made = made();
    let mut child = command.spawn()?;
    let out = child.stdout.take();
    made.child = Some(child);
    Ok(out)
}

/// Kills the process, if it has not ended by itself: then the status is answered.
///
/// # Errors
/// Whatever the operating system answers.
pub(crate) fn kill() -> io::Result<Option<ExitStatus>> {
    let Some(mut child) = made().child.take() else { return Ok(None) };
    let ended = child.try_wait()?;
    child.kill()?;
    child.wait()?;
    Ok(ended)
}
