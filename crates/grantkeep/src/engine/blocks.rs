//! Appending rows in blocks at the right edge of their windows.

use super::courtesy;
use super::index::Index;
use super::place::{BLOCKS_MAX, Place, Where};
use super::settle::{Current, Move};
use super::table::block::BlockBuilder;
use super::table::filing::Filing;
use super::table::tags::{self, Tag};
use super::table::{self, BLOCKS, BlockKey, LATER, TAGS, failed};
use super::window::Window;
use crate::error::Result;
use redb::{ReadableTable as _, WriteTransaction};
use std::collections::BTreeMap;

/// Appends rows, and lists them. First versions and later ones do not share a block: an open reads
/// the latter first.
pub(crate) fn append(
    index: &Index,
    transaction: &WriteTransaction,
    filing: &mut Filing<'_>,
    rows: Vec<Current>,
) -> Result<Vec<Move>> {
    let mut groups: BTreeMap<(Window, bool), Vec<Current>> = BTreeMap::new();
    for row in rows {
        groups.entry((row.window, row.row.is_first())).or_default().push(row);
    }
    let mut blocks = transaction.open_table(BLOCKS).map_err(failed)?;
    let mut moves = Vec::new();
    for ((window, first), rows) in groups {
        let all_tags = if first { TAGS } else { LATER };
        let mut tags = transaction.open_table(all_tags).map_err(failed)?;
        let mut number = next_block(&blocks, window)?;
        let mut builder = BlockBuilder::default();
        let mut waiting = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while let Some(row) = rows.next() {
            courtesy::step();
            filing.list(window, &row.row);
            builder.push(row.row.clone());
            waiting.push(row);
            if rows.peek().is_some_and(|next| !builder.is_full_for(&next.row)) {
                continue;
            }
            let Some(block) = builder.finish() else { continue };
            let key = table::block_key(window, number);
            blocks.insert(key, block.as_slice()).map_err(failed)?;
            let of_row = |row: &Current| Tag::of(index.hash(&row.row.key()), &row.row);
            let encoded = tags::encode(&key, waiting.iter().map(of_row));
            tags.insert(key, encoded.as_slice()).map_err(failed)?;
            for (at, row) in waiting.drain(..).enumerate() {
                let at = Where::Block { block: number, row: u16::try_from(at).unwrap_or(0) };
                let place = Place::new(row.from.slot(), at);
                moves.push(Move { row, to: place });
            }
            number += 1;
        }
    }
    Ok(moves)
}

/// The number of a window's next block. No guard outlives it: redb panics where a page that is
/// still looked at is changed.
fn next_block(blocks: &redb::Table<'_, BlockKey, &[u8]>, window: Window) -> Result<u64> {
    let keys = table::block_key(window, 0)..=table::block_key(window, u64::MAX);
    let newest = blocks.range(keys).map_err(failed)?.next_back().transpose().map_err(failed)?;
    let newest = newest.and_then(|(key, _)| table::read_block_key(&key.value()));
    let next = newest.map_or(0, |(_, number)| number + 1);
    // Billions of rows of one window.
    if next < BLOCKS_MAX { Ok(next) } else { Err(tags::damaged()) }
}
