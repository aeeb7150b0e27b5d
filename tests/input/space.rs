use super::{HOUR, found, issue, refused};
use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{
    Code, CodeState, Digest, Embedded, Error, ErrorKind, Family, FamilyState, ManualClock, Options,
    Owner, Payload, Result, RevocationReason, Store, Timestamp, Token, Wait as _,
};
use grantkeep_tests::small_disk::SmallDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

const MIB: u64 = 1 << 20;

fn small(clock: &Arc<ManualClock>) -> Options {
    options(clock).reserve_bytes(2 * MIB)
}

/// Issues tokens of 4 KiB until the disk is full; answers how many there are, and the error.
fn fill(store: &Store, from: usize) -> (usize, Error) {
    for number in from..20_000 {
        if let Err(error) = put(store, number) {
            return (number, error);
        }
    }
    panic!("the disk never filled");
}

fn put(store: &Store, number: usize) -> Result<Outcome> {
    let name = format!("filling-{number}");
    let payload = Some(Payload::Plain(vec![7; 4_096]));
    let token = Token { payload, ..samples::token(&name, "alice") };
    let mut change = store.change()?;
    // Every fourth dies soon, so that there is something to sweep.
    let lifetime = if number.is_multiple_of(4) { HOUR / 60 } else { 24 * HOUR };
    change.insert(samples::id(&name), &token, store.now().saturating_add(lifetime))?;
    store.commit(change).wait()
}

fn filled(store: &Store, count: usize) -> usize {
    let there = |number: &usize| {
        let id = samples::id(&format!("filling-{number}"));
        store.get::<Token>(id).wait().unwrap().is_some()
    };
    (0..count).filter(there).count()
}

/// Everything that takes something away, which a full disk must not refuse.
fn revoke_and_sweep(store: &Store, clock: &ManualClock) {
    let at = Timestamp::from_millis(1);
    for number in 0..50 {
        let family =
            store.get::<Family>(samples::id(&format!("family-{number}"))).wait().unwrap().unwrap();
        let state = FamilyState::Revoked { at, reason: RevocationReason::Requested };
        let mut change = store.change().unwrap();
        let revoked = Family { state, ..family.record.clone() };
        change.replace(&family, &revoked, family.expires_at).unwrap();
        assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
    }
    let code = store.get::<Code>(samples::id("code-0")).wait().unwrap().unwrap();
    let mut change = store.change().unwrap();
    let state = CodeState::Spent { at, family: None };
    change.replace(&code, &Code { state, ..code.record.clone() }, code.expires_at).unwrap();
    assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
    store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
    clock.advance(HOUR / 30);
    assert!(store.sweep(Budget::ALL).wait().unwrap().rows > 0);
}

/// Fills a disk, revokes and sweeps on it, and goes on once `make_room` has made some; answers how
/// many tokens there are.
fn fill_and_go_on(
    path: &Path,
    open: impl Fn() -> Options,
    clock: &ManualClock,
    make_room: impl Fn(),
) {
    let store = open().open(path).unwrap();
    issue(&store, &["code-0".to_owned(), "code-1".to_owned()]);
    for number in 0..50 {
        let name = format!("family-{number}");
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(&name), &samples::family(&name, "alice"), until).unwrap();
        store.commit(change).wait().unwrap();
    }
    let words = ["disk under", "is full", "free some space"];
    let (count, error) = fill(&store, 0);
    refused(Err::<(), _>(error), ErrorKind::Full, &words);
    assert_eq!(filled(&store, count), count, "acknowledged before the disk was full");
    revoke_and_sweep(&store, clock);
    // What the reserve and the sweep have left may be used; then it is full again.
    let (count, error) = fill(&store, count);
    refused(Err::<(), _>(error), ErrorKind::Full, &words);
    store.begin_epoch(Owner::Client("client-1")).wait().unwrap();

    make_room();
    let started = Instant::now();
    while store.stats().full {
        assert!(started.elapsed() < 100 * HOUR / 3_600, "the room was not noticed");
        std::thread::yield_now();
    }
    for number in count..count + 100 {
        put(&store, number).unwrap();
    }
    let short_lived = (0..count).filter(|number| number.is_multiple_of(4)).count();
    assert!(filled(&store, count) >= count - short_lived);
    store.close().unwrap();

    let store = open().open(path).unwrap();
    assert!(filled(&store, count + 100) >= count + 100 - short_lived);
    assert_eq!(found(&store, &["code-1".to_owned()]), 1);
    let code = store.get::<Code>(samples::id("code-0")).wait().unwrap().unwrap();
    assert!(matches!(code.record.state, CodeState::Spent { .. }));
    for number in 0..50 {
        let id = samples::id(&format!("family-{number}"));
        let family = store.get::<Family>(id).wait().unwrap().unwrap();
        assert_ne!(family.record.state, FamilyState::Active);
    }
    println!("full after {count} tokens of 4 KiB");
}

