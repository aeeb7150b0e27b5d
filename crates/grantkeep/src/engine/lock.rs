//! The file `LOCK`: one process at a time, whether the last one closed in order, and how far the
//! log had come at least.
//!
//! ```text
//! open PID | closed
//! log NEWEST WRITTEN COMMIT the newest segment, the one that is written to, and a commit that is
//!                           durable; 20 digits each
//! check 16 HEX DIGITS       xxh3-64 of the lines before
//! holder PID                who is opening the store, and has not written to it yet
//! ```
//!
//! A log that lost its end looks like one whose end was never written, so nothing in it can tell:
//! this does. It is a help, not a promise: without a whole note an open believes the log.

use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicU64, Ordering};
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// The lock's file in a store directory.
pub(crate) const LOCK_FILE: &str = "LOCK";

const CLEAN: &str = "closed\n";
const HOLDER: &str = "holder ";

/// How far the log had come at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The number of a segment that was made; there is one of this or a larger number.
    pub(crate) newest: u64,
    /// The number of the one that was written to then. It is there as long as that is the newest.
    pub(crate) written: u64,
    /// A commit that is durable; after an orderly close it is the last one.
    pub(crate) commit: u64,
}

/// The lock on a store directory; it ends when this is dropped, or the process.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Arc<dyn DiskFile>,
    /// True if the last process that had the store closed it in order.
    pub(crate) was_clean: bool,
    /// What that one noted of the log.
    pub(crate) reached: Option<Reached>,
    /// The segments that were noted.
    newest: AtomicU64,
    written: AtomicU64,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] with the process id of who has it.
    pub(crate) fn take(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let failed = |cause| Error::file("lock", path.display(), cause);
        let file = disk.open(&path, OpenMode::Any).map_err(failed)?;
        if !file.try_lock().map_err(failed)? {
            let content = disk::read_all(&*file).unwrap_or_default();
            let pid = holder(&content).unwrap_or_else(|| "unknown".to_owned());
            return Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "the store {} is open in another process (pid {pid}): stop it first",
                    dir.display()
                ),
            ));
        }
        let content = disk::read_all(&*file).map_err(failed)?;
        let note = read_note(&content);
        let reached = note.map(|(reached, _)| reached);
        // A note that is damaged says nothing, so what stands before it is not believed either.
        let rest = content.strip_prefix(CLEAN.as_bytes());
        let plain = |rest: &[u8]| rest.is_empty() || rest.starts_with(HOLDER.as_bytes());
        let was_clean = rest.is_some_and(|rest| reached.is_some() || plain(rest));
        let behind = match note {
            Some((_, bytes)) => bytes,
            None if was_clean => CLEAN.len(),
            None => 0,
        };
        let (newest, written) = (AtomicU64::new(0), AtomicU64::new(0));
        let lock = Self { file, was_clean, reached, newest, written };
        // A courtesy to whom it refuses: without it the open goes on.
        let _ = lock.name_holder(behind as u64);
        Ok(lock)
    }

    /// Says at once who has the lock, also while the store is being opened, behind what the last
    /// process noted: nothing was written to the store so far.
    fn name_holder(&self, behind: u64) -> io::Result<()> {
        self.file.set_len(behind)?;
        self.file.write_at(format!("{HOLDER}{}\n", std::process::id()).as_bytes(), behind)
    }

    /// Notes that the store is open, before the first write to its log.
    pub(crate) fn mark_open(&self, reached: Reached) -> io::Result<()> {
        self.file.set_len(0)?;
        self.note(reached)
    }

    /// Notes how far the log has come, in place: it takes no room on a full disk.
    pub(crate) fn note(&self, reached: Reached) -> io::Result<()> {
        self.newest.store(reached.newest, Ordering::Relaxed);
        self.written.store(reached.written, Ordering::Relaxed);
        self.write(&format!("open {}\n", std::process::id()), reached)
    }

    /// Notes that the store was closed in order by this commit, after the last write to it.
    pub(crate) fn mark_closed(&self, commit: u64) -> io::Result<()> {
        let (newest, written) = (self.newest.load(Ordering::Relaxed), self.written());
        self.file.set_len(0)?;
        self.write(CLEAN, Reached { newest, written, commit })
    }

    /// The segment that an open would miss beside the newest.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn write(&self, state: &str, reached: Reached) -> io::Result<()> {
        let Reached { newest, written, commit } = reached;
        let noted = format!("{state}log {newest:020} {written:020} {commit:020}\n");
        let content = format!("{noted}check {:016x}\n", xxh3_64(noted.as_bytes()));
        self.file.write_at(content.as_bytes(), 0)?;
        self.file.sync_data()
    }
}

/// The process id of who has the lock.
fn holder(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    let last = text.lines().rev().find_map(|line| line.strip_prefix(HOLDER));
    let pid = last.or_else(|| text.lines().next()?.strip_prefix("open "))?;
    let digits = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| pid.to_owned())
}

/// What a whole note says of the log, and where it ends. What follows it is another process's.
fn read_note(content: &[u8]) -> Option<(Reached, usize)> {
    let text = std::str::from_utf8(content).ok()?;
    let (noted, check) = text.split_once("check ")?;
    let (check, _) = check.split_once('\n').filter(|(check, _)| check.len() == 16)?;
    let whole = u64::from_str_radix(check, 16).ok()? == xxh3_64(noted.as_bytes());
    let (_, numbers) = noted.strip_suffix('\n').filter(|_| whole)?.split_once("\nlog ")?;
    let mut numbers = numbers.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let reached = Reached { newest: next()?, written: next()?, commit: next()? };
    Some((reached, noted.len() + "check \n".len() + check.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    // Goal: a note is read back, and a damaged one says nothing. Method: both states, every
    // flipped bit, every length; the notes of stores from before there were any.
    #[test]
    fn notes_are_read_back_and_damaged_ones_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_FILE);
        let reached = Reached { newest: 12, written: 11, commit: u64::MAX };
        let lock = Lock::take(&OsDisk, dir.path()).unwrap();
        lock.mark_open(reached).unwrap();
        let open = std::fs::read(&path).unwrap();
        assert_eq!(read_note(&open), Some((reached, open.len())));
        lock.mark_closed(7).unwrap();
        let closed = std::fs::read(&path).unwrap();
        let at_close = Reached { newest: 12, written: 11, commit: 7 };
        assert_eq!(read_note(&closed), Some((at_close, closed.len())));
        drop(lock);
        for (content, clean, noted) in [(&open, false, true), (&closed, true, true)]
            .into_iter()
            .chain([(&b"closed\n".to_vec(), true, false), (&b"open 1\n".to_vec(), false, false)])
        {
            std::fs::write(&path, content).unwrap();
            let lock = Lock::take(&OsDisk, dir.path()).unwrap();
            assert_eq!((lock.was_clean, lock.reached.is_some()), (clean, noted));
            // Who has it is named at once, and says nothing of how the last one ended.
            let named = std::fs::read(&path).unwrap();
            assert_eq!(holder(&named), Some(std::process::id().to_string()));
            drop(lock);
            let lock = Lock::take(&OsDisk, dir.path()).unwrap();
            assert_eq!((lock.was_clean, lock.reached.is_some()), (clean, noted));
        }
        for content in [open, closed] {
            for bit in 0..content.len() * 8 {
                let mut damaged = content.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                // An upper-case digit of the check is the same number.
                let told = read_note(&damaged);
                assert!(told.is_none() || told == read_note(&content), "bit {bit}");
            }
            for len in 0..content.len() {
                assert_eq!(read_note(&content[..len]), None, "length {len}");
            }
        }
    }
}
