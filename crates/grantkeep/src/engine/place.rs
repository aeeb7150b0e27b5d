//! Where a row is, in one word.

use crate::sync::scaled;

/// A window's number among those that hold rows at present; see [`super::windows`].
pub(crate) type Slot = u16;

/// Slots there are: each of 38 classes has at most 33 live windows, and as many again may wait to
/// be swept or forgotten.
pub(crate) const SLOTS: usize = scaled(1 << SLOT_BITS, 64);

const SLOT_BITS: u32 = 12;
const LOW_BITS: u32 = 50;
const OFFSET_BITS: u32 = 23;
const ROW_BITS: u32 = 10;

/// A block of the table has at most this many rows.
pub(crate) const BLOCK_ROWS_MAX: usize = 1 << ROW_BITS;
/// Records in the log start at multiples of this many bytes.
pub(crate) const RECORD_ALIGN: usize = 8;
/// A segment is at most this long, so that any record's offset fits.
pub(crate) const SEGMENT_BYTES_MAX: u32 = 64 << 20;
/// No store comes to number so many commits or segments: a larger number on disk is damage.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// Where a row's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the log: a segment's number (its low 27 bits) and a byte offset.
    Log { segment: u32, offset: u32 },
    /// In a block of the table: the block's number in its window, and the row's in the block.
    Block { block: u64, row: u16 },
    /// In the table, under its own key.
    ById,
}

/// Where a row is, and the slot of the window it is filed under, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Place {
    pub(crate) fn new(slot: Slot, at: Where) -> Self {
        let (tag, low) = match at {
            Where::Log { segment, offset } => {
                let segment = u64::from(segment) & segment_mask();
                (0, (segment << OFFSET_BITS) | (u64::from(offset) / RECORD_ALIGN as u64))
            }
            Where::Block { block, row } => (1, block << ROW_BITS | u64::from(row)),
            Where::ById => (2, 0),
        };
        let low = low & ((1 << LOW_BITS) - 1);
        Self(tag << (LOW_BITS + SLOT_BITS) | u64::from(slot) << LOW_BITS | low)
    }

    /// The place in the log of a record at `offset` of segment `number`.
    pub(crate) fn in_log(slot: Slot, number: u64, offset: u32) -> Self {
        Self::new(slot, Where::Log { segment: segment_low(number), offset })
    }

    pub(crate) fn slot(self) -> Slot {
        // The mask leaves 12 bits.
        u16::try_from(self.0 >> LOW_BITS & (SLOTS as u64 - 1)).unwrap_or(0)
    }

    pub(crate) fn at(self) -> Where {
        let low = self.0 & ((1 << LOW_BITS) - 1);
        match self.0 >> (LOW_BITS + SLOT_BITS) {
            0 => Where::Log {
                segment: low32(low >> OFFSET_BITS),
                offset: low32((low & ((1 << OFFSET_BITS) - 1)) * RECORD_ALIGN as u64),
            },
            1 => Where::Block {
                block: low >> ROW_BITS,
                row: u16::try_from(low & (BLOCK_ROWS_MAX as u64 - 1)).unwrap_or(0),
            },
            _ => Where::ById,
        }
    }

    /// True for a row in a block of the table.
    pub(crate) fn is_in_block(self) -> bool {
        matches!(self.at(), Where::Block { .. })
    }
}

/// The part of a segment's number that a place keeps.
pub(crate) fn segment_low(number: u64) -> u32 {
    low32(number & segment_mask())
}

const fn segment_mask() -> u64 {
    (1 << (LOW_BITS - OFFSET_BITS)) - 1
}

fn low32(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: packing loses nothing within the stated ranges. Method: the ends of each range.
    #[test]
    fn places_round_trip_at_the_ends_of_their_ranges() {
        let whole = [
            Where::Log { segment: 0, offset: 0 },
            Where::Log { segment: (1 << 27) - 1, offset: SEGMENT_BYTES_MAX - 8 },
            Where::Block { block: 0, row: 0 },
            Where::Block { block: (1 << 40) - 1, row: 1023 },
            Where::ById,
        ];
        for at in whole {
            for slot in [0, 1, 4095] {
                let place = Place::new(slot, at);
                assert_eq!((place.slot(), place.at()), (slot, at));
            }
        }
    }
}
