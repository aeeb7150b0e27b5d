//! A slice of the log whose rows have all died is carried without a table commit. Where a segment
//! ended right behind such a slice, nothing said that it was carried, and its file was used again:
//! a store would not open after a crash.

use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Terms};
use grantkeep::{Embedded, KeySource, Keyring, ManualClock, Wait as _};
use grantkeep_tests::files::{copy_dir, segments};
use grantkeep_tests::{manual_clock, options, samples};
use std::fs;
use std::path::Path;
use std::time::Duration;

const SLICE_BYTES: usize = 4 << 20;
const SEGMENT_BYTES: usize = 8 << 20;
const DATA: usize = 8_192;

fn put(engine: &Embedded, number: u64) -> Key {
    let key = Key::new(Kind::write_once(100), samples::id(&number.to_string()));
    let mut batch = Batch::new().unwrap();
    let expires_at = engine.now().saturating_add(Duration::from_secs(60));
    batch.insert(key, NewRow { value: vec![7; 30_000], expires_at, terms: Terms::NONE });
    engine.commit(batch).wait().unwrap();
    key
}

/// The bytes of frames in the segment that is written to: the last full one that has any.
fn written(store: &Path) -> usize {
    let full = segments(store).into_iter().rev().map(|path| fs::read(path).unwrap());
    let used = |bytes: &Vec<u8>| {
        let mut at = DATA;
        while bytes.get(at..at + 8).is_some_and(|check| check != [0; 8]) {
            at += 48 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        }
        at - DATA
    };
    full.filter(|bytes| bytes.len() == SEGMENT_BYTES)
        .map(|b| used(&b))
        .find(|n| *n > 0)
        .unwrap_or(0)
}

fn reopen(path: &Path, clock: &std::sync::Arc<ManualClock>, keys: &Keyring) -> Embedded {
    let keys = KeySource::Given(keys.clone());
    let options = options(clock).log_budget_bytes(64 << 20).keys(keys);
    options.open_backend(path).unwrap().0
}

// Goal: P1, P8: what a carried segment held is not missed, whatever of it had died. Method: end a
// segment right behind a slice whose rows are dead, carry it, use its file again, and open what a
// crash would leave.
#[test]
fn segment_that_ends_with_a_dead_slice() {
    let dir = tempfile::tempdir().unwrap();
    let (path, clock) = (dir.path().join("store"), manual_clock());
    let keys = Keyring::generate().unwrap();
    let engine = reopen(&path, &clock, &keys);
    let mut number = 0;
    while written(&path) < SLICE_BYTES {
        put(&engine, number);
        number += 1;
    }
    clock.advance(Duration::from_secs(3_600));
    engine.checkpoint().wait().unwrap();
    // Two more segments, so that the file of the carried one is used again.
    let young: Vec<Key> = (0..600).map(|more| put(&engine, number + more)).collect();

    // Behind whatever segment is being made ready: a crash leaves one moment, a copy several.
    engine.sweep(Budget::ALL).wait().unwrap();
    let crashed = dir.path().join("crashed");
    copy_dir(&path, &crashed);
    let reopened = reopen(&crashed, &clock, &keys);
    for key in young {
        assert!(reopened.get(key).wait().unwrap().is_some());
    }
}
