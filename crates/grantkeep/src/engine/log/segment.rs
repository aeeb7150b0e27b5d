//! Segments: the files of the log.
//!
//! A segment is written with zeros once, and used again and again, so that a sync touches no
//! file-system metadata. Each use has a number and a nonce of its own; frames of an earlier use
//! fail the check under the new nonce.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!      0    512  header
//!   4096    512  the same header again: one of the two survives a torn write
//!   8192         frames
//!
//! header: offset  bytes  field
//!              0      8  "GKLOG" 0 0 0
//!              8      4  format
//!             12      4  length of the segment
//!             16     16  the store's id
//!             32      8  number
//!             40      8  nonce
//!             48      8  xxh3-64 of the 48 bytes before
//! ```

use super::frame::FRAME_BYTES_MAX;
use crate::backend::record::{u32_at, u64_at};
use crate::disk::{Disk, DiskFile, OpenMode, fill_zeros};
use crate::engine::backup::ADVICE;
use crate::engine::place::NUMBER_MAX;
use crate::engine::table::TABLE_FILE;
use crate::error::{Error, Result};
use crate::keyring::random;
use crate::sabotage::{self, Flaw};
use crate::sync::{Arc, AtomicU64, Ordering};
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Where the frames begin.
pub(crate) const SEGMENT_DATA: u32 = 8_192;

/// The shortest segment that is made, on a disk that has no room for a longer one: every frame
/// fits.
pub(crate) const SEGMENT_BYTES_LEAST: u32 = 128 << 10;
const _: () = assert!(FRAME_BYTES_MAX as u64 + (SEGMENT_DATA as u64) < SEGMENT_BYTES_LEAST as u64);

const MAGIC: [u8; 8] = *b"GKLOG\0\0\0";
/// The format of the segments that this version reads and writes.
const FORMAT: u32 = 4;
const HEADER_BYTES: usize = 56;
const COPY_AT: [u64; 2] = [0, 4_096];

/// One use of a log file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) number: u64,
    pub(crate) nonce: u64,
    /// The length of the file.
    pub(crate) bytes: u32,
    /// The offset behind its last frame, once it is not written to any more.
    end: AtomicU64,
}

