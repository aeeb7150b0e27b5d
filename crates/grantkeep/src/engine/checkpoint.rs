//! Carrying rows from the log's oldest segment into the table, so that the segment can be used
//! again. Rows that were replaced, or have died, in the log cost nothing.

use super::backup::ADVICE;
use super::blocks;
use super::core::{Core, count};
use super::courtesy;
use super::log::replay::FrameReader;
use super::log::segment::{SEGMENT_DATA, Segment};
use super::place::{Place, Where};
use super::settle::{Current, Dead, Move};
use super::table;
use super::table::filing::Filing;
use super::window::Window;
use crate::backend::{Kind, Row};
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// How far a segment was looked through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    offset: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self { offset: SEGMENT_DATA }
    }
}

impl Progress {
    /// Where the next frame begins.
    pub(crate) fn offset(self) -> u32 {
        self.offset
    }
}

/// What one table commit carries, of one or several segments.
#[derive(Default)]
pub(crate) struct Slice {
    current: Vec<Current>,
    dead: Vec<Dead>,
    bytes: u64,
    bytes_max: u64,
    /// The last commit that was looked at.
    through: Option<u64>,
    /// By when rows count as dead.
    settled: Timestamp,
    /// By when remembered rows were taken for dead, at the latest.
    paced: Timestamp,
}

