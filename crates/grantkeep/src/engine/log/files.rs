//! The files in the log's directory.

use super::LOG_DIR;
use super::segment::Segment;
use crate::disk::Disk;
use crate::engine::backup::{self, ADVICE};
use crate::engine::place::segment_low;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::collections::HashMap;
use std::path::Path;

/// The names in the log's directory.
pub(crate) fn list_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>> {
    let log = dir.join(LOG_DIR);
    let listed = match disk.list(&log) {
        // Mostly empty in a backup, so that what copies files alone leaves it out.
        Err(cause)
            if cause.kind() == std::io::ErrorKind::NotFound && backup::is_marked(disk, dir) =>
        {
            Ok(Vec::new())
        }
        listed => listed,
    };
    listed.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => Error::new(
            ErrorKind::Missing,
            format!(
                "the log directory {} is missing: check the path and put it back, or {ADVICE}",
                log.display()
            ),
        )
        .with_source(cause),
        _ => Error::file("read the log directory", log.display(), cause),
    })
}

/// Removes segments that were not finished when the last process ended.
pub(crate) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for name in list_segments(disk, dir)? {
        if is_of_log(&name) && !is_segment(&name) {
            let path = dir.join(LOG_DIR).join(&name);
            let removing = |cause| Error::file("remove", path.display(), cause);
            disk.remove(&path).map_err(removing)?;
        }
    }
    Ok(())
}

/// Opens the log's segments, in the order of their numbers.
pub(crate) fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    store: &[u8; 16],
) -> Result<Vec<Arc<Segment>>> {
    let log = dir.join(LOG_DIR);
    let mut segments = Vec::new();
    for name in list_segments(disk, dir)?.into_iter().filter(|name| is_segment(name)) {
        segments.push(Arc::new(Segment::open(disk, log.join(name), store)?));
    }
    segments.sort_unstable_by_key(|segment| segment.number);
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        // Both would be gone on with, and what is cut off one is still looked for in the other.
        if segment.number == next.number {
            return Err(Error::corrupt(format!(
                "the log segments {} and {} are one and the same: take the copy away",
                segment.path.display(),
                next.path.display()
            )));
        }
    }
    // Numbers are given so, and what leads to a row has a part of its segment's.
    let mut parts = HashMap::new();
    for segment in &segments {
        if let Some(met) = parts.insert(segment_low(segment.number), segment) {
            return Err(Error::corrupt(format!(
                "the log segments {} and {} have numbers that no store gives to both: {ADVICE}",
                met.path.display(),
                segment.path.display()
            )));
        }
    }
    Ok(segments)
}

/// True for the name of a segment, and of one that was being made.
pub(crate) fn is_of_log(name: &str) -> bool {
    let numbered = |stem: &str| !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit());
    name.split_once('.').is_some_and(|(stem, end)| numbered(stem) && matches!(end, "seg" | "new"))
}

pub(crate) fn is_segment(name: &str) -> bool {
    is_of_log(name) && Path::new(name).extension().is_some_and(|own| own == "seg")
}
