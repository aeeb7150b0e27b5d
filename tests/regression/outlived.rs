use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms, Version};
use grantkeep::{Clock as _, Digest, Embedded, KeySource, Keyring, PACE_HOLD, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn key() -> Key {
    Key::new(Kind::revised(1), Digest::from_bytes([1; 32]))
}

/// Puts a row that lives for so long, in place of the one of this version if there is one.
fn put(backend: &Embedded, key: Key, lifetime: Duration, before: Option<Version>) {
    let expires_at = backend.now().saturating_add(lifetime);
    let row = NewRow { value: vec![7], expires_at, terms: Terms::NONE };
    let mut batch = Batch::new().unwrap();
    match before {
        Some(version) => batch.replace(key, version, row),
        None => batch.insert(key, row),
    };
    assert_eq!(backend.commit(batch).wait().unwrap(), Outcome::Applied);
}

fn version(backend: &Embedded) -> Option<Version> {
    backend.get(key()).wait().unwrap().map(|row| row.version())
}

// Goal: P2, no version of a row comes back once a later one has died, in whatever order their
// windows are swept. Method: a row that was carried, and filed under the window of its first life
// when that was made longer; then a version of a short life, in the log. A burnt value holds the
// first window back by paced time, so that the other is swept before it; the log is carried then or
// not, and the store goes on or is killed.
#[test]
fn a_version_is_not_outlived_by_the_one_that_it_replaced() {
    for (carried, killed) in [(false, false), (false, true), (true, false), (true, true)] {
        let clock = manual_clock();
        let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
        let open = |disk: &SimDisk| {
            let options = options(&clock).disk(Arc::new(disk.clone())).keys(keys.clone());
            options.open_backend(Path::new("/store")).unwrap().0
        };
        let mut disk = SimDisk::new();
        let mut backend = open(&disk);
        put(&backend, key(), 60 * MINUTE, None);
        backend.checkpoint().wait().unwrap();
        for lifetime in [60 * MINUTE, 100 * DAY] {
            put(&backend, key(), lifetime, version(&backend));
            backend.checkpoint().wait().unwrap();
        }
        let burnt = Key::new(Kind::REMEMBERED, Digest::from_bytes([2; 32]));
        put(&backend, burnt, 60 * MINUTE, None);
        put(&backend, key(), 80 * MINUTE, version(&backend));
        let last = version(&backend);
        clock.step_to(clock.wall() + 3 * 60 * MINUTE);
        backend.now();
        clock.advance(Duration::from_secs(31));
        backend.now();
        let swept = backend.sweep(Budget::ALL).wait().unwrap();
        assert!(swept.rows > 0 && backend.get(burnt).wait().unwrap().is_some(), "{swept:?}");
        assert_eq!(version(&backend), None, "its window is swept");
        if carried {
            backend.checkpoint().wait().unwrap();
        }
        if killed {
            disk = disk.kill();
            backend = open(&disk);
            let found = version(&backend);
            assert!(found.is_none() || !carried && found == last, "{found:?}, not {last:?}");
        }
        clock.advance(PACE_HOLD);
        backend.now();
        clock.advance(Duration::from_secs(31));
        backend.sweep(Budget::ALL).wait().unwrap();
        assert!(backend.get(burnt).wait().unwrap().is_none(), "the first window is swept as well");
        let found = version(&backend);
        assert!(found.is_none() || killed && !carried && found == last, "{found:?}, not {last:?}");
        backend.close().unwrap();
        let backend = open(&disk);
        // As long as the log has the last version it is told as one that has expired.
        let found = version(&backend);
        assert!(found.is_none() || !carried && found == last, "{found:?}, not {last:?}");
        let verified = backend.verify(|_| {}).wait().unwrap();
        assert_eq!((verified.damages, verified.rows), (0, 0), "{verified:?}");
    }
}