impl Slice {
    /// An empty slice that is full after about `bytes_max` bytes of frames.
    pub(crate) fn new(bytes_max: u64, settled: Timestamp) -> Self {
        Self { bytes_max, settled, ..Self::default() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// The last commit in it.
    pub(crate) fn through(&self) -> Option<u64> {
        self.through
    }

    /// Says that everything up to a commit was carried before: frames of a segment that was carried
    /// in part come once more after an open, and take nothing back.
    pub(crate) fn is_behind(&mut self, carried: u64) {
        self.through = self.through.map(|through| through.max(carried));
    }
}

/// A row of the log, and where it lies in its segment.
struct Found {
    tag: u64,
    row: Row,
    at: u32,
}

impl Core {
    /// Adds frames of a segment up to the offset `until`, where one ends, to `slice`, until that is
    /// full; true once there are no more.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if its frames end before they should: what
    /// is behind a damaged one would be lost with the segment.
    pub(crate) fn gather(
        &self,
        segment: &Segment,
        progress: &mut Progress,
        until: u32,
        slice: &mut Slice,
    ) -> Result<bool> {
        self.tidy_unread()?;
        let mut reader = FrameReader::new(segment, progress.offset);
        let mut found = Vec::new();
        while !slice.is_full() && reader.offset() < until {
            let Some((offset, frame)) = reader.next()? else {
                return Err(Error::corrupt(format!(
                    "the log segment {} is damaged at offset {}: {ADVICE}",
                    segment.path.display(),
                    reader.offset()
                )));
            };
            slice.bytes += u64::from(reader.offset() - offset);
            slice.through = Some(frame.header.sequence);
            for (at, row) in frame.records {
                courtesy::step();
                let at = offset.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
                found.push(Found { tag: self.index.tag(&row.key()), row, at });
            }
            progress.offset = reader.offset();
        }
        self.sort_out(segment, found, slice);
        Ok(progress.offset >= until)
    }

    /// Carries what was gathered.
    ///
    /// # Durability
    /// On success the rows are durable in the table, and found there.
    pub(crate) fn carry(&self, slice: Slice) -> Result<()> {
        let Slice { current, dead, through, paced, .. } = slice;
        let carried = current.len() as u64;
        let mark = self.time.mark();
        // Dead rows are left behind with their segment, also those that are remembered.
        let forgotten = {
            let windows = &mut self.writer.lock().windows;
            let forgotten = windows.forgettable(paced);
            windows.note_forgotten(forgotten);
            forgotten
        };
        let moves = self.write_table(|transaction| {
            let mut filing = Filing::new(transaction, through.unwrap_or(0))?;
            let (filed, blocked) = current.into_iter().partition(|row| is_by_id(&row.row));
            let mut moves = blocks::append(&self.index, transaction, &mut filing, blocked)?;
            moves.extend(self.write_filed(&mut filing, filed)?);
            filing.finish()?;
            if let Some(through) = through {
                table::set_carried(transaction, through)?;
            }
            table::set_high_water(transaction, mark, forgotten)?;
            Ok(moves)
        })?;
        self.settle(moves, dead);
        count(&self.counters.checkpoints, 1);
        count(&self.counters.carried_rows, carried);
        Ok(())
    }

    /// Files records of the log with what is still needed, with what is dead, or with neither.
    fn sort_out(&self, segment: &Segment, found: Vec<Found>, slice: &mut Slice) {
        let is_dead = |place: &Place| self.slots.is_dead(place.slot());
        let paced = self.time.paced();
        slice.paced = slice.paced.max(paced);
        let seen = self.index.read_each(
            found,
            |found| found.tag,
            |shard, found| {
                let same = Place::in_log(0, segment.number, found.at).at();
                let unknown = shard.places(found.tag).all(|place| is_dead(&place));
                (unknown, shard.places(found.tag).find(|place| place.at() == same))
            },
        );
        for (Found { tag, row, .. }, (unknown, from)) in seen {
            let live = from.filter(|from| !is_dead(from));
            let window = live.and_then(|from| self.slots.window(from.slot()));
            match (live, window) {
                (Some(from), Some(window)) => {
                    let kind = row.key().kind;
                    let by = if kind == Kind::REMEMBERED { paced } else { slice.settled };
                    let gone = window.end() <= by || leaves_nothing(&row);
                    if gone && !is_by_id(&row) {
                        // An older version lies in a window that ends no later, and none by id is
                        // left in one that has ended once this one is swept.
                        slice.dead.push(Dead { tag, row, from: Some(from) });
                    } else {
                        slice.current.push(Current { tag, row, from, window, gone });
                    }
                }
                (Some(from), None) => slice.dead.push(Dead { tag, row, from: Some(from) }),
                (None, _) if unknown => slice.dead.push(Dead { tag, row, from: None }),
                (None, _) => {}
            }
        }
    }

    /// Writes the revised rows in place. A row that is filed under a window which has not ended
    /// stays filed there, even if it dies later now: it is filed anew when that window ends.
    fn write_filed(&self, filing: &mut Filing<'_>, current: Vec<Current>) -> Result<Vec<Move>> {
        let mut current = current;
        current.sort_unstable_by_key(|row| row.row.key());
        let settled = self.time.settled();
        let mut moves = Vec::new();
        for row in current {
            courtesy::step();
            let key = row.row.key();
            let before = filing.filed(&key)?;
            if row.gone {
                if let Some(before) = &before {
                    filing.remove(before)?;
                }
                let from = row.from;
                moves.push(Move { row, to: from });
                continue;
            }
            let filed = before.as_ref().map(|before| before.window);
            let keep =
                filed.filter(|filed| filed.end() > settled && filed.turn() <= row.window.turn());
            let window = keep.unwrap_or(row.window);
            filing.put(window, &row.row, before.as_ref())?;
            let slot = self.slot_of(window)?;
            moves.push(Move { row, to: Place::new(slot, Where::ById) });
        }
        Ok(moves)
    }

    fn slot_of(&self, window: Window) -> Result<u16> {
        self.writer.lock().windows.slot(window)
    }
}

/// True for a row that is filed by id: a later version of a revised one, or one that never expires.
fn is_by_id(row: &Row) -> bool {
    let never_expires = row.expires_at() == Timestamp::NEVER;
    row.key().kind.is_revised() && (!row.is_first() || never_expires)
}

/// True for a deletion of what was by id alone, since it never was to expire. That of another row
/// is kept: a version in a block stays there until its window is cut.
fn leaves_nothing(row: &Row) -> bool {
    row.is_tombstone() && is_by_id(row) && row.expires_at() == Timestamp::NEVER && !row.had_an_end()
}

#[cfg(test)]
mod tests {
    use crate::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Term, Terms};
    use crate::clock::{ManualClock, Timestamp};
    use crate::digest::Digest;
    use crate::engine::table::{TAGS, failed};
    use crate::engine::{Embedded, KeySource, Options};
    use crate::keyring::Keyring;
    use crate::wait::Wait as _;
    use redb::ReadableTableMetadata as _;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    /// Options of a store that carries and sweeps when it is told, and its clock.
    fn quiet() -> (Options, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let keys = KeySource::Given(Keyring::generate().unwrap());
        let options = Options::default().clock(clock.clone()).keys(keys).by_itself(false);
        (options.log_budget_bytes(2 << 20).reserve_bytes(0), clock)
    }

    fn key(number: u8) -> Key {
        Key::new(Kind::revised(1), Digest::from_bytes([number; 32]))
    }

    fn row(engine: &Embedded, number: u8, lifetime_s: u64) -> NewRow {
        let expires_at = engine.now().saturating_add(Duration::from_secs(lifetime_s));
        let terms = Terms::two(Term([255; 16]), Term([number; 16]));
        NewRow { value: vec![number], expires_at, terms }
    }

    fn put(engine: &Embedded, number: u8, lifetime_s: u64) {
        let mut batch = Batch::new().unwrap();
        batch.insert(key(number), row(engine, number, lifetime_s));
        engine.commit(batch).wait().unwrap();
    }

    fn revise(engine: &Embedded, number: u8, lifetime_s: u64) {
        let version = engine.get(key(number)).wait().unwrap().unwrap().version();
        let mut batch = Batch::new().unwrap();
        batch.replace(key(number), version, row(engine, number, lifetime_s));
        engine.commit(batch).wait().unwrap();
    }

    // Goal: P10, the terms of young rows are kept in memory until their rows are carried, also of
    // those that died and were swept, or were deleted, before. Method: rows that live, die, and
    // are deleted; carry them, and count what is kept.
    #[test]
    fn terms_are_forgotten_with_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let (options, clock) = quiet();
        let (engine, _) = options.open_backend(&dir.path().join("store")).unwrap();
        let young = || engine.core.young_terms.lock().len();
        // So many that the entries of a few dead ones stay in the index.
        (0..100).for_each(|number| put(&engine, number, 3_600));
        put(&engine, 100, 20);
        assert_eq!(young(), 202);
        engine.checkpoint().wait().unwrap();
        assert_eq!(young(), 0);
        put(&engine, 101, 3_600);
        put(&engine, 102, 20);
        clock.advance(Duration::from_secs(100));
        assert_eq!(engine.sweep(Budget::ALL).wait().unwrap().rows, 2);
        assert_eq!(young(), 4);
        engine.checkpoint().wait().unwrap();
        assert_eq!(young(), 0);
        put(&engine, 103, 3_600);
        let version = engine.get(key(103)).wait().unwrap().unwrap().version();
        let mut batch = Batch::new().unwrap();
        batch.delete(key(103), version);
        engine.commit(batch).wait().unwrap();
        engine.checkpoint().wait().unwrap();
        assert_eq!(young(), 0);
    }

