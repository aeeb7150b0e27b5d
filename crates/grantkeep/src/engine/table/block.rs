//! Blocks: many rows of one window in one value of the table.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!      0      2  number of rows
//!      2      2  zero
//!      4    4 n  offset of each row's record from the start of the block
//!            ..  records, back to back
//! ```

use crate::backend::{Row, record};
use crate::engine::place::BLOCK_ROWS_MAX;

/// A block is closed before it grows past this, so that with redb's own header it fills two pages
/// of 4 KiB. Larger blocks are cheaper to write and dearer to read cold; one longer record has
/// a block of its own.
const BLOCK_BYTES: usize = 8_000;

/// Gathers rows into blocks.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    rows: Vec<Row>,
    bytes: usize,
}

impl BlockBuilder {
    /// True if `row` does not fit in the block any more.
    pub(crate) fn is_full_for(&self, row: &Row) -> bool {
        !self.rows.is_empty()
            && (self.rows.len() >= BLOCK_ROWS_MAX || self.bytes + cost(row) > BLOCK_BYTES)
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.bytes += cost(&row);
        self.rows.push(row);
    }

    /// The block; `None` without rows. The builder is empty afterwards.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let count = u16::try_from(rows.len()).ok().filter(|count| *count > 0)?;
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        block.extend_from_slice(&count.to_le_bytes());
        block.extend_from_slice(&[0; 2]);
        let mut at = 4 + 4 * rows.len();
        for row in &rows {
            block.extend_from_slice(&u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes());
            at += row.as_record().len();
        }
        for row in &rows {
            block.extend_from_slice(row.as_record());
        }
        Some(block)
    }
}

/// The row of this number in a block; `None` if it is not whole.
pub(crate) fn row(block: &[u8], number: u16) -> Option<Row> {
    let count = u16::from_le_bytes(*block.first_chunk()?);
    (number < count).then_some(())?;
    let offset = record::u32_at(block, 4 + 4 * usize::from(number))?;
    Row::read(block.get(usize::try_from(offset).ok()?..)?)
}

fn cost(row: &Row) -> usize {
    4 + row.as_record().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Key, Kind, NewRow, Op, Terms, Version};
    use crate::clock::Timestamp;
    use crate::digest::Digest;

    fn sample(number: u8, len: usize) -> Row {
        let key = Key::new(Kind::write_once(1), Digest::from_bytes([number; 32]));
        let value = vec![number; len];
        let new = NewRow { value, expires_at: Timestamp::from_millis(1), terms: Terms::NONE };
        Row::new(key, &new, Version(1), Op(1)).unwrap()
    }

    // Goal: every row of a block is read back, and no damaged one. Method: build, read all, flip
    // every bit and demand that no row reads differently.
    #[test]
    fn rows_are_read_back_and_damage_is_seen() {
        let mut builder = BlockBuilder::default();
        for number in 0..3 {
            builder.push(sample(number, 20));
        }
        let block = builder.finish().unwrap();
        let good: Vec<_> = (0..3).map(|n| row(&block, n).unwrap().key()).collect();
        assert!(row(&block, 3).is_none());
        for bit in 32..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let readable = (0..3).filter_map(|n| row(&damaged, n));
            assert!(readable.into_iter().all(|row| good.contains(&row.key())), "bit {bit}");
            assert!((0..3).any(|n| row(&damaged, n).is_none_or(|r| r.key() != good[n as usize])));
        }
    }

    // Goal: blocks keep to their size. Method: fill with short rows, then one of the longest.
    #[test]
    fn blocks_are_closed_at_their_size() {
        let mut builder = BlockBuilder::default();
        while !builder.is_full_for(&sample(1, 300)) {
            builder.push(sample(1, 300));
        }
        assert!(builder.is_full_for(&sample(2, 32_768)));
        let block = builder.finish().unwrap();
        assert!(block.len() <= 8_192 - 100 && block.len() > 7_000, "{}", block.len());
        assert!(!builder.is_full_for(&sample(2, 32_768)));
    }
}
