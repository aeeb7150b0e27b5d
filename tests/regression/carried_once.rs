use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Terms};
use grantkeep::{Digest, KeySource, Keyring, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

// Goal: P10, what was carried into the table is not read from the log a second time, though the
// frames are still there. Method: carry up to the last frame, end the process, open; the index has
// one entry for each row, and no segment is held for them.
#[test]
fn carried_frames_are_not_replayed() {
    let clock = manual_clock();
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    let open = |disk: &SimDisk| {
        let options = options(&clock).disk(Arc::new(disk.clone())).keys(keys.clone());
        options.open_backend(Path::new("/store")).unwrap().0
    };
    let disk = SimDisk::new();
    let backend = open(&disk);
    for number in 0..3 {
        let mut batch = Batch::new().unwrap();
        let row = NewRow {
            value: vec![number],
            expires_at: backend.now().saturating_add(Duration::from_secs(60)),
            terms: Terms::NONE,
        };
        batch.insert(Key::new(Kind::write_once(1), Digest::from_bytes([number; 32])), row);
        backend.commit(batch).wait().unwrap();
    }
    backend.checkpoint().wait().unwrap();
    let backend = open(&disk.kill());
    assert_eq!(backend.stats().rows_total(), 3);
    let verified = backend.verify(|_| {}).wait().unwrap();
    assert_eq!((verified.damages, verified.index_entries, verified.frames), (0, 3, 0));
}