    // Goal: P10, a row that was extended is counted under the window it is filed in until that
    // ends, so that sweeping counts it once. Method: carry a row three times, the third time with
    // a later death; let the window end, then the row die.
    #[test]
    fn rows_are_counted_where_they_are_filed() {
        let dir = tempfile::tempdir().unwrap();
        let (options, clock) = quiet();
        let (engine, _) = options.open_backend(&dir.path().join("store")).unwrap();
        put(&engine, 1, 64);
        engine.checkpoint().wait().unwrap();
        revise(&engine, 1, 64);
        engine.checkpoint().wait().unwrap();
        clock.advance(Duration::from_secs(10));
        revise(&engine, 1, 64);
        engine.checkpoint().wait().unwrap();
        assert_eq!(engine.stats().rows_total(), 1);
        clock.advance(Duration::from_secs(62));
        assert_eq!(engine.sweep(Budget::ALL).wait().unwrap().rows, 0);
        assert_eq!((engine.stats().rows_total(), engine.stats().windows), (1, 1));
        clock.advance(Duration::from_secs(10));
        assert_eq!(engine.sweep(Budget::ALL).wait().unwrap().rows, 1);
        assert_eq!(engine.stats().rows_total(), 0);
    }

    // Goal: P10, a row whose version in the table the log has replaced has one entry in the index
    // after an open, and is counted once when it is carried. Method: one row whose older version is
    // in a block, one whose is filed by id; open, carry, count.
    #[test]
    fn rows_found_twice_are_counted_once_when_carried() {
        let dir = tempfile::tempdir().unwrap();
        let (options, _clock) = quiet();
        let open = || options.clone().open_backend(&dir.path().join("store")).unwrap().0;
        let engine = open();
        put(&engine, 1, 3_600);
        engine.checkpoint().wait().unwrap();
        revise(&engine, 1, 3_600);
        put(&engine, 2, 3_600);
        engine.checkpoint().wait().unwrap();
        (1..=2).for_each(|number| revise(&engine, number, 3_600));
        engine.close().unwrap();
        let engine = open();
        assert_eq!((engine.stats().rows_total(), engine.core.index.len()), (2, 2));
        engine.checkpoint().wait().unwrap();
        assert_eq!((engine.stats().rows_total(), engine.core.index.len()), (2, 2));
    }

