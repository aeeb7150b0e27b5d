use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Terms};
use grantkeep::{Digest, Embedded, KeySource, Keyring, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
/// The smallest log has segments of this length, and a frame without rows takes 48 bytes.
const SEGMENT_BYTES: u64 = 256 << 10;
const FRAME_BYTES: u64 = 48;
const RECORD_BYTES: u64 = 80;

/// What is left of the segment that is written to.
fn left(engine: &Embedded) -> u64 {
    SEGMENT_BYTES - engine.stats().log_backlog_bytes
}

fn put(engine: &Embedded, number: u8, bytes: u64) {
    let key = Key::new(Kind::write_once(100), Digest::from_bytes([number; 32]));
    let expires_at = engine.now().saturating_add(36 * HOUR);
    let value = vec![7; usize::try_from(bytes).unwrap()];
    let mut batch = Batch::new().unwrap();
    batch.insert(key, NewRow { value, expires_at, terms: Terms::NONE });
    engine.commit(batch).wait().unwrap();
}

// Goal: P5, an idle store notes its time also where its segment has no room for that: it goes on in
// the next one. Method: a segment that is full to less than a frame; hours pass; the process dies,
// and the clock is set back: time goes back by a minute at most. It went back 12 hours.
#[test]
fn idle_store_at_the_end_of_its_segment_notes_its_time() {
    let (disk, clock) = (SimDisk::new(), manual_clock());
    let keys = KeySource::Given(Keyring::generate().unwrap());
    let open = |disk: &SimDisk, clock| {
        let choices = options(clock).disk(Arc::new(disk.clone())).keys(keys.clone());
        choices.by_itself(true).open_backend("/store".as_ref()).unwrap().0
    };
    let engine = open(&disk, &clock);
    let mut number = 0;
    while left(&engine) > 2_000 {
        put(&engine, number, 30_000.min(left(&engine) - 1_000));
        number += 1;
    }
    put(&engine, number, (left(&engine) - FRAME_BYTES - RECORD_BYTES - 16) / 8 * 8);
    assert!(left(&engine) < FRAME_BYTES, "{}", left(&engine));
    for _ in 0..12 {
        let syncs = engine.stats().log_syncs;
        clock.advance(HOUR);
        let begun = Instant::now();
        while engine.stats().log_syncs == syncs {
            assert!(begun.elapsed() < Duration::from_secs(30), "the time was not noted");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let before = engine.now();
    let slow = manual_clock();
    let again = open(&disk.kill(), &slow);
    let back = before.since(again.now());
    assert!(back <= Duration::from_secs(60), "time went back by {back:?}");
}
