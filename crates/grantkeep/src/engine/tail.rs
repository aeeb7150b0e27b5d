//! The end of the log that the table lacks: what was committed while a checkpoint was on its way.
//!
//! The table alone is no state that the store ever had. A table commit leaves out what a later
//! version has replaced, and a sweep removes it, also where that later version is in the log
//! alone. Table and log together are: an open after a crash finds nothing else. So a
//! copy of the table gets the frames behind it as a log of its own.

use super::backup::ADVICE;
use super::carry::Target;
use super::core::Core;
use super::log::frame::{self, Frame};
use super::log::replay::FrameReader;
use super::log::segment::{SEGMENT_DATA, Segment};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::wait::Wait as _;
use std::io;
use std::path::Path;

/// The number of the only segment that a copy has, and its name.
const NUMBER: u64 = 1;
pub(crate) const TAIL_FILE: &str = "000000000001.seg";

/// Frames are written in pieces of about as many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Frames of the log, in their order and without a gap.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    frames: Vec<Frame>,
    bytes: u64,
    rows: usize,
}

impl Tail {
    /// Every frame behind the commit `carried`, up to one that nothing of the table is later than;
    /// `None` if they are more than `bytes_max` bytes. They lie behind `checkpoint`.
    ///
    /// To be called while the keeper is held still, and the table is as it was read: until then no
    /// segment that holds such a frame is used again.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if one of them is missing.
    pub(crate) fn read(
        core: &Core,
        checkpoint: &Target,
        carried: u64,
        bytes_max: u64,
    ) -> Result<Option<Self>> {
        // What has replaced a row of the table was visible when the keeper saw it, so it is among
        // these.
        let until = core.carry_target();
        core.wait_durable(until.through).wait()?;
        let mut tail = Self::default();
        let (mut last, mut behind) = (carried, checkpoint.segment.saturating_sub(1));
        while let Some(segment) = core.segments.next_between(behind, until.segment + 1) {
            behind = segment.number;
            let begun = segment.number == checkpoint.segment;
            let mut reader =
                FrameReader::new(&segment, if begun { checkpoint.tail } else { SEGMENT_DATA });
            while last < until.through {
                let Some((_, frame)) = reader.next()? else { break };
                if frame.header.sequence <= carried {
                    continue;
                }
                if frame.header.sequence != last + 1 {
                    break;
                }
                last += 1;
                tail.bytes += frame.bytes as u64;
                tail.rows += frame.records.len();
                if tail.bytes > bytes_max {
                    return Ok(None);
                }
                tail.frames.push(frame);
            }
        }
        if last < until.through {
            return Err(Error::corrupt(format!(
                "the log ends at commit {last}, and {} was durable: {ADVICE}",
                until.through
            )));
        }
        Ok(Some(tail))
    }

    /// Writes them to the log of a copy, in place of what is there.
    ///
    /// # Durability
    /// On success all of it is durable.
    pub(crate) fn write(&self, disk: &dyn Disk, log: &Path, store: &[u8; 16]) -> io::Result<()> {
        let before = disk.list(log)?;
        for name in &before {
            disk.remove(&log.join(name))?;
        }
        if !before.is_empty() {
            disk.sync_dir(log)?;
        }
        // Frames that only note the time are not worth a log.
        if self.rows == 0 {
            return Ok(());
        }
        let bytes = u64::from(SEGMENT_DATA) + self.bytes;
        let bytes = u32::try_from(bytes).map_err(io::Error::other)?;
        let segment = Segment::create(disk, log, store, NUMBER, bytes)?;
        let (mut piece, mut at) = (Vec::new(), u64::from(SEGMENT_DATA));
        for frame in &self.frames {
            let rows = frame.records.iter().map(|(_, row)| row);
            frame::append(&mut piece, segment.nonce, &frame.header, rows, |_| {});
            if piece.len() >= PIECE_BYTES {
                segment.file.write_at(&piece, at)?;
                at += piece.len() as u64;
                piece.clear();
            }
        }
        segment.file.write_at(&piece, at)?;
        segment.file.sync_data()
    }
}
