//! Checks of one promise each, small enough to be held against builds that are broken on purpose.
//! Each panics where its promise is broken.

use crate::manual_clock;
use crate::pieces::Pieces;
use crate::script::{Crashes, DISK_BYTES_MAX, Op, Step, World, look, open, probe};
use crate::sim_disk::{Lies, SimDisk};
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms, conformance};
use grantkeep::{
    Burned, Digest, Disk as _, Embedded, KeySource, Keyring, ManualClock, OpenMode, Timestamp,
    Wait as _,
};
use std::future::Future as _;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How long a write takes: long enough for an answer that does not wait for it to overtake it.
const WRITE_TAKES: Duration = Duration::from_micros(500);

/// P1, P2, P8: power cuts at every operation of some scripts, on a device that may lie.
///
/// # Panics
/// Where what is left is not what was acknowledged.
pub fn power_cuts(lies: Lies) {
    let base = World::furnished();
    base.disk.set_lies(lies);
    base.disk.set_pace(WRITE_TAKES);
    let names = ["issue", "revoke a family", "rotate the keyring", "checkpoint", "recycle"];
    let crashes = Crashes { at_each: 4, in_recovery: 0, recoveries_one_in: 1, seed: 1 };
    for step in Step::ALL.iter().filter(|step| names.contains(&step.name)) {
        crashes.check(&base, &[*step]);
    }
}

/// P3, P6: what is over is over, on a store that is asked as long as it runs.
///
/// # Panics
/// Where something that is over is accepted.
pub fn what_is_over_stays_over() {
    let mut world = World::furnished();
    world.play(&[Op::Rotate, Op::Rotate, Op::RevokeFamily, Op::RevokeSubject, Op::RevokeToken]);
    let facts = world.facts().clone();
    let opened = open(&world.disk.kill(), facts.now_ms).unwrap();
    let (found, due) = (look(&opened.grants, &facts).unwrap(), facts.lines(&facts));
    assert_eq!(found, due, "what is over, and what is not");
    probe(&opened, &facts, "a store that is asked");
}

/// P3: a value that was burnt, and swept once its time had come, is not burnt for the first time
/// again where the clock is set back before the next open.
///
/// # Panics
/// Where it is.
pub fn swept_values_stay_burnt() {
    let mut world = World::furnished();
    let before = world.facts().clone();
    world.play(&[Op::Checkpoint, Op::Pass(7_201), Op::Sweep]);
    let set_back = open(&world.disk.kill(), before.now_ms).unwrap();
    for (value, until_ms) in &before.burnt {
        let until = Timestamp::from_millis(*until_ms);
        let answer = set_back.grants.store().burn("jti", value.as_bytes(), until).wait().unwrap();
        assert_ne!(answer, Burned::First, "{value} counts twice");
    }
}

/// P2, P4, P7: a flipped bit in what a row says is noticed by whoever reads it.
///
/// # Panics
/// Where a damaged row is answered.
pub fn damaged_rows_are_refused() {
    let mut world = World::furnished();
    world.play(&[Op::Checkpoint, Op::Issue, Op::Authorize, Op::Redeem]);
    world.close();
    let facts = world.facts().clone();
    let mut damaged = 0;
    for path in ["/store/table.redb", "/store/log/000000000001.seg", "/store/log/000000000002.seg"]
    {
        let Some(bytes) = world.disk.content(Path::new(path)) else { continue };
        let mentions = |at: &usize| bytes[*at..].starts_with(b"client-");
        for at in (0..bytes.len()).filter(mentions) {
            let disk = world.disk.kill();
            let file = disk.open(Path::new(path), OpenMode::Existing).unwrap();
            file.write_at(&[bytes[at + 7] ^ 1], at as u64 + 7).unwrap();
            let Ok(opened) = open(&disk, facts.now_ms) else { continue };
            if let Ok(lines) = look(&opened.grants, &facts) {
                assert_eq!(lines, facts.lines(&facts), "byte {at} of {path}");
            }
            damaged += 1;
        }
    }
    assert!(damaged > 10, "{damaged} rows were damaged");
}

/// P9: no piece of what was issued is in any file.
///
/// # Panics
/// Where one is.
pub fn no_token_is_on_disk() {
    let mut world = World::furnished();
    world.play(&[Op::Checkpoint, Op::Issue, Op::Authorize, Op::Redeem, Op::Rotate]);
    let mut pieces = Pieces::default();
    world.disk.contents().iter().for_each(|bytes| pieces.add(bytes));
    assert_eq!(pieces.found(world.facts().secrets()), 0, "pieces of tokens are on disk");
}

