//! Going through all rows while everything else goes on: for an export.
//!
//! 1. The index is gone through shard by shard. Of each shard the entries are copied under its
//!    lock, and the rows that lie in the log or in a block are read where they say. A place that
//!    has moved on meanwhile is looked up again.
//! 2. A row that is filed by id cannot be read so, since its entry does not have its key. These are
//!    gone through in the order of their keys, as they are filed in the table.
//!
//! # Invariants
//!
//! - No row is passed over that is there throughout. A row only ever moves from the log or a block
//!   to its id, and the second part comes after the first.
//! - No row is answered twice. A shard is copied once. Of a revised row that the first part has
//!   answered the hash is kept, eight bytes, and the second part passes over it.
//!
//! A scan holds no lock but while a shard is copied, and keeps no transaction of the table open.

use super::core::Core;
use super::index::Entry;
use super::place::{Place, Where};
use super::shard::Shard;
use crate::backend::{Key, PAGE_ROWS_MAX, Row, Scan};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// A place that has moved on is looked up again this often.
const TRIES: usize = 64;

/// What stands before a shard's number in a place of a scan, and before a key's bytes.
const SHARD: u8 = 0;
const BY_ID: u8 = 1;

impl Core {
    /// The next rows of a scan.
    pub(crate) fn scan(&self, scan: &mut Scan) -> Result<Vec<Row>> {
        self.check_readable()?;
        let shard = match scan.place() {
            [] => Some(0),
            [SHARD, number @ ..] => number.first_chunk().map(|number| u16::from_le_bytes(*number)),
            _ => None,
        };
        let Some(shard) = shard else { return self.scan_by_id(scan) };
        let Some(entries) = self.index.entries_of(usize::from(shard)) else {
            scan.go_on(&[BY_ID]);
            return Ok(Vec::new());
        };
        let [low, high] = shard.saturating_add(1).to_le_bytes();
        scan.go_on(&[SHARD, low, high]);
        self.scan_shard(entries, scan)
    }

