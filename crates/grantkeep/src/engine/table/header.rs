//! The header of redb's file, looked at before redb opens it: what redb takes for granted of it,
//! and answers with a panic, is a typed error here.
//!
//! ```text
//! offset  bytes  field (little-endian), as of redb's file format 3
//!      0      9  "redb" 1A 0A A9 0D 0A
//!      9      1  flags; bit 1: redb has the file open, or had it when its process ended
//!     12      4  bytes of a page
//!     16      4  pages of a region's header
//!     20      4  pages of a region's data at most
//!     24      4  full regions
//!     28      4  pages of data in the region behind them
//!     64    128  a commit; its first byte is the file format
//!    192    128  another; the flags say which one counts
//! ```
//!
//! The lengths are written with a commit, before the file has that length for good. So a file that
//! is shorter than its header says was cut, unless redb had it open: then a power cut may have
//! taken back what it was growing by. Whether all that the last commit needs is there is told by
//! reading it, with each check ([`Suspicion::Cut`]).

use super::TABLE_FILE;
use crate::backend::record::u32_at;
use crate::disk::DiskFile;
use crate::engine::backup::ADVICE;
use crate::error::{Error, ErrorKind, Result};

const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";
const HEADER_BYTES: usize = 320;
const FLAGS_AT: usize = 9;
const FLAG_OPEN: u8 = 2;
const COMMITS_AT: [usize; 2] = [64, 192];
/// The file format that redb reads and writes.
const FORMAT: u8 = 3;
/// What redb makes every file with.
const PAGE_BYTES: u32 = 4_096;
const REGION_HEADER_PAGES: u32 = 0;
const REGION_PAGES: u32 = 1 << 20;

/// What the header makes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    None,
    /// It is shorter than the header says: what was cut off may have been needed.
    Cut,
}

/// Refuses a file that redb cannot open, or should not try to.
///
/// # Errors
/// [`ErrorKind::Format`] for a file format of another version of redb, [`ErrorKind::Corrupt`] for
/// damage.
pub(super) fn check(file: &dyn DiskFile) -> Result<Suspicion> {
    let reading = |cause| Error::file("read", TABLE_FILE, cause);
    let length = file.len().map_err(reading)?;
    let mut header = [0; HEADER_BYTES];
    if length < HEADER_BYTES as u64 {
        return Err(cut(length, HEADER_BYTES as u64));
    }
    file.read_at(&mut header, 0).map_err(reading)?;
    check_header(&header, length)
}

fn check_header(header: &[u8; HEADER_BYTES], length: u64) -> Result<Suspicion> {
    let damaged = |what: &str| Error::corrupt(format!("{TABLE_FILE} is damaged: {what}; {ADVICE}"));
    if !header.starts_with(MAGIC) {
        return Err(damaged("it does not begin as a file of redb does"));
    }
    for at in COMMITS_AT {
        let format = header.get(at).copied().unwrap_or_default();
        if format != FORMAT {
            return Err(other_format(format));
        }
    }
    let number = |at| u32_at(header, at).unwrap_or_default();
    if (number(12), number(16), number(20)) != (PAGE_BYTES, REGION_HEADER_PAGES, REGION_PAGES) {
        return Err(damaged("its header has sizes that redb does not use"));
    }
    let pages = u64::from(number(24)) * u64::from(REGION_PAGES) + u64::from(number(28)) + 1;
    let told = pages.saturating_mul(u64::from(PAGE_BYTES));
    let was_open = header.get(FLAGS_AT).is_some_and(|flags| flags & FLAG_OPEN != 0);
    match (length < told, was_open) {
        (false, _) => Ok(Suspicion::None),
        (true, true) => Ok(Suspicion::Cut),
        (true, false) => Err(cut(length, told)),
    }
}

/// The refusal of a file that is shorter than it was.
pub(super) fn cut(length: u64, told: u64) -> Error {
    Error::corrupt(format!(
        "{TABLE_FILE} is damaged: it is cut short, at {length} bytes of {told} or more; {ADVICE}"
    ))
}

/// The refusal of a file format that is another's; nothing of the file is changed for it.
pub(super) fn other_format(format: u8) -> Error {
    Error::new(
        ErrorKind::Format,
        format!(
            "{TABLE_FILE} has a file format version that this build cannot read ({format}, not \
             {FORMAT}): open the store with the version that wrote it; if this one did, the file \
             is damaged: {ADVICE}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u8, full: u32, rest: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..9].copy_from_slice(MAGIC);
        header[9] = flags;
        for (at, number) in [(12, PAGE_BYTES), (20, REGION_PAGES), (24, full), (28, rest)] {
            header[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        for at in COMMITS_AT {
            header[at] = FORMAT;
        }
        header
    }

    // Goal: the length that a header tells is reckoned to the byte, and numbers that no file has do
    // no harm. Method: lengths around it, closed and open, with and without full regions, and the
    // largest numbers.
    #[test]
    fn length_of_the_header_is_exact() {
        for (full, rest) in [(0, 1), (0, 544), (1, 0), (3, 7)] {
            let told = (u64::from(full) * u64::from(REGION_PAGES) + u64::from(rest) + 1) * 4_096;
            let of = |flags, length| {
                check_header(&header(flags, full, rest), length).map_err(|error| error.kind())
            };
            assert_eq!(of(4, told), Ok(Suspicion::None));
            assert_eq!(of(4, told + 4_096), Ok(Suspicion::None));
            assert_eq!(of(4, told - 1), Err(ErrorKind::Corrupt));
            assert_eq!(of(6, told), Ok(Suspicion::None));
            assert_eq!(of(6, told - 1), Ok(Suspicion::Cut));
        }
        let largest = check_header(&header(4, u32::MAX, u32::MAX), u64::MAX / 2);
        assert_eq!(largest.map_err(|error| error.kind()), Err(ErrorKind::Corrupt));
        for at in [12, 16, 20] {
            let mut other = header(4, 0, 1);
            other[at] ^= 1;
            assert!(check_header(&other, 8_192).is_err(), "{at}");
        }
    }
}
