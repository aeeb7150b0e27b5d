use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Terms};
use grantkeep::{Digest, Disk as _, KeySource, Keyring, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: u8 = 4;
const ROWS: u8 = 60;

// Goal: P10, segments that are free at an orderly close are used again after it. Method: fill
// several, carry them, close, and open, again and again; the log has no more files than at first,
// and says how long they are.
#[test]
fn free_segments_are_used_after_a_close() {
    let clock = manual_clock();
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    let disk = SimDisk::new();
    let mut files = Vec::new();
    for round in 0..ROUNDS {
        let options = options(&clock).disk(Arc::new(disk.clone())).keys(keys.clone());
        let (engine, _) = options.open_backend(Path::new("/store")).unwrap();
        for number in 0..ROWS {
            let mut id = [round; 32];
            id[0] = number;
            let mut batch = Batch::new().unwrap();
            let expires_at = engine.now().saturating_add(Duration::from_secs(3_600));
            let row = NewRow { value: vec![7; 12_000], expires_at, terms: Terms::NONE };
            batch.insert(Key::new(Kind::write_once(1), Digest::from_bytes(id)), row);
            engine.commit(batch).wait().unwrap();
        }
        engine.checkpoint().wait().unwrap();
        engine.close().unwrap();
        let log = Path::new("/store/log");
        let names = disk.list(log).unwrap();
        let bytes: u64 =
            names.iter().map(|name| disk.content(&log.join(name)).unwrap().len() as u64).sum();
        assert_eq!(engine.stats().log_bytes, bytes, "free segments are the log's as well");
        files.push(names.len());
    }
    println!("files of the log after each round: {files:?}");
    assert!(files[0] > 1 && files.iter().all(|count| *count <= files[0] + 2), "{files:?}");
}