// Goal: P1, P2, a full disk stops issuing and nothing else, loses nothing, and is left behind
// without an open. Method: disks of several sizes, full at different moments of log and table.
#[test]
fn full_disk() {
    for mib in [7, 8, 11, 16] {
        let dir = tempfile::tempdir().unwrap();
        let (clock, disk) = (manual_clock(), SmallDisk::new(mib * MIB));
        let open = || small(&clock).disk(disk.clone());
        fill_and_go_on(&dir.path().join("store"), open, &clock, || disk.resize(64 * MIB));
        assert!(disk.refused() > 0 && disk.used_bytes() < 64 * MIB);
    }
}

/// Deletes rows, as revocations do, until one is refused; answers how many.
fn delete_all(engine: &Embedded, rows: u64) -> u64 {
    for number in 0..rows {
        let Some(row) = engine.get(filling(number)).wait().unwrap() else { continue };
        let mut batch = Batch::new().unwrap();
        let value = vec![8; 1_024];
        let (expires_at, terms) = (row.expires_at(), Terms::NONE);
        batch.replace(filling(number), row.version(), NewRow { value, expires_at, terms });
        if let Err(error) = engine.commit(batch).wait() {
            refused(Err::<(), _>(error), ErrorKind::Full, &["is full"]);
            return number;
        }
    }
    rows
}

fn filling(number: u64) -> Key {
    let mut id = [1; 32];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Key::new(Kind::write_once(100), Digest::from_bytes(id))
}

// Goal: P2, P6, a full disk has room for a thousand single rows of 1 KiB for each MiB of the
// reserve, and then for a thousand subjects and clients, also after a crash; what there is no room
// for is refused, and nothing hangs or ends the store. Method: disks of several sizes and reserves,
// filled by one log or another; revoke until refused, revoke owners; crash, open, revoke owners.
#[test]
fn the_reserve_is_good_for_what_it_says() {
    for (disk_mib, reserve_mib, log_mib) in [(24, 2, 2), (32, 4, 64), (40, 8, 16)] {
        let what = format!("a disk of {disk_mib} MiB, reserve {reserve_mib}, log {log_mib}");
        let dir = tempfile::tempdir().unwrap();
        let (clock, disk) = (manual_clock(), SmallDisk::new(disk_mib * MIB));
        let choices = || {
            let choices = options(&clock).reserve_bytes(reserve_mib * MIB).by_itself(true);
            choices.log_budget_bytes(log_mib * MIB).disk(disk.clone())
        };
        let path = dir.path().join("store");
        let store = choices().open(&path).unwrap();
        let mut rows = 0;
        let error = loop {
            let mut batch = Batch::new().unwrap();
            for number in rows..rows + 20 {
                let expires_at = store.now().saturating_add(24 * HOUR);
                let value = vec![7; 1_024];
                batch.insert(filling(number), NewRow { value, expires_at, terms: Terms::NONE });
            }
            match store.backend().commit(batch).wait() {
                Ok(_) => rows += 20,
                Err(error) => break error,
            }
        };
        refused(Err::<(), _>(error), ErrorKind::Full, &["is full"]);
        let revoked = delete_all(store.backend(), rows);
        let least = (1_000 * reserve_mib).min(rows);
        assert!(revoked >= least, "{what}: {revoked} of {rows} rows, {least} are promised");
        let owners = |store: &Store, from: usize| {
            for number in from..from + 500 {
                let name = format!("owner-{number}");
                let owner = match number % 2 {
                    0 => Owner::Subject(&name),
                    _ => Owner::Client(&name),
                };
                store.begin_epoch(owner).wait().unwrap_or_else(|error| {
                    panic!("{what}: owner {number}: {error}, {}", store.health())
                });
            }
        };
        owners(&store, 0);
        println!("{what}: {rows} rows of 1 KiB, {revoked} revoked, 1,000 owners as well");
        drop(store);
        let store = choices().open(&path).unwrap();
        owners(&store, 500);
        disk.resize(256 * MIB);
        let started = Instant::now();
        while store.health().word() != "open" {
            assert!(started.elapsed() < HOUR / 60, "{what}: {}", store.health());
            std::thread::yield_now();
        }
        assert_eq!(store.verify(|_| {}).wait().unwrap().damages, 0, "{what}");
        store.close().unwrap();
    }
}

/// A file system in memory, unmounted when dropped.
struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

// Goal: the same on a real file system. Method: a tmpfs of 8 MiB, remounted larger; skipped where
// this user may not mount.
#[test]
fn full_file_system() {
    let mounted = Mounted(tempfile::tempdir().unwrap());
    let path = mounted.0.path();
    let mount = |arguments: [&str; 4]| {
        let done = Command::new("mount").args(arguments).arg(path).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !mount(["-t", "tmpfs", "-osize=8m", "grantkeep"]) {
        println!("skipped because this user may not mount a tmpfs");
        return;
    }
    let clock = manual_clock();
    let larger = || assert!(mount(["-t", "tmpfs", "-oremount,size=64m", "grantkeep"]));
    fill_and_go_on(&path.join("store"), || small(&clock), &clock, larger);
}
