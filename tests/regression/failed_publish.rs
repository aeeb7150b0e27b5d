use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Digest, KeySource, Keyring, Options, Wait as _};
use grantkeep_tests::sim_disk::{Failure, Fault, Operations, SimDisk, Turn};
use grantkeep_tests::{manual_clock, options};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ROWS: u8 = 8;

fn key(number: u8) -> Key {
    Key::new(Kind::revised(101), Digest::from_bytes([number; 32]))
}

fn new(turn: u8, backend: &grantkeep::Embedded) -> NewRow {
    let expires_at = backend.now().saturating_add(Duration::from_secs(3600));
    NewRow { value: vec![turn], expires_at, terms: Terms::NONE }
}

/// Holds each row against the turn it was written in last; 0 for one that was removed.
fn holds(backend: &grantkeep::Embedded, turns: &[u8]) {
    for (number, turn) in (0..ROWS).zip(turns) {
        let row = backend.get(key(number)).wait().unwrap();
        let stored = row.map_or(0, |row| row.value()[0]);
        assert_eq!(stored, *turn, "row {number}");
    }
}

// Goal: P1, P2, a read that fails while a commit is published ends no store, and no version comes
// back. Method: rows whose tags meet, so that publishing one reads several; replace them, and
// remove some, while every read fails; carry, reopen, look at all of them each time.
#[test]
fn a_read_that_fails_while_publishing_ends_no_store() {
    let (disk, clock) = (SimDisk::new(), manual_clock());
    let keys = Keyring::generate().unwrap();
    let options = || -> Options {
        let keys = KeySource::Given(keys.clone());
        // All rows are in two shards, and kept in memory.
        let options = options(&clock).disk(Arc::new(disk.clone())).keys(keys);
        options.tag_bits(1).row_cache_bytes(64 << 20)
    };
    let open = || options().open_backend(Path::new("/store")).unwrap().0;
    let backend = open();
    for number in 0..ROWS {
        let mut batch = Batch::new().unwrap();
        batch.insert(key(number), new(1, &backend));
        assert_eq!(backend.commit(batch).wait().unwrap(), Outcome::Applied);
    }
    let mut turns = [1; ROWS as usize];
    for round in 2..5 {
        holds(&backend, &turns);
        let (of, turn, failure) = (Operations::Reads, Turn::From(0), Failure::Io);
        let kept = turns.iter().zip(0..ROWS).filter(|(turn, _)| **turn > 0);
        let rows: Vec<_> = kept.map(|(_, number)| number).collect();
        let rows = rows
            .into_iter()
            .map(|number| (number, backend.get(key(number)).wait().unwrap().unwrap().version()));
        let rows: Vec<_> = rows.collect();
        disk.set_fault(Some(Fault { of, turn, failure }));
        for (number, version) in rows {
            let mut batch = Batch::new().unwrap();
            if number % 4 == round % 4 {
                batch.delete(key(number), version);
                turns[usize::from(number)] = 0;
            } else {
                batch.replace(key(number), version, new(round, &backend));
                turns[usize::from(number)] = round;
            }
            assert_eq!(backend.commit(batch).wait().unwrap(), Outcome::Applied, "row {number}");
        }
        let failed = disk.failed();
        disk.set_fault(None);
        assert!(failed > 0, "nothing was read");
        holds(&backend, &turns);
        if round == 3 {
            backend.checkpoint().wait().unwrap();
            holds(&backend, &turns);
        }
    }
    backend.close().unwrap();
    drop(backend);
    let backend = open();
    holds(&backend, &turns);
    backend.checkpoint().wait().unwrap();
    holds(&backend, &turns);
    assert_eq!(backend.verify(|_| {}).wait().unwrap().damages, 0);
    backend.close().unwrap();
}
