//! Verifying: everything that is stored is read again and held against everything that leads to it.
//!
//! Reads verify what they touch; this touches all of it: each block with its tags, each row by id
//! with its death and its terms, each frame of the log, and each entry of the index.

use super::core::Core;
use super::courtesy;
use super::index::Entry;
use super::log::replay::{FrameReader, goes_on};
use super::log::segment::SEGMENT_DATA;
use super::place::Where;
use super::requests;
use super::shard::Shard;
use super::table::tags::Tag;
use super::table::{
    BLOCKS, BlockKey, DEATHS, DeathKey, LATER, ROWS, TAGS, TERMS, TermKey, block, death_key,
    failed, front_of, key_of, read_block_key, read_death, read_filed, read_in, tags, window_of,
};
use super::window::Window;
use crate::backend::{Key, Row, Term};
use crate::error::Result;
use futures_channel::mpsc::UnboundedSender;
use redb::{ReadTransaction, ReadableTableMetadata as _};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// As many damages are named; more are counted.
pub const DAMAGES_NAMED_MAX: usize = 100;

/// Rows between two reports of progress.
const STRIDE: u64 = 4_096;

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verifying {
    /// What is being read: `blocks`, `rows`, `terms`, `log`, `index`.
    pub part: &'static str,
    /// How many of it are done.
    pub done: u64,
    /// How many there are; 0 where that is not known.
    pub total: u64,
}

/// What a verification has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Blocks of the table.
    pub blocks: u64,
    /// Rows in blocks, replaced ones included.
    pub block_rows: u64,
    /// Rows by id.
    pub rows: u64,
    /// Entries of the rows' deaths.
    pub deaths: u64,
    /// Entries of index terms.
    pub terms: u64,
    /// Frames of the log.
    pub frames: u64,
    /// Entries of the index.
    pub index_entries: u64,
    /// How many damages there are.
    pub damages: u64,
    /// The first [`DAMAGES_NAMED_MAX`] of them.
    pub named: Vec<String>,
}

impl Verified {
    fn damage(&mut self, what: impl fmt::Display) {
        self.damages += 1;
        if self.named.len() < DAMAGES_NAMED_MAX {
            self.named.push(what.to_string());
        }
    }
}

/// Where progress is told; it is gone once nobody waits for the verification any more.
pub(crate) type Progress = UnboundedSender<Verifying>;

/// Verifies the store, beside everything else that it does. The table is read as it was at one
/// moment, which redb keeps; what leads there is compared with it as it is, and where the two
/// differ once more while the keeper holds still. Segments that are carried meanwhile are passed
/// over.
///
/// # Errors
/// What cannot be read past, or [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) once the
/// store is being closed.
pub(crate) fn verify(core: &Core, progress: Progress) -> Result<Verified> {
    let found = Verified::default();
    let mut pass = Pass { core, found, listed: HashSet::new(), carried: 0, progress };
    core.table.read_whole(|transaction| {
        pass.found = Verified::default();
        pass.listed.clear();
        pass.carried = read_in(transaction)?.carried;
        pass.terms(transaction)?;
        pass.blocks(transaction)?;
        pass.rows(transaction)
    })?;
    pass.log()?;
    pass.index()?;
    Ok(pass.found)
}

/// One verification on its way.
struct Pass<'a> {
    core: &'a Core,
    found: Verified,
    /// Which windows, terms, and rows the terms name, by [`mark`].
    listed: HashSet<u64>,
    /// The commit up to which everything is in the table that was read.
    carried: u64,
    progress: Progress,
}

/// A row of the table as it was when the verification began.
struct Checked<'a> {
    row: &'a Row,
    window: Window,
    at: Where,
}

