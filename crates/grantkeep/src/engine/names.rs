//! The names of an open store: that its path still leads to its directory, and that the names in
//! there still lead to the files that are open.
//!
//! The files themselves cannot be taken from the store, their names can: what it writes from then
//! on would be found by nobody. So the supplier looks on each tick, and a store whose names lead
//! elsewhere stops. The steps:
//!
//! 1. The path that the store was opened by, made absolute then, is looked up. If it leads to
//!    another directory, whoever opens that path from now on opens something else. If it leads to
//!    nothing, a directory above was moved: that is fine, and what is in the directory is looked at
//!    nevertheless.
//! 2. The names of the table and of each segment in use are looked up in the directory. Each must
//!    lead to the file that is open.
//!
//! A look-up that fails in another way than by finding nothing says nothing: the next tick looks
//! again. What happens between two looks is not noticed. `LOCK` is made anew instead (`lock.rs`),
//! and so is the reserve; the keyring is not looked at after the open.

use super::core::Core;
use super::log::segment::Segment;
use super::table::TABLE_FILE;
use crate::disk::{Disk, DiskFile, FileId};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::io;
use std::path::{Path, PathBuf};

/// What the names of a store led to when it was opened.
#[derive(Debug)]
pub(crate) struct Names {
    /// The path that was given, absolute.
    path: PathBuf,
    dir: Option<FileId>,
    table: Option<FileId>,
}

impl Names {
    /// The names of the store in `dir`, whose directory has this id.
    pub(crate) fn new(dir: &Path, id: Option<FileId>, table: &dyn DiskFile) -> Self {
        let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        Self { path, dir: id, table: table.id().ok().flatten() }
    }

    /// True for a path that leads to the store's directory.
    pub(super) fn is_dir(&self, disk: &dyn Disk, path: &Path) -> bool {
        self.dir.is_some_and(|own| disk.id_at(path).is_ok_and(|found| found == Some(own)))
    }

    /// Refuses if the path leads to another directory; `disk` is the one that does not hold it.
    pub(crate) fn check_dir(&self, disk: &dyn Disk) -> Result<()> {
        match disk.id_at(&self.path) {
            Ok(Some(found)) if self.dir.is_some_and(|own| own != found) => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{} has come to name another directory than the one that was opened: move \
                         that one back, or open what is there now",
                    self.path.display()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Where the name of an open file leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To the file, or it is not known.
    There,
    Elsewhere,
    Nowhere,
}

fn leads(disk: &dyn Disk, path: &Path, open: Option<FileId>) -> Leads {
    match (disk.id_at(path), open) {
        (Ok(Some(found)), Some(open)) if found != open => Leads::Elsewhere,
        (Err(cause), _) if cause.kind() == io::ErrorKind::NotFound => Leads::Nowhere,
        _ => Leads::There,
    }
}

fn refuse(path: &Path, leads: Leads) -> Result<()> {
    let what = match leads {
        Leads::There => return Ok(()),
        Leads::Elsewhere => "was replaced by another file while the store is open",
        Leads::Nowhere => "was removed or renamed while the store is open",
    };
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("{} {what}: put the store's own file back, and open it again", path.display()),
    ))
}

impl Core {
    /// Refuses if a name of the store leads elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] with the name.
    pub(crate) fn check_names(&self) -> Result<()> {
        self.names.check_dir(&*self.options.disk)?;
        let table = self.dir.join(TABLE_FILE);
        refuse(&table, leads(&*self.disk, &table, self.names.table))?;
        for segment in self.segments_in_use() {
            let id = segment.file.id().ok().flatten();
            let leads = leads(&*self.disk, &segment.path, id);
            // One that has been carried meanwhile may have been removed for good reason.
            if leads != Leads::There
                && self.segments_in_use().iter().any(|held| Arc::ptr_eq(held, &segment))
            {
                refuse(&segment.path, leads)?;
            }
        }
        Ok(())
    }

    /// The segments whose rows may be needed, and those that are ready to be written to.
    fn segments_in_use(&self) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.all();
        segments.extend(self.writer.lock().spares.iter().cloned());
        segments
    }
}
