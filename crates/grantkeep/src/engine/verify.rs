//! Verifying: everything that is stored is read again and held against everything that leads to it.
//!
//! Reads verify what they touch; this touches all of it: each block with its tags, each row by id
//! with its death and its terms, each frame of the log, and each entry of the index.

use super::core::Core;
use super::index::Shard;
use super::keeper::Keeper;
use super::log::replay::FrameReader;
use super::log::segment::SEGMENT_DATA;
use super::place::{Place, Where};
use super::table::{
    BLOCKS, BlockKey, DEATHS, DeathKey, ROWS, TAGS, TERMS, TermKey, block, death_key, entry_check,
    failed, front_of, key_of, read_block_key, read_filed, tags, window_of,
};
use super::window::Window;
use crate::backend::{Key, Row, Term};
use crate::error::Result;
use crate::sync::Arc;
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

/// Where progress is told.
pub(crate) type Progress = Box<dyn FnMut(Verifying) + Send>;

impl Keeper {
    /// Verifies the store. This is the only thread that writes to the table and recycles segments,
    /// so what is read holds still, but for the end of the log. The outer error is that of keeping
    /// the store meanwhile, the inner one what cannot be read past.
    pub(crate) fn verify(&mut self, progress: &mut Progress) -> Result<Result<Verified>> {
        let core = Arc::clone(&self.core);
        let found = Verified::default();
        let mut pass = Pass { core: &core, found, listed: HashSet::new(), progress };
        for part in [Pass::terms, Pass::blocks, Pass::rows] {
            if let Err(damage) = core.table.read(|transaction| part(&mut pass, transaction)) {
                return Ok(Err(damage));
            }
            // The log goes on: it may need another segment.
            self.supply()?;
        }
        if let Err(damage) = pass.log() {
            return Ok(Err(damage));
        }
        self.supply()?;
        pass.index();
        Ok(Ok(pass.found))
    }
}

/// One verification on its way.
struct Pass<'a> {
    core: &'a Core,
    found: Verified,
    /// Which windows, terms, and rows the terms name, by [`mark`].
    listed: HashSet<u64>,
    progress: &'a mut Progress,
}

impl Pass<'_> {
    /// Tells of progress now and then.
    fn tell(&mut self, part: &'static str, done: u64, total: u64) {
        if done.is_multiple_of(STRIDE) {
            (self.progress)(Verifying { part, done, total });
        }
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
            self.tell("terms", self.found.terms, total);
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
        let all_tags = transaction.open_table(TAGS).map_err(failed)?;
        let total = blocks.len().map_err(failed)?;
        if all_tags.len().map_err(failed)? != total {
            self.found.damage("the table has not as many blocks as it has tags of blocks");
        }
        for entry in blocks.range::<BlockKey>(..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let (key, value) = (key.value(), value.value());
            self.found.blocks += 1;
            self.tell("blocks", self.found.blocks, total);
            let Some((window, number)) = read_block_key(&key) else {
                self.found.damage("a block lies under a key that is none");
                continue;
            };
            let stored = all_tags.get(&key).map_err(failed)?;
            let Some(tags) = stored.and_then(|stored| tags::decode(&key, stored.value())) else {
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
                let Some((tag, kind)) = tag else { continue };
                if self.core.index.tag(&row.key()) != *tag || row.key().kind != *kind {
                    self.found.damage(format!("{what} is filed under another tag"));
                }
                self.leads_to(&row, window, &what);
            }
            if block::row(value, u16::try_from(tags.len()).unwrap_or(u16::MAX)).is_some() {
                self.found.damage(format!("block {number} of {window:?} has more rows than tags"));
            }
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
            self.tell("rows", self.found.rows, total);
            let Ok(filed) = read_filed(&key, value.value()) else {
                self.found.damage(format!("the row of {key:?} is damaged"));
                continue;
            };
            let what = format!("the row of {key:?}");
            if deaths.get(&death_key(filed.window, &key)).map_err(failed)?.is_none() {
                self.found.damage(format!("{what} is filed under no death"));
            }
            self.leads_to(&filed.row, filed.window, &what);
        }
        for entry in deaths.range::<DeathKey>(..).map_err(failed)? {
            let (death, check) = entry.map_err(failed)?;
            let death = death.value();
            self.found.deaths += 1;
            let whole = check.value() == entry_check(&death, &[]) && window_of(&death).is_some();
            let row = key_of(&death).filter(|_| whole);
            let Some(key) = row else {
                self.found.damage("a death is damaged");
                continue;
            };
            if rows.get(&key.to_bytes()).map_err(failed)?.is_none() {
                self.found.damage(format!("the death of {key:?} leads to no row"));
            }
        }
        Ok(())
    }

    /// What leads to a row of the table: its tag in the index, its terms.
    fn leads_to(&mut self, row: &Row, window: Window, what: &str) {
        let core = self.core;
        // What is dead for good waits for its window to be cut, and nobody asks for it.
        if window.end() <= core.time.settled() {
            return;
        }
        let tag = core.index.tag(&row.key());
        let known = core.index.read(tag, |shard: &Shard| shard.places(tag).next().is_some());
        if known != Some(true) {
            self.found.damage(format!("{what} is not in the index"));
        }
        if !row.is_tombstone()
            && row.terms().iter().any(|term| !self.listed.contains(&mark(window, term, &row.key())))
        {
            self.found.damage(format!("{what} is missing in a listing"));
        }
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
                if last.is_some_and(|last| sequence != last + 1) {
                    break;
                }
                last = Some(sequence);
                self.found.frames += 1;
                self.tell("log", self.found.frames, 0);
            }
        }
        if last.is_some_and(|last| last < durable) {
            let last = last.unwrap_or(0);
            self.found.damage(format!("the log ends at commit {last}, and {durable} was durable"));
        }
        Ok(())
    }

    fn index(&mut self) {
        let core = self.core;
        let total = core.index.len();
        core.index.each(|tag, place: Place| {
            self.found.index_entries += 1;
            self.tell("index", self.found.index_entries, total);
            let Where::Log { segment, offset } = place.at() else { return };
            match core.segments.row(segment, offset) {
                Ok(Some(row)) if core.index.tag(&row.key()) == tag => {}
                // The place has moved on since.
                Ok(None) => {}
                Ok(Some(row)) => {
                    self.found.damage(format!("the index leads to {:?} for another", row.key()));
                }
                Err(damage) => self.found.damage(damage),
            }
        });
    }
}

/// What names a window, a term, and a row, in eight bytes.
fn mark(window: Window, term: Term, key: &Key) -> u64 {
    let mut bytes = window.to_bytes().to_vec();
    bytes.extend_from_slice(&term.0);
    bytes.extend_from_slice(&key.to_bytes());
    xxh3_64(&bytes)
}