    // Goal: P10, nothing is left of a row that never was to expire once it is deleted, whatever of
    // it was carried before; and P2, one that was to expire once does not come back when it is
    // deleted after that. Method: put and delete in turns, with and without a checkpoint between,
    // and a version with an end before; count what the table has; open again.
    #[test]
    fn what_never_expires_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (options, _clock) = quiet();
        let open = || options.clone().open_backend(&dir.path().join("store")).unwrap().0;
        let engine = open();
        let without_end =
            |number| NewRow { expires_at: Timestamp::NEVER, ..row(&engine, number, 0) };
        for carried in [false, true] {
            for number in 0..50 {
                let mut batch = Batch::new().unwrap();
                batch.insert(key(number), without_end(number));
                engine.commit(batch).wait().unwrap();
            }
            if carried {
                engine.checkpoint().wait().unwrap();
                assert_eq!(engine.verify(|_| {}).wait().unwrap().rows, 50);
            }
            for number in 0..50 {
                let version = engine.get(key(number)).wait().unwrap().unwrap().version();
                let mut batch = Batch::new().unwrap();
                batch.delete(key(number), version);
                engine.commit(batch).wait().unwrap();
            }
            engine.checkpoint().wait().unwrap();
            let left = engine.verify(|_| {}).wait().unwrap();
            let table = (left.blocks, left.rows, left.deaths, left.terms);
            assert_eq!((table, left.index_entries), ((0, 0, 0, 0), 0), "{left:?}");
        }
        put(&engine, 1, 3_600);
        engine.checkpoint().wait().unwrap();
        for end in [false, true] {
            let version = engine.get(key(1)).wait().unwrap().unwrap().version();
            let mut batch = Batch::new().unwrap();
            if end {
                batch.delete(key(1), version);
            } else {
                batch.replace(key(1), version, without_end(1));
            }
            engine.commit(batch).wait().unwrap();
            engine.checkpoint().wait().unwrap();
        }
        engine.close().unwrap();
        assert!(open().get(key(1)).wait().unwrap().is_none(), "the version in a block is back");
    }

    // Goal: P10, rows share blocks of about 8 KB. Method: carry rows of one window, and count the
    // blocks.
    #[test]
    fn blocks_are_filled() {
        let dir = tempfile::tempdir().unwrap();
        let (options, _clock) = quiet();
        let (engine, _) = options.open_backend(&dir.path().join("store")).unwrap();
        (0..200).for_each(|number| put(&engine, number, 3_600));
        engine.checkpoint().wait().unwrap();
        let blocks = engine.core.table.read(|transaction| {
            transaction.open_table(TAGS).map_err(failed)?.len().map_err(failed)
        });
        assert!((2..8).contains(&blocks.unwrap()), "200 rows of some 130 bytes");
    }
}
