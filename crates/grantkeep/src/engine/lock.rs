//! The file `LOCK`: one process that writes at a time, whether the last one closed in order, and
//! how far the log had come at least.
//!
//! ```text
//! open PID | log closed | closed
//! log NEWEST WRITTEN COMMIT the newest segment, the one that is written to, and a commit that is
//!                           durable; 20 digits each
//! check 16 HEX DIGITS       xxh3-64 of the lines before
//! holder PID                who is opening the store, and has not written to it yet
//! ```
//!
//! A log that lost its end looks like one whose end was never written, so nothing in it can tell:
//! this does. After `closed` everything is on the device; after `log closed` the log is, and ends
//! with its close, but the table may lack what the log has. It is a help, not a promise: without a
//! whole note an open believes the log. Where somebody has removed it while the store is open, the
//! next note makes it anew. Who only looks at a store reads it, and writes nothing to it.

use super::owner::{self, Owner};
use crate::disk::{self, Disk, DiskFile, FileId, NoFile, OpenMode};
use crate::error::{Error, Result};
use crate::sync::{Arc, AtomicU64, Instant, Mutex, Ordering, thread};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// The lock's file in a store directory.
pub(crate) const LOCK_FILE: &str = "LOCK";

const CLOSED: &str = "closed\n";
const LOG_CLOSED: &str = "log closed\n";
const HOLDER: &str = "holder ";

/// How often an open that waits for a store to be closed looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a store's directory is locked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// One has it.
    Writing,
    /// Any number have it, and nobody writes. Nothing is written for it, to `LOCK` either.
    Looking,
}

impl For {
    /// Locks a file; false if others have it who cannot have it at the same time.
    pub(super) fn try_lock(self, file: &dyn DiskFile) -> io::Result<bool> {
        match self {
            Self::Writing => file.try_lock(),
            Self::Looking => file.try_lock_shared(),
        }
    }

    /// Opens `LOCK`. One that is not there is none for who looks: the directory is locked.
    fn open(self, disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match self {
            Self::Writing => disk.open(path, OpenMode::Any),
            Self::Looking => match disk.open_read(path) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Arc::new(NoFile)),
                opened => opened,
            },
        }
    }
}

/// How the last process that had a store left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It crashed, was killed, or had no room to close its log.
    Open,
    /// It closed the log, and could not close the table.
    LogClosed,
    /// It closed everything.
    Closed,
}

impl Left {
    /// True if the log ends with the frame of a close, behind which nothing was ever written.
    pub(crate) fn is_log_whole(self) -> bool {
        self != Self::Open
    }
}

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
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The file of the notes. Only who notes something looks at it: an open, then the supplier,
    /// then who closes the store.
    file: Mutex<Arc<dyn DiskFile>>,
    /// Dropped after the file: whoever owns the directory next finds `LOCK` free.
    owner: Owner,
    pub(crate) left: Left,
    /// What that one noted of the log.
    pub(crate) reached: Option<Reached>,
    /// The segments that were noted.
    newest: AtomicU64,
    written: AtomicU64,
}

