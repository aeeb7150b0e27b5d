//! The limit on the length of files that a process writes to (`ulimit -f`).
//!
//! A write across it is answered with a signal that ends the process, unless the host says
//! otherwise. So an open refuses where the limit leaves no room for what the store is bound to
//! write, and a file refuses what would cross it (`disk/os.rs`).

use super::options::Options;
use super::space::RESERVE_FILE;
use super::table::TABLE_FILE;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use std::path::Path;

/// What the table is left to grow by: a slice of the log as it is carried, twice over.
const TABLE_GROWTH_BYTES: u64 = 16 << 20;

/// Refuses an open under whose limit on file sizes the store could not go on.
///
/// # Errors
/// [`ErrorKind::Limit`] with the limit, what needs more, and how much that is.
pub(super) fn check(disk: &dyn Disk, dir: &Path, options: &Options) -> Result<()> {
    let Some(max) = disk.file_bytes_max() else { return Ok(()) };
    let path = dir.join(TABLE_FILE);
    let table_bytes = match disk.open_read(&path) {
        Ok(file) => {
            file.len().map_err(|cause| Error::file("read the length of", path.display(), cause))?
        }
        // Who reads it says what is the matter with it.
        Err(_) => 0,
    };
    let needs = [
        (TABLE_FILE, table_bytes.saturating_add(TABLE_GROWTH_BYTES), ""),
        (RESERVE_FILE, options.reserve_bytes, ", or lower `reserve_bytes`"),
        ("a log segment", u64::from(options.segment_bytes()), ", or lower `log_budget_bytes`"),
    ];
    match needs.into_iter().max_by_key(|(_, bytes, _)| *bytes) {
        Some((what, needed, way_out)) if needed > max => Err(Error::new(
            ErrorKind::Limit,
            format!(
                "files of this process are limited to {max} bytes, and {what} in {} needs \
                 {needed}: raise the limit (`ulimit -f`){way_out}",
                dir.display()
            ),
        )),
        _ => Ok(()),
    }
}