    fn scan_shard(&self, entries: Vec<Entry>, scan: &mut Scan) -> Result<Vec<Row>> {
        let mut by_tag: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
        for Entry { tag, place } in entries {
            by_tag.entry(tag).or_default().push(place);
        }
        let mut rows = Vec::with_capacity(by_tag.len());
        for (tag, places) in by_tag {
            for row in self.rows_of(tag, places)? {
                if row.key().kind.is_revised() {
                    scan.seen().insert(self.index.hash(&row.key()).high());
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The rows of a tag, but those filed by id and not changed since: mostly one, which lies in
    /// one place.
    fn rows_of(&self, tag: u64, mut places: Vec<Place>) -> Result<Vec<Row>> {
        let look = || self.index.read(tag, |shard: &Shard| shard.places(tag).collect());
        let mut failed = None;
        for _ in 0..TRIES {
            match self.read_each(tag, &places) {
                Ok(Some(found)) if places.len() == 1 => return Ok(found),
                // Several versions of one key, or several keys: what a look-up finds of each.
                Ok(Some(found)) => {
                    let mut keys: Vec<Key> = found.iter().map(Row::key).collect();
                    keys.sort_unstable();
                    keys.dedup();
                    let rows = keys.iter().map(|key| self.find(key).transpose());
                    return rows.flatten().collect();
                }
                Ok(None) => {}
                Err(error) => {
                    let now: Vec<Place> = look().unwrap_or_default();
                    if now == places {
                        return Err(error);
                    }
                    failed = Some(error);
                }
            }
            places = look().unwrap_or_default();
        }
        Err(failed.unwrap_or_else(|| Error::corrupt("a row is not where the index says")))
    }

    /// The rows at these places that are not deleted; `None` if one has moved on.
    fn read_each(&self, tag: u64, places: &[Place]) -> Result<Option<Vec<Row>>> {
        let mut rows = Vec::with_capacity(places.len());
        for place in places {
            if self.slots.is_dead(place.slot()) {
                continue;
            }
            let row = match place.at() {
                Where::ById => continue,
                Where::Log { segment, offset } => self.segments.row(segment, offset)?,
                at @ Where::Block { .. } => match self.slots.window(place.slot()) {
                    Some(window) => self.table.look(|view| view.row(&Key::MIN, window, at))?,
                    None => None,
                },
            };
            match row {
                Some(row) if self.index.tag(&row.key()) == tag => rows.push(row),
                _ if self.slots.is_dead(place.slot()) => {}
                _ => return Ok(None),
            }
        }
        rows.retain(|row| places.len() > 1 || !row.is_tombstone());
        Ok(Some(rows))
    }

    fn scan_by_id(&self, scan: &mut Scan) -> Result<Vec<Row>> {
        let keys = self.table.look(|view| view.filed_after(scan.after(), PAGE_ROWS_MAX))?;
        let Some(last) = keys.last() else {
            scan.end();
            return Ok(Vec::new());
        };
        let mut place = vec![BY_ID];
        place.extend_from_slice(&last.to_bytes());
        let mut rows = Vec::with_capacity(keys.len());
        for key in &keys {
            if !scan.seen().contains(&self.index.hash(key).high()) {
                rows.extend(self.find(key)?);
            }
        }
        scan.go_on(&place);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::{
        Backend as _, Batch, Key, Kind, NewRow, Outcome, Scan, Term, Terms, Version,
    };
    use crate::clock::Timestamp;
    use crate::digest::Digest;
    use crate::engine::{Embedded, Options};
    use crate::store::Store;
    use crate::wait::Wait as _;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    const ROWS: u32 = 300;

    fn open(dir: &std::path::Path) -> Store<Embedded> {
        Options::default().reserve_bytes(0).open(dir).unwrap()
    }

    fn key(kind: Kind, number: u32) -> Key {
        Key::new(kind, Digest::of_name("row", &number.to_le_bytes()))
    }

    /// Puts a row, in place of the one of this version if there is one.
    fn put(store: &Store<Embedded>, key: Key, before: Option<Version>) {
        let terms = if key.kind.is_revised() { Terms::one(Term([7; 16])) } else { Terms::NONE };
        let expires_at = store.now().saturating_add(Duration::from_secs(3_600));
        let row = NewRow { value: key.id.as_bytes().to_vec(), expires_at, terms };
        let mut batch = Batch::new().unwrap();
        match before {
            Some(version) => batch.replace(key, version, row),
            None => batch.insert(key, row),
        };
        assert_eq!(store.backend().commit(batch).wait().unwrap(), Outcome::Applied);
    }

    fn version(store: &Store<Embedded>, key: Key) -> Option<Version> {
        store.backend().get(key).wait().unwrap().map(|row| row.version())
    }

    /// All rows of these kinds, each with its version; none is there twice.
    fn scanned(store: &Store<Embedded>, kinds: [Kind; 2]) -> BTreeMap<Key, Version> {
        let (mut scan, mut found) = (Scan::new(), BTreeMap::new());
        while !scan.is_done() {
            for row in store.backend().scan(&mut scan).wait().unwrap() {
                if kinds.contains(&row.key().kind) {
                    assert!(row.expires_at() > Timestamp::default());
                    let before = found.insert(row.key(), row.version());
                    assert_eq!(before, None, "{:?} is there twice", row.key());
                }
            }
        }
        found
    }

    const WRITE_ONCE: Kind = Kind::write_once(100);
    const REVISED: Kind = Kind::revised(100);

    // Goal: a scan answers each row once, as it is, wherever it lies. Method: rows in blocks, by
    // id, in the log, in several of these, and deleted ones, of both kinds; once more after a
    // reopen.
    #[test]
    fn a_scan_answers_each_row_once_wherever_it_lies() {
        let place = tempfile::tempdir().unwrap();
        let mut store = open(&place.path().join("store"));
        let kinds = [WRITE_ONCE, REVISED];
        for kind in kinds {
            (0..ROWS).for_each(|number| put(&store, key(kind, number), None));
        }
        for part in [2, 3, 5] {
            store.checkpoint().wait().unwrap();
            for number in (0..ROWS).filter(|number| number % part == 0) {
                for kind in kinds {
                    let key = key(kind, number);
                    let Some(version) = version(&store, key) else { continue };
                    if number % 7 == 0 {
                        let mut batch = Batch::new().unwrap();
                        batch.delete(key, version);
                        store.backend().commit(batch).wait().unwrap();
                    } else {
                        put(&store, key, Some(version));
                    }
                }
            }
        }
        for _ in 0..2 {
            let keys = kinds.into_iter().flat_map(|kind| (0..ROWS).map(move |n| key(kind, n)));
            let expected: BTreeMap<Key, Version> =
                keys.filter_map(|key| Some((key, version(&store, key)?))).collect();
            assert!(expected.len() > 400 && expected.len() < 600, "{}", expected.len());
            assert_eq!(scanned(&store, kinds), expected);
            store.close().unwrap();
            store = open(&place.path().join("store"));
        }
    }

    // Goal: no row that is there throughout is passed over or answered twice by a scan beside
    // changes and checkpoints. Method: rows that another thread rewrites and carries all the time,
    // gone through ten times.
    #[test]
    fn a_scan_beside_changes_passes_nothing_over() {
        let place = tempfile::tempdir().unwrap();
        let store = open(&place.path().join("store"));
        let kinds = [WRITE_ONCE, REVISED];
        for kind in kinds {
            (0..300).for_each(|number| put(&store, key(kind, number), None));
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in (0..300).cycle() {
                    for kind in kinds {
                        let key = key(kind, number);
                        put(&store, key, version(&store, key));
                    }
                    if number % 50 == 0 {
                        store.checkpoint().wait().unwrap();
                    }
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            for _ in 0..10 {
                assert_eq!(scanned(&store, kinds).len(), 600);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
