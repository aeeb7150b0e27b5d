use futures_util::future::{Either, select};
use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Terms};
use grantkeep::{Embedded, ErrorKind, Result, Wait as _};
use grantkeep_tests::pressure::strained::{Strain, Strained};
use grantkeep_tests::process::DEADLINE;
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);

fn key(number: u64) -> Key {
    samples::key(Kind::write_once(200), number)
}

fn commit(engine: &Embedded, build: impl FnOnce(&mut Batch)) -> Result<()> {
    let mut batch = Batch::new()?;
    build(&mut batch);
    engine.commit(batch).wait().map(drop)
}

/// Issues rows until that is refused, and revokes them until that is; answers how many are left.
fn fill_and_revoke(engine: &Embedded, strain: &Strain) -> u64 {
    let row = || {
        let expires_at = engine.now().saturating_add(HOUR);
        NewRow { value: vec![7; 500], expires_at, terms: Terms::NONE }
    };
    let all = (0..).take_while(|number| {
        let insert = |batch: &mut Batch| {
            batch.insert(key(*number), row());
        };
        commit(engine, insert).is_ok()
    });
    let all = all.count() as u64;
    strain.resize(strain.used_bytes());
    let refused = (0..all).find_map(|number| {
        let version = engine.get(key(number)).wait().unwrap().unwrap().version();
        let delete = |batch: &mut Batch| {
            batch.delete(key(number), version);
        };
        Some((number, commit(engine, delete).err()?))
    });
    let (number, error) = refused.expect("revoking filled the log");
    assert_eq!(error.kind(), ErrorKind::Full);
    all - number
}

/// The answer to a request; panics with one that is never answered.
fn answered<T>(what: &str, request: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let late = pin!(std::future::poll_fn(|context| {
        if begun.elapsed() > DEADLINE / 2 {
            return std::task::Poll::Ready(());
        }
        std::thread::sleep(Duration::from_millis(1));
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    }));
    match select(pin!(request), late).wait() {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => panic!("{what} is never answered"),
    }
}

// Goal: what the keeper is asked for is answered on a full disk, and sweeping goes on there.
// Carrying that failed for want of room kept everything else from its turn, so `sweep` and
// `checkpoint` were never answered, and no window was cut. Method: fill a disk, take the last
// block, revoke until the log is full, and ask.
#[test]
fn requests_are_answered_on_a_full_disk() {
    let (clock, strain) = (manual_clock(), Strain::with_room(8 << 20, false));
    let disk = Strained::over(Arc::new(SimDisk::new()), &strain);
    let keys = grantkeep::KeySource::Given(grantkeep::Keyring::generate().unwrap());
    let options = options(&clock).disk(disk).keys(keys);
    let (engine, _) = options.open_backend(Path::new("/store")).unwrap();
    assert!(fill_and_revoke(&engine, &strain) > 0);
    let carried = answered("a checkpoint", engine.checkpoint());
    assert_eq!(carried.unwrap_err().kind(), ErrorKind::Full);
    clock.advance(2 * HOUR);
    let swept = answered("a sweep", engine.sweep(Budget::ALL));
    match swept {
        Ok(swept) => assert!(swept.rows > 0, "{swept:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Full),
    }
    strain.resize(64 << 20);
    engine.close().unwrap();
}
