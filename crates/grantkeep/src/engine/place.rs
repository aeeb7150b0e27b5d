//! Where a row is, in one word.

use crate::sync::scaled;

/// A window's number among those that hold rows at present; see [`super::windows`].
pub(crate) type Slot = u16;

/// Slots there are: each of 38 classes has at most 33 live windows, and as many again may wait to
/// be swept or forgotten.
pub(crate) const SLOTS: usize = scaled(1 << SLOT_BITS, 64);

const SLOT_BITS: u32 = 12;
/// Bits that say where a row of the window is, below one that says whether it is in the table.
const AT_BITS: u32 = 35;
const OFFSET_BITS: u32 = 23;
const SEGMENT_BITS: u32 = AT_BITS - OFFSET_BITS;
const ROW_BITS: u32 = 7;
/// Of a place in the table the top bit is that of spots in the row cache.
const BLOCK_BITS: u32 = AT_BITS - ROW_BITS - 1;

/// A block of the table has at most this many rows: records have eighty bytes at least.
pub(crate) const BLOCK_ROWS_MAX: usize = 1 << ROW_BITS;
/// Blocks of a window are numbered below this; the last number stands for rows by id.
pub(crate) const BLOCKS_MAX: u64 = (1 << BLOCK_BITS) - 1;
/// The log has fewer segments than this at any time, so that a few bits of a number tell them
/// apart.
pub(crate) const SEGMENTS_MAX: usize = 1 << SEGMENT_BITS;
/// Records in the log start at multiples of this many bytes.
pub(crate) const RECORD_ALIGN: usize = 8;
/// A segment is at most this long, so that any record's offset fits.
pub(crate) const SEGMENT_BYTES_MAX: u32 = 64 << 20;
/// No store comes to number so many commits or segments: a larger number on disk is damage.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// Where a row's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the log: a segment's number (its low 12 bits) and a byte offset.
    Log { segment: u32, offset: u32 },
    /// In a block of the table: the block's number in its window, and the row's in the block.
    Block { block: u64, row: u16 },
    /// In the table, under its own key.
    ById,
}

/// Where a row is, and the slot of the window it is filed under, in 48 bits that are never all
/// zero.
///
/// ```text
/// bits 36 to 47   slot
/// bit  35         1 if the row is in the table
/// bits  0 to 34   offset / 8 (23 bits) and segment (12 bits); or row (7 bits), block (27 bits),
///                 and a zero; or ones below a zero, for a row by id
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Place {
    /// Bits below the slot.
    pub(crate) const LOW_BITS: u32 = AT_BITS + 1;
    /// Bits of a place.
    pub(crate) const BITS: u32 = Self::LOW_BITS + SLOT_BITS;
    /// Set in what is no place, but a spot in the row cache.
    pub(crate) const KEPT: u64 = IN_TABLE | 1 << (AT_BITS - 1);
    /// Bits that a spot may use besides.
    pub(crate) const SPOT_BITS: u32 = AT_BITS - 1;

    pub(crate) fn new(slot: Slot, at: Where) -> Self {
        let low = match at {
            Where::Log { segment, offset } => {
                let segment = u64::from(segment) & (SEGMENTS_MAX as u64 - 1);
                (segment << OFFSET_BITS) | (u64::from(offset) / RECORD_ALIGN as u64)
            }
            Where::Block { block, row } => {
                debug_assert!(block < BLOCKS_MAX, "block {block} of a window");
                IN_TABLE | (block << ROW_BITS | u64::from(row)) & BY_ID
            }
            Where::ById => IN_TABLE | BY_ID,
        };
        Self(u64::from(slot) << Self::LOW_BITS | low)
    }

    /// The place in the log of a record at `offset` of segment `number`.
    pub(crate) fn in_log(slot: Slot, number: u64, offset: u32) -> Self {
        Self::new(slot, Where::Log { segment: segment_low(number), offset })
    }

    pub(crate) fn pack(self) -> u64 {
        self.0
    }

    pub(crate) fn unpack(packed: u64) -> Self {
        Self(packed & ((1 << Self::BITS) - 1))
    }

    pub(crate) fn slot(self) -> Slot {
        // The mask leaves 12 bits.
        u16::try_from(self.0 >> Self::LOW_BITS & (SLOTS as u64 - 1)).unwrap_or(0)
    }

    pub(crate) fn at(self) -> Where {
        let low = self.0 & (IN_TABLE - 1);
        if self.0 & IN_TABLE == 0 {
            Where::Log {
                segment: low32(low >> OFFSET_BITS),
                offset: low32((low & ((1 << OFFSET_BITS) - 1)) * RECORD_ALIGN as u64),
            }
        } else if low == BY_ID {
            Where::ById
        } else {
            Where::Block {
                block: low >> ROW_BITS,
                row: u16::try_from(low & (BLOCK_ROWS_MAX as u64 - 1)).unwrap_or(0),
            }
        }
    }

    /// True for a row in a block of the table.
    pub(crate) fn is_in_block(self) -> bool {
        matches!(self.at(), Where::Block { .. })
    }
}

const IN_TABLE: u64 = 1 << AT_BITS;
const BY_ID: u64 = (1 << (BLOCK_BITS + ROW_BITS)) - 1;

/// The part of a segment's number that a place keeps.
pub(crate) fn segment_low(number: u64) -> u32 {
    low32(number & (SEGMENTS_MAX as u64 - 1))
}

/// The first number from `next` on whose part in a place is none of those of the numbers `taken`;
/// `None` if there are too many of them.
pub(crate) fn told_apart(next: u64, taken: &[u64]) -> Option<u64> {
    let is_met = |number: &u64| taken.iter().any(|met| segment_low(*met) == segment_low(*number));
    (next..).take(SEGMENTS_MAX).find(|number| !is_met(number))
}

fn low32(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: P7, no two segments of the log have the same part of their numbers in a place, whatever
    // gaps there are between the numbers. Method: numbers that differ by all of it; all taken.
    #[test]
    fn segments_are_told_apart() {
        let all = SEGMENTS_MAX as u64;
        assert_eq!(told_apart(7, &[]), Some(7));
        assert_eq!(told_apart(7 + all, &[7, 8, 10]), Some(9 + all));
        let taken: Vec<u64> = (0..all).collect();
        assert_eq!(told_apart(all, &taken), None);
        assert_eq!(told_apart(all, &taken[1..]), Some(all));
    }

    // Goal: packing loses nothing within the stated ranges. Method: the ends of each range.
    #[test]
    fn places_round_trip_at_the_ends_of_their_ranges() {
        let whole = [
            Where::Log { segment: 0, offset: 8 },
            Where::Log { segment: (1 << 12) - 1, offset: SEGMENT_BYTES_MAX - 8 },
            Where::Block { block: 0, row: 0 },
            Where::Block { block: BLOCKS_MAX - 1, row: 127 },
            Where::ById,
        ];
        for at in whole {
            for slot in [0, 1, 4095] {
                let place = Place::new(slot, at);
                assert_eq!((place.slot(), place.at()), (slot, at));
                assert_eq!(Place::unpack(place.pack()), place);
                assert!(place.pack() != 0 && place.pack() >> Place::BITS == 0);
            }
        }
    }
}
