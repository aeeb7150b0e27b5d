use super::CHILD;
use grantkeep_tests::failing_device::FailingDevice;
use grantkeep_tests::lives::{Lives, options};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::{fresh_seed, setting};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: u64 = 10;
const MIB: u64 = 128;
const THREADS: u64 = 3;
const WORK_MS: u64 = 40;
/// What the process after the failure does on each thread.
const OPERATIONS: u64 = 20;
/// After this long without an effect the next write is made to fail.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether the machine has the trap: a sync that fails is followed by one that succeeds, and by
/// reads of bytes that the device does not have.
fn trap_is_there(device: &mut FailingDevice) -> bool {
    let path = device.file_system.path().join("trap");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.write_all_at(&[b'a'; 8_192], 0).unwrap();
    file.sync_all().unwrap();
    device.fail_next_write().unwrap();
    file.write_all_at(&[b'b'; 4_096], 0).unwrap();
    let syncs = [file.sync_data().is_ok(), file.sync_data().is_ok()];
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).unwrap();
    device.heal().unwrap();
    drop(file);
    device.file_system.unmount().unwrap();
    device.file_system.mount().unwrap();
    let on_device = std::fs::read(&path).unwrap()[0];
    println!(
        "the first sync failed: {}, the next one too: {}; read afterwards {:?}, from the \
         device {:?}",
        !syncs[0],
        !syncs[1],
        char::from(byte[0]),
        char::from(on_device),
    );
    syncs == [false, true] && byte[0] == b'b' && on_device == b'a'
}

// Goal: P1, P2, P3, P7, P8 where the device fails once and the page cache goes on as if it had not.
// Method: a child works on an ext4 whose device fails one write; it must stop acknowledging, with a
// typed error. The device is well again; a new process opens the store on the same mount, tells
// what it sees, and is killed, or works on and closes; then the file system is mounted anew, and
// everything acknowledged or seen must be there.
#[test]
fn what_a_failed_sync_left_cached_is_not_believed() {
    let mut device = match FailingDevice::new(MIB) {
        Ok(device) => device,
        Err(why) => return println!("skipped because {why}"),
    };
    assert!(trap_is_there(&mut device), "this machine forgets nothing: there is nothing to show");
    let (rounds, seed) = (setting("GRANTKEEP_TRAPS", ROUNDS), fresh_seed("GRANTKEEP_POWER_SEED"));
    println!("seed {seed}");
    let mut random = Pseudorandom::new(seed);
    let notes = tempfile::tempdir().unwrap();
    let store = device.file_system.path().join("store");
    let mut lives = Lives::new(CHILD, store, notes.path().join("notes"));
    // A device without faults is an honest one.
    assert!(lives.next(&[], seed >> 1, THREADS, OPERATIONS).wait().success());
    lives.take_notes("before any fault");
    device.file_system.unmount().unwrap();
    device.file_system.mount().unwrap();
    lives.check_all("before any fault", options()).close().unwrap();
    let (mut failures, mut same_mount, mut unknown) = (0, 0, 0);
    for round in 0..rounds {
        let mut child = lives.next(&[], random.number() >> 1, THREADS, 0);
        assert_eq!(child.line().as_deref(), Some("open"), "see its message above");
        std::thread::sleep(Duration::from_micros(random.below(WORK_MS * 1_000)));
        while child.runs() {
            device.fail_next_write().unwrap();
            failures += 1;
            let armed = Instant::now();
            while child.runs() && armed.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }
        let when = format!("in round {round}");
        assert!(child.wait().success(), "{when}, see its message above");
        device.heal().unwrap();
        assert!(lives.take_notes(&when));
        let told = std::mem::take(&mut lives.audit.counts.errors);
        assert!(!told.is_empty(), "{when}: the process ended without an error");
        unknown += told.get("Unknown").copied().unwrap_or_default();

        // The same mount, unless the failure hit the journal, which makes ext4 read-only.
        if read_only(&device.file_system.path()) {
            device.file_system.unmount().unwrap();
            device.file_system.mount().unwrap();
        } else {
            same_mount += 1;
        }
        // One that is killed as soon as it has looked writes nothing of what it saw anew; one that
        // works, carries, and closes builds upon it.
        let looks = round % 2 == 0;
        let operations = if looks { 0 } else { OPERATIONS };
        let mut next = lives.next(&[], random.number() >> 1, THREADS, operations);
        assert_eq!(next.line().as_deref(), Some("open"), "{when}, see its message above");
        if looks {
            next.kill();
        }
        assert!(next.wait().success() || looks, "{when}, see its message above");
        let when = format!("after round {round}");
        assert!(lives.take_notes(&when));
        assert!(lives.audit.counts.errors.is_empty(), "{when}: {:?}", lives.audit.counts.errors);
        device.file_system.unmount().unwrap();
        device.file_system.mount().unwrap();
        lives.check_all(&when, options()).close().unwrap();
    }
    let counts = &lives.audit.counts;
    println!(
        "{failures} failed writes of a real device in {rounds} rounds, {same_mount} opened again \
         on the same mount, acknowledged operations {}, refused {}, told unknown {unknown}, \
         outcome open {} (happened {}), comparisons {}, lost 0",
        counts.acknowledged,
        counts.refused,
        counts.in_flight.0,
        counts.in_flight.1,
        counts.compared,
    );
    assert!(same_mount > 0, "each failure hit the journal: nothing was shown");
    assert!(unknown > 0, "no commit was in the way of a failure");
}

fn read_only(path: &Path) -> bool {
    std::fs::write(path.join("probe"), "").is_err()
}
