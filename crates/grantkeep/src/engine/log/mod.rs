//! The log: segments of frames, in the order of all commits.

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
        let still_there = self.0.read().iter().any(|held| Arc::ptr_eq(held, &found));
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