impl Lock {
    /// Takes the lock, if need be once its holder has given it back within `patience`.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) with the process id of who has it.
    pub(crate) fn take(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        wanted: For,
        patience: Duration,
    ) -> Result<Self> {
        let started = Instant::now();
        loop {
            if let Some(lock) = Self::try_take(disk, dir, wanted)? {
                return Ok(lock);
            }
            let left = patience.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(owner::refusal(&**disk, dir, wanted));
            }
            thread::sleep(LOOK_EVERY.min(left));
        }
    }

    fn try_take(disk: &Arc<dyn Disk>, dir: &Path, wanted: For) -> Result<Option<Self>> {
        let path = dir.join(LOCK_FILE);
        let failed = |cause| Error::file("lock", path.display(), cause);
        let Some(owner) = Owner::take(&**disk, dir, wanted)? else { return Ok(None) };
        let file = wanted.open(&**disk, &path).map_err(failed)?;
        if !wanted.try_lock(&*file).map_err(failed)? {
            return Ok(None);
        }
        let content = disk::read_small(&*file).map_err(failed)?;
        let note = read_note(&content);
        let reached = note.map(|(reached, _)| reached);
        // A note that is damaged says nothing, so what stands before it is not believed either.
        let rest = content.strip_prefix(CLOSED.as_bytes());
        let plain = |rest: &[u8]| rest.is_empty() || rest.starts_with(HOLDER.as_bytes());
        let left = match rest {
            Some(rest) if reached.is_some() || plain(rest) => Left::Closed,
            None if reached.is_some() && content.starts_with(LOG_CLOSED.as_bytes()) => {
                Left::LogClosed
            }
            _ => Left::Open,
        };
        let behind = match note {
            Some((_, bytes)) => bytes,
            None if left == Left::Closed => CLOSED.len(),
            None => 0,
        };
        if wanted == For::Writing {
            // A courtesy to whom it refuses: without it the open goes on.
            let _ = name_holder(&*file, behind as u64);
        }
        let (newest, written) = (AtomicU64::new(0), AtomicU64::new(0));
        let (disk, file) = (Arc::clone(disk), Mutex::new(file));
        Ok(Some(Self { disk, path, file, owner, left, reached, newest, written }))
    }

    /// Which directory is locked; `None` where the disk does not tell.
    pub(crate) fn dir_id(&self) -> Option<FileId> {
        self.owner.id()
    }

    /// Notes that the store is open, before the first write to its log.
    pub(crate) fn mark_open(&self, reached: Reached) -> io::Result<()> {
        let bytes = self.note(reached)?;
        self.file()?.set_len(bytes)
    }

    /// Notes how far the log has come, in place: it takes no room on a full disk. Answers how many
    /// bytes the note has.
    pub(crate) fn note(&self, reached: Reached) -> io::Result<u64> {
        self.newest.store(reached.newest, Ordering::Relaxed);
        self.written.store(reached.written, Ordering::Relaxed);
        self.write(&format!("open {}\n", std::process::id()), reached)
    }

    /// Notes it anew if somebody has taken `LOCK` away: an open would find no note, and who is
    /// refused no holder.
    pub(crate) fn renew(&self, commit: u64) -> io::Result<()> {
        if self.is_named()? {
            return Ok(());
        }
        let (newest, written) = (self.newest.load(Ordering::Relaxed), self.written());
        self.note(Reached { newest, written, commit }).map(drop)
    }

    /// Notes that the log was closed by this commit, after the last write to it, and whether the
    /// table was as well.
    pub(crate) fn mark_closed(&self, left: Left, commit: u64) -> io::Result<()> {
        let (newest, written) = (self.newest.load(Ordering::Relaxed), self.written());
        let state = if left == Left::Closed { CLOSED } else { LOG_CLOSED };
        let bytes = self.write(state, Reached { newest, written, commit })?;
        self.file()?.set_len(bytes)
    }

    /// The newest segment that was noted: an open would miss it.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// The segment that an open would miss beside the newest.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Over what is there, so that it takes no room: what is behind a whole note says nothing.
    fn write(&self, state: &str, reached: Reached) -> io::Result<u64> {
        let Reached { newest, written, commit } = reached;
        let noted = format!("{state}log {newest:020} {written:020} {commit:020}\n");
        let content = format!("{noted}check {:016x}\n", xxh3_64(noted.as_bytes()));
        let file = self.file()?;
        file.write_at(content.as_bytes(), 0)?;
        file.sync_data()?;
        Ok(content.len() as u64)
    }

    /// True if `LOCK` is the name of the file that is open, as far as the disk tells.
    fn is_named(&self) -> io::Result<bool> {
        match self.disk.id_at(&self.path) {
            Ok(Some(named)) => Ok(self.file.lock().id()? == Some(named)),
            Ok(None) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cause),
        }
    }

    /// The file that has the name `LOCK`, made anew where somebody has taken the old one away.
    ///
    /// # Durability
    /// The name of a new one is durable when this returns.
    fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        if self.is_named()? {
            return Ok(Arc::clone(&self.file.lock()));
        }
        let fresh = self.disk.open(&self.path, OpenMode::Any)?;
        fresh.set_len(0)?;
        if let Some(dir) = self.path.parent() {
            self.disk.sync_dir(dir)?;
        }
        // The directory is locked: this lock is for disks that cannot, and do not get here.
        let _ = fresh.try_lock();
        *self.file.lock() = Arc::clone(&fresh);
        Ok(fresh)
    }
}

/// Says at once who has the lock, also while the store is being opened, behind what the last
/// process noted: nothing was written to the store so far.
fn name_holder(file: &dyn DiskFile, behind: u64) -> io::Result<()> {
    file.set_len(behind)?;
    file.write_at(format!("{HOLDER}{}\n", std::process::id()).as_bytes(), behind)
}

/// The process id of who has the lock.
pub(crate) fn holder(content: &[u8]) -> Option<String> {
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

    // Goal: a note is read back, and a damaged one says nothing. Method: every state,
    // flipped bit, and length; the notes of stores from before there were any.
    #[test]
    fn notes_are_read_back_and_damaged_ones_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_FILE);
        let reached = Reached { newest: 12, written: 11, commit: u64::MAX };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let take = || Lock::take(&disk, dir.path(), For::Writing, Duration::ZERO).unwrap();
        let lock = take();
        lock.mark_open(reached).unwrap();
        let open = std::fs::read(&path).unwrap();
        assert_eq!(read_note(&open), Some((reached, open.len())));
        lock.mark_closed(Left::Closed, 7).unwrap();
        let closed = std::fs::read(&path).unwrap();
        let at_close = Reached { newest: 12, written: 11, commit: 7 };
        assert_eq!(read_note(&closed), Some((at_close, closed.len())));
        lock.mark_closed(Left::LogClosed, 7).unwrap();
        let log_closed = std::fs::read(&path).unwrap();
        assert_eq!(read_note(&log_closed), Some((at_close, log_closed.len())));
        drop(lock);
        for (content, left, noted) in [
            (&open, Left::Open, true),
            (&log_closed, Left::LogClosed, true),
            (&closed, Left::Closed, true),
            (&b"closed\n".to_vec(), Left::Closed, false),
            (&b"log closed\n".to_vec(), Left::Open, false),
            (&b"open 1\n".to_vec(), Left::Open, false),
        ] {
            std::fs::write(&path, content).unwrap();
            let lock = take();
            assert_eq!((lock.left, lock.reached.is_some()), (left, noted));
            // Who has it is named at once, and says nothing of how the last one ended.
            let named = std::fs::read(&path).unwrap();
            assert_eq!(holder(&named), Some(std::process::id().to_string()));
            drop(lock);
            let lock = take();
            assert_eq!((lock.left, lock.reached.is_some()), (left, noted));
        }
        for content in [open, log_closed, closed] {
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
