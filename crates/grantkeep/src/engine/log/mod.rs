//! The log: segments of frames, in the order of all commits.

pub(crate) mod files;
pub(crate) mod frame;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod segment;

use crate::backend::{Row, record};
use crate::engine::place::segment_low;
use crate::error::{Error, Result};
use crate::sync::{Arc, RwLock};
use segment::Segment;
use std::collections::VecDeque;

/// The log's directory in a store directory.
pub(crate) const LOG_DIR: &str = "log";

/// The segments whose rows may still be needed, oldest first, readable by place.
#[derive(Debug, Default)]
pub(crate) struct Segments(RwLock<VecDeque<Arc<Segment>>>);

impl Segments {
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.0.write().push_back(segment);
    }

    /// The oldest segment behind the one numbered `behind` and before the one numbered `before`.
    pub(crate) fn next_between(&self, behind: u64, before: u64) -> Option<Arc<Segment>> {
        let segments = self.0.read();
        let mut between = segments.iter().filter(|held| behind < held.number);
        between.next().filter(|held| held.number < before).cloned()
    }

    /// Takes the oldest segment out, if it is the one of this number.
    pub(crate) fn retire(&self, number: u64) -> Option<Arc<Segment>> {
        let mut segments = self.0.write();
        segments
            .front()
            .is_some_and(|first| first.number == number)
            .then(|| segments.pop_front())?
    }

    /// True if a segment is among them still.
    pub(crate) fn holds(&self, segment: &Arc<Segment>) -> bool {
        self.0.read().iter().any(|held| Arc::ptr_eq(held, segment))
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().iter().cloned().collect()
    }

    /// The length of all segments' files.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.read().iter().map(|segment| u64::from(segment.bytes)).sum()
    }

    /// The row at a place in the log. `None` if the segment is not there any more: the row was
    /// carried, and its place is to be looked up again.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the record's check fails.
    pub(crate) fn row(&self, segment: u32, offset: u32) -> Result<Option<Row>> {
        let found = {
            let segments = self.0.read();
            segments.iter().find(|held| segment_low(held.number) == segment).cloned()
        };
        let Some(found) = found else { return Ok(None) };
        // Most records are short: one read fetches them whole.
        let mut bytes = found.read(offset, 1_024)?;
        match record::record_bytes(&bytes) {
            Some(len) if len > bytes.len() => bytes = found.read(offset, len)?,
            _ => {}
        }
        let row = Row::read(&bytes);
        // The file may have been taken into a new use while it was read.
        let still_there = self.holds(&found);
        match row {
            _ if !still_there => Ok(None),
            Some(row) => Ok(Some(row)),
            None => Err(Error::corrupt(format!(
                "the record at offset {offset} of the log segment {} is damaged",
                found.path.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::segment::SEGMENT_DATA;
    use super::*;
    use crate::disk::hooked::Hooked;
    use crate::disk::{Disk as _, OpenMode, OsDisk};
    use crate::error::ErrorKind;
    use std::path::Path;

    fn segment(dir: &Path, number: u64) -> Arc<Segment> {
        let bytes = SEGMENT_DATA + 4_096 * u32::try_from(number).unwrap();
        Arc::new(Segment::create(&OsDisk, dir, &[1; 16], number, bytes).unwrap())
    }

    // Goal: P10, the log knows how long it is, and gives segments up from its oldest end alone.
    // Method: three of different lengths, looked for and retired in and out of turn.
    #[test]
    fn segments_are_counted_and_retired_in_turn() {
        let dir = tempfile::tempdir().unwrap();
        let log = Segments::default();
        assert_eq!(log.bytes(), 0);
        (1..4).for_each(|number| log.push(segment(dir.path(), number)));
        assert_eq!(log.bytes(), u64::from(3 * SEGMENT_DATA + 6 * 4_096));
        let next = |behind, before| log.next_between(behind, before).map(|segment| segment.number);
        assert_eq!((next(0, 9), next(1, 9), next(1, 3)), (Some(1), Some(2), Some(2)));
        assert_eq!((next(0, 1), next(1, 2), next(3, 9)), (None, None, None));
        assert!(log.retire(2).is_none() && log.retire(3).is_none());
        assert_eq!(log.retire(1).map(|segment| segment.number), Some(1));
        assert_eq!((next(0, 9), log.bytes()), (Some(2), u64::from(2 * SEGMENT_DATA + 5 * 4_096)));
    }

    // Goal: P7, a row that is carried while it is read is looked up again, and is no damage.
    // Method: read where there is no record, from a segment that stays and from one that is
    // retired by the read.
    #[test]
    fn segment_retired_while_it_is_read_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        for retires in [false, true] {
            let made = segment(dir.path(), 1);
            let file = OsDisk.open(&made.path, OpenMode::Existing).unwrap();
            let log = Arc::new(Segments::default());
            let own = Arc::clone(&log);
            let file = Hooked::over(file, move || {
                if retires {
                    own.retire(1);
                }
                Ok(())
            });
            let (path, bytes) = (made.path.clone(), made.bytes);
            log.push(Arc::new(Segment::new(file, path, (1, made.nonce), bytes, SEGMENT_DATA)));
            let found = log.row(1, SEGMENT_DATA).map_err(|error| error.kind());
            let due = if retires { Ok(None) } else { Err(ErrorKind::Corrupt) };
            assert_eq!(found.map(|row| row.map(|row| row.version())), due);
        }
    }
}