impl Segment {
    /// A use of `file` with this number and nonce, whose last frame ends at `end`.
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        (number, nonce): (u64, u64),
        bytes: u32,
        end: u32,
    ) -> Self {
        Self { file, path, number, nonce, bytes, end: AtomicU64::new(end.into()) }
    }

    /// The offset behind its last frame, as it was noted last.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.end.load(Ordering::Acquire)).unwrap_or(u32::MAX)
    }

    /// Notes where the last frame ends: whoever finds it ending before has found damage.
    pub(crate) fn note_end(&self, end: u32) {
        self.end.store(end.into(), Ordering::Release);
    }

    /// Makes a new file full of zeros.
    ///
    /// # Durability
    /// On success the file, its name, and its header are durable.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        store: &[u8; 16],
        number: u64,
        bytes: u32,
    ) -> io::Result<Self> {
        let path = dir.join(format!("{number:012}.seg"));
        let fresh = dir.join(format!("{number:012}.new"));
        let file = disk.open(&fresh, OpenMode::Any)?;
        let filled = fill_zeros(&*file, 0, u64::from(bytes)).and_then(|()| {
            let segment = Self::write_header(file, path, store, (number, nonce()?), bytes)?;
            disk.rename(&fresh, &segment.path)?;
            disk.sync_dir(dir)?;
            Ok(segment)
        });
        if filled.is_err() {
            // What could not be finished must not keep the space it took, under either name.
            let _ = disk.remove(&fresh);
            let _ = disk.remove(&dir.join(format!("{number:012}.seg")));
        }
        filled
    }

    /// Begins a new use of a file whose frames are not needed any more.
    ///
    /// # Durability
    /// On success the new header is durable. A crash on the way leaves one of the two.
    pub(crate) fn reuse(&self, store: &[u8; 16], number: u64) -> io::Result<Self> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        let nonce = if sabotage::is(Flaw::RecycledFrameBelieved) { self.nonce } else { nonce()? };
        Self::write_header(file, path, store, (number, nonce), self.bytes)
    }

    fn write_header(
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        store: &[u8; 16],
        (number, nonce): (u64, u64),
        bytes: u32,
    ) -> io::Result<Self> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&bytes.to_le_bytes());
        header.extend_from_slice(store);
        header.extend_from_slice(&number.to_le_bytes());
        header.extend_from_slice(&nonce.to_le_bytes());
        header.extend_from_slice(&xxh3_64(&header).to_le_bytes());
        for at in COPY_AT {
            file.write_at(&header, at)?;
            file.sync_data()?;
        }
        Ok(Self::new(file, path, (number, nonce), bytes, SEGMENT_DATA))
    }

    /// Opens a segment by its header.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if neither copy of the header is whole, or
    /// it is another store's, or its number is one that no segment has,
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if it is of another format.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, store: &[u8; 16]) -> Result<Self> {
        let failed = |cause| Error::file("read the log segment", path.display(), cause);
        let file = disk.open(&path, OpenMode::Existing).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let mut best: Option<(u64, u64, u32)> = None;
        for at in COPY_AT {
            let mut header = [0; HEADER_BYTES];
            match file.read_at(&mut header, at) {
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => continue,
                // The other copy may be that of an earlier use.
                read => read.map_err(failed)?,
            }
            let Some(read) = read_header(&header) else { continue };
            if read.format != FORMAT {
                let what = format!("the log segment {}", path.display());
                return Err(Error::format(&what, read.format.into(), FORMAT.into()));
            }
            if read.store != *store {
                return Err(Error::corrupt(format!(
                    "the log segment {} belongs to another store than {TABLE_FILE}: put the right \
                     file back, or {ADVICE}",
                    path.display()
                )));
            }
            if best.is_none_or(|(number, ..)| number < read.number) {
                best = Some((read.number, read.nonce, read.bytes));
            }
        }
        let known = best.filter(|(number, ..)| (1..=NUMBER_MAX).contains(number));
        let (number, nonce, bytes) = known.ok_or_else(|| {
            let path = path.display();
            Error::corrupt(format!("the header of the log segment {path} is damaged: {ADVICE}"))
        })?;
        let bytes = bytes.min(u32::try_from(length).unwrap_or(u32::MAX));
        Ok(Self::new(file, path, (number, nonce), bytes, SEGMENT_DATA))
    }

    /// The bytes from `offset` on, at most `len` and not past the segment's end.
    pub(crate) fn read(&self, offset: u32, len: usize) -> Result<Arc<[u8]>> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(0);
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len.min(left)).collect();
        if let Some(bytes) = Arc::get_mut(&mut bytes) {
            self.file
                .read_at(bytes, u64::from(offset))
                .map_err(|cause| Error::file("read the log segment", self.path.display(), cause))?;
        }
        Ok(bytes)
    }
}

fn nonce() -> io::Result<u64> {
    let mut nonce = [0; 8];
    random(&mut nonce).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(nonce))
}

struct Header {
    format: u32,
    bytes: u32,
    store: [u8; 16],
    number: u64,
    nonce: u64,
}

fn read_header(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
    let (covered, _) = bytes.split_at_checked(HEADER_BYTES - 8)?;
    let whole = covered.starts_with(&MAGIC) && u64_at(bytes, 48)? == xxh3_64(covered);
    whole.then_some(())?;
    Some(Header {
        format: u32_at(bytes, 8)?,
        bytes: u32_at(bytes, 12)?,
        store: *bytes.get(16..)?.first_chunk()?,
        number: u64_at(bytes, 32)?,
        nonce: u64_at(bytes, 40)?,
    })
}