impl Pass<'_> {
    /// Tells of progress now and then, and lets others run.
    ///
    /// # Errors
    /// The verification is to end: the store is being closed, or nobody waits for it.
    fn tell(&mut self, part: &'static str, done: u64, total: u64) -> Result<()> {
        courtesy::step();
        if !done.is_multiple_of(STRIDE) {
            return Ok(());
        }
        let told = self.progress.unbounded_send(Verifying { part, done, total });
        self.core.jobs.check()?;
        told.map_err(|_| requests::ended())
    }

    /// Reads every term, and notes which window, term, and row each names.
    fn terms(&mut self, transaction: &ReadTransaction) -> Result<()> {
        let terms = transaction.open_table(TERMS).map_err(failed)?;
        let total = terms.len().map_err(failed)?;
        let mut before: Option<TermKey> = None;
        for entry in terms.range::<TermKey>(..).map_err(failed)? {
            let key = entry.map_err(failed)?.0.value();
            // A listing goes by the order, and from the root down.
            let ascends = before.replace(key).is_none_or(|before| before < key);
            if !ascends || terms.get(&key).map_err(failed)?.is_none() {
                self.found.damage("a term is not where it is looked for");
            }
            self.found.terms += 1;
            self.tell("terms", self.found.terms, total)?;
            let term = key.get(Window::BYTES + 8..).and_then(<[u8]>::first_chunk).copied();
            match (front_of(&key), term, key_of(&key)) {
                (Some((window, _)), Some(term), Some(row)) => {
                    self.listed.insert(mark(window, Term(term), &row));
                }
                _ => self.found.damage("a term is damaged"),
            }
        }
        if self.found.terms != total {
            self.found
                .damage(format!("{total} terms are counted, and {} are there", self.found.terms));
        }
        Ok(())
    }

    fn blocks(&mut self, transaction: &ReadTransaction) -> Result<()> {
        let blocks = transaction.open_table(BLOCKS).map_err(failed)?;
        let first_tags = transaction.open_table(TAGS).map_err(failed)?;
        let later_tags = transaction.open_table(LATER).map_err(failed)?;
        let total = blocks.len().map_err(failed)?;
        if first_tags.len().map_err(failed)? + later_tags.len().map_err(failed)? != total {
            self.found.damage("the table has not as many blocks as it has tags of blocks");
        }
        for entry in blocks.range::<BlockKey>(..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let (key, value) = (key.value(), value.value());
            self.found.blocks += 1;
            self.tell("blocks", self.found.blocks, total)?;
            let Some((window, number)) = read_block_key(&key) else {
                self.found.damage("a block lies under a key that is none");
                continue;
            };
            // A look-up goes from the root down.
            if blocks.get(&key).map_err(failed)?.is_none() {
                self.found.damage("a block is not where it is looked for");
            }
            let first = first_tags.get(&key).map_err(failed)?;
            let is_first = first.is_some();
            let stored = first.map_or_else(|| later_tags.get(&key), |first| Ok(Some(first)));
            let stored = stored.map_err(failed)?;
            let tags = stored.and_then(|stored| tags::decode(&key, stored.value(), is_first));
            let Some(tags) = tags else {
                self.found.damage(format!("the tags of block {number} of {window:?} are damaged"));
                continue;
            };
            for (at, tag) in (0_u16..).zip(&tags) {
                self.found.block_rows += 1;
                let what = format!("row {at} of block {number} of {window:?}");
                let Some(row) = block::row(value, at) else {
                    self.found.damage(format!("{what} is damaged"));
                    continue;
                };
                if *tag != Tag::of(self.core.index.hash(&row.key()), &row) {
                    self.found.damage(format!("{what} is filed under another tag"));
                }
                let at = Where::Block { block: number, row: at };
                self.leads_to(&Checked { row: &row, window, at }, &what)?;
            }
            if block::row(value, u16::try_from(tags.len()).unwrap_or(u16::MAX)).is_some() {
                self.found.damage(format!("block {number} of {window:?} has more rows than tags"));
            }
        }
        if self.found.blocks != total {
            self.found
                .damage(format!("{total} blocks are counted, and {} are there", self.found.blocks));
        }
        Ok(())
    }

    fn rows(&mut self, transaction: &ReadTransaction) -> Result<()> {
        let rows = transaction.open_table(ROWS).map_err(failed)?;
        let deaths = transaction.open_table(DEATHS).map_err(failed)?;
        let total = rows.len().map_err(failed)?;
        for entry in rows.range::<[u8; Key::BYTES]>(..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let key = Key::from_bytes(&key.value());
            self.found.rows += 1;
            self.tell("rows", self.found.rows, total)?;
            let Ok(filed) = read_filed(&key, value.value()) else {
                self.found.damage(format!("the row of {key:?} is damaged"));
                continue;
            };
            let what = format!("the row of {key:?}");
            if deaths.get(&death_key(filed.window, &key)).map_err(failed)?.is_none() {
                self.found.damage(format!("{what} is filed under no death"));
            }
            let (row, window) = (&filed.row, filed.window);
            self.leads_to(&Checked { row, window, at: Where::ById }, &what)?;
        }
        for entry in deaths.range::<DeathKey>(..).map_err(failed)? {
            let (death, value) = entry.map_err(failed)?;
            let death = death.value();
            self.found.deaths += 1;
            let gone = read_death(&death, value.value()).filter(|_| window_of(&death).is_some());
            let row = key_of(&death).zip(gone);
            let Some((key, gone)) = row else {
                self.found.damage("a death is damaged");
                continue;
            };
            let filed = rows.get(&key.to_bytes()).map_err(failed)?;
            match filed.map(|filed| read_filed(&key, filed.value())) {
                None => self.found.damage(format!("the death of {key:?} leads to no row")),
                // One that is damaged has been told of.
                Some(Ok(filed))
                    if filed.row.is_tombstone() != gone
                        || window_of(&death) != Some(filed.window) =>
                {
                    self.found.damage(format!("the death of {key:?} is not that of its row"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What leads to a row of the table: its tag in the index, its terms.
    fn leads_to(&mut self, checked: &Checked<'_>, what: &str) -> Result<()> {
        let Checked { row, window, .. } = *checked;
        // What is dead for good waits for its window to be cut, and nobody asks for it.
        if window.end() <= self.core.time.settled() {
            return Ok(());
        }
        if !self.is_known(row) && self.is_lost(checked)? {
            self.found.damage(format!("{what} is not in the index"));
        }
        if !row.is_tombstone()
            && row.terms().iter().any(|term| !self.listed.contains(&mark(window, term, &row.key())))
        {
            self.found.damage(format!("{what} is missing in a listing"));
        }
        Ok(())
    }

    fn is_known(&self, row: &Row) -> bool {
        let tag = self.core.index.tag(&row.key());
        let known = self.core.index.read(tag, |shard: &Shard| shard.places(tag).next().is_some());
        known == Some(true)
    }

    /// True if a row that the index did not know is in the table still: while the keeper holds
    /// still neither of the two changes, and rows leave both or none.
    fn is_lost(&self, Checked { row, window, at }: &Checked<'_>) -> Result<bool> {
        let core = self.core;
        let _still = core.table_still.lock();
        if self.is_known(row) || window.end() <= core.time.settled() {
            return Ok(false);
        }
        let key = row.key();
        let there = core.table.look(|view| view.row(&key, *window, *at))?;
        Ok(there.is_some_and(|there| there.version() == row.version()))
    }

    fn log(&mut self) -> Result<()> {
        let durable = self.core.durable.value();
        let active = self.core.writer.lock().segment.number;
        let mut behind = 0;
        let mut last = None;
        while let Some(segment) = self.core.segments.next_between(behind, active + 1) {
            behind = segment.number;
            let mut reader = FrameReader::new(&segment, SEGMENT_DATA);
            while let Some((_, frame)) = reader.next()? {
                let sequence = frame.header.sequence;
                if last.is_some_and(|last| !goes_on(Some(last + 1), sequence, self.carried)) {
                    break;
                }
                last = Some(sequence);
                self.found.frames += 1;
                self.tell("log", self.found.frames, 0)?;
            }
            if !self.core.segments.holds(&segment) {
                // It was carried, and used again, while it was read.
                last = None;
            }
        }
        if last.is_some_and(|last| last < durable) {
            let last = last.unwrap_or(0);
            self.found.damage(format!("the log ends at commit {last}, and {durable} was durable"));
        }
        Ok(())
    }

    fn index(&mut self) -> Result<()> {
        let core = self.core;
        let total = core.index.len();
        for shard in core.index.entries() {
            for Entry { tag, place } in shard {
                self.found.index_entries += 1;
                self.tell("index", self.found.index_entries, total)?;
                let Where::Log { segment, offset } = place.at() else { continue };
                match core.segments.row(segment, offset) {
                    Ok(Some(row)) if core.index.tag(&row.key()) == tag => {}
                    // The place has moved on since.
                    Ok(None) => {}
                    Ok(Some(row)) => {
                        let key = row.key();
                        self.found.damage(format!("the index leads to {key:?} for another"));
                    }
                    Err(damage) => self.found.damage(damage),
                }
            }
        }
        Ok(())
    }
}

/// What names a window, a term, and a row, in eight bytes.
fn mark(window: Window, term: Term, key: &Key) -> u64 {
    let mut bytes = window.to_bytes().to_vec();
    bytes.extend_from_slice(&term.0);
    bytes.extend_from_slice(&key.to_bytes());
    xxh3_64(&bytes)
}
