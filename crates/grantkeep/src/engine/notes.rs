//! Frames without rows, which keep the time: neither a restart nor a step back of the clock goes
//! behind what they say.

use super::core::Core;
use super::line::{Class, OWNER_ROOM_BYTES};
use super::log::frame::FRAME_HEADER_BYTES;
use super::table::set_high_water;
use super::writer::{Mode, Writer};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::sabotage::{self, Flaw};
use crate::wait::Wait as _;

/// How often an idle store notes its time in the log.
const NOTE_TIME_S: u64 = 60;

impl Core {
    /// Appends an empty frame once the store comes to rest, and every minute from then on: it
    /// proves the frames before it, and keeps the high-water mark of time.
    pub(crate) fn note_time(&self) {
        let mark = self.time.mark();
        let mut writer = self.writer.lock();
        let rested = writer.group.chunks.is_empty() && writer.base == writer.next_sequence - 1;
        let noted_for = mark.settled.since(writer.noted_at.settled).as_secs();
        let due = noted_for >= NOTE_TIME_S || mark.leads_anew(writer.noted_at);
        if !matches!(writer.mode, Mode::Open) || !rested {
            return;
        }
        if writer.noted == writer.base && !due {
            return;
        }
        // On a full disk the last room is for revoking what owners have.
        if self.space.is_full() && writer.room_bytes() < OWNER_ROOM_BYTES {
            return;
        }
        // Without room it is tried again at the next tick.
        if !self.make_room_for_time(&mut writer) {
            return;
        }
        let sequence = writer.append(mark, false, [].iter(), |_| {});
        writer.noted = sequence;
        writer.noted_at = mark;
        self.hand_over(writer);
    }

    /// Makes sure that the time `until` has passed for good: neither a restart nor a step back
    /// revives what is cut after this (P5).
    ///
    /// # Durability
    /// On success a time not before `until` is durable.
    pub(crate) fn keep_time(&self, until: Timestamp) -> Result<()> {
        if sabotage::is(Flaw::SweepWithoutHighWater) {
            return Ok(());
        }
        let mark = self.time.mark();
        let mut writer = self.writer.lock();
        writer.check_open()?;
        if writer.framed_at < until {
            if !self.make_room_for_time(&mut writer) {
                drop(writer);
                let forgotten = self.forgotten();
                return self
                    .write_table(|transaction| set_high_water(transaction, mark, forgotten));
            }
            writer.append(mark, false, [].iter(), |_| {});
        }
        let last = writer.next_sequence - 1;
        self.hand_over(writer);
        self.wait_durable(last).wait()
    }

    /// Makes room for a frame that notes the time; false if it would take that of a close.
    fn make_room_for_time(&self, writer: &mut Writer) -> bool {
        let room_bytes = writer.room_bytes_for(Class::Owner);
        room_bytes >= FRAME_HEADER_BYTES as u64 && self.make_room(writer, FRAME_HEADER_BYTES)
    }
}