/// P10: what has died leaves the disk, however often.
///
/// # Panics
/// Where the disk grows with what was ever issued.
pub fn churn_leaves_nothing() {
    let mut world = World::furnished();
    for round in 0..60 {
        world.play(&[Op::Fill; 12]);
        world.play(&[Op::Checkpoint, Op::Pass(7_201), Op::Sweep]);
        let bytes = world.disk.bytes();
        assert!(bytes < DISK_BYTES_MAX, "{bytes} bytes on disk after {} rounds", round + 1);
    }
}

/// P3, and what else any backend promises, on the embedded engine.
///
/// # Panics
/// With the checks that failed.
pub fn conforms() {
    let report = conformance::run(|clock| open_raw(&SimDisk::new(), &clock));
    assert!(report.is_clean(), "{report}");
}

/// Rows of a lost group.
const GROUP: u8 = 6;
/// Bytes of a row in it.
const ROW_BYTES: usize = 16_000;

/// P4, P8: commits that a power cut took away stay away, also once their file is used again and new
/// frames end where theirs began.
///
/// # Panics
/// Where one of them is there.
pub fn lost_commits_stay_lost() {
    let mut revivable = 0;
    for attempt in 0..40 {
        let disk = SimDisk::new();
        let first = open_raw(&disk, &manual_clock());
        // To the end of the first segment, so that the group begins the second.
        (0..12).for_each(|number| commit(&first, key(100 + number), 19_900));
        await_spare(&disk);
        disk.record();
        let stalled = disk.stall();
        let context = &mut Context::from_waker(Waker::noop());
        // While the log waits for the disk with this one, the others gather.
        let mut pending = vec![Box::pin(first.commit(batch(&first, key(99), 100)))];
        assert!(pending[0].as_mut().poll(context).is_pending());
        std::thread::sleep(Duration::from_millis(5));
        for number in 0..GROUP {
            pending.push(Box::pin(first.commit(batch(&first, key(number), ROW_BYTES))));
            assert!(pending[usize::from(number) + 1].as_mut().poll(context).is_pending());
        }
        drop(stalled);
        for commit in pending {
            assert_eq!(commit.wait().unwrap(), Outcome::Applied);
        }
        // Before the sync of the group: all of it is written, and none of it durable.
        let group = disk.recorded().into_iter().find(|at| {
            let written = held(&at.disk).len() == usize::from(GROUP);
            written && (0..20).any(|seed| held(&at.disk.crash(seed)).is_empty())
        });
        let Some(group) = group else { continue };
        for seed in 0..40 {
            let image = group.disk.crash(attempt * 1_000 + seed);
            revivable += u64::from(second_life(&image));
        }
        if revivable > 0 {
            return;
        }
    }
    panic!("no group began a segment");
}

/// Waits until a second segment is there: the store makes it in the background.
fn await_spare(disk: &SimDisk) {
    for _ in 0..2_000 {
        let names = disk.list(Path::new("/store/log")).unwrap();
        if names.iter().filter(|name| name.ends_with(".seg")).count() > 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no spare segment was made");
}

/// Lets a crashed store go on, and looks for what was lost; true if there was something to revive.
fn second_life(image: &SimDisk) -> bool {
    let store = open_raw(image, &manual_clock());
    let mut expected = rows_of(&store);
    let lost = expected.is_empty();
    for number in 50..50 + GROUP {
        commit(&store, key(number), ROW_BYTES);
        expected.push(number);
        let found = held(&image.kill());
        assert_eq!(found, expected, "after {} new commits", number - 49);
    }
    lost
}

fn open_raw(disk: &SimDisk, clock: &Arc<ManualClock>) -> Embedded {
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    let options = crate::options(clock).disk(Arc::new(disk.clone())).keys(keys);
    options.open_backend(Path::new("/store")).unwrap().0
}

fn key(number: u8) -> Key {
    Key::new(Kind::write_once(100), Digest::from_bytes([number; 32]))
}

fn batch(store: &Embedded, key: Key, bytes: usize) -> Batch {
    let mut batch = Batch::new().unwrap();
    let expires_at = store.now().saturating_add(Duration::from_secs(3_600));
    batch.insert(key, NewRow { value: vec![1; bytes], expires_at, terms: Terms::NONE });
    batch
}

fn commit(store: &Embedded, key: Key, bytes: usize) {
    let outcome = store.commit(batch(store, key, bytes)).wait().unwrap();
    assert_eq!(outcome, Outcome::Applied);
}

/// The numbers below 99 whose rows a disk holds.
fn held(disk: &SimDisk) -> Vec<u8> {
    rows_of(&open_raw(&disk.kill(), &manual_clock()))
}

fn rows_of(store: &Embedded) -> Vec<u8> {
    (0..99).filter(|number| store.get(key(*number)).wait().unwrap().is_some()).collect()
}
