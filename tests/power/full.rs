use super::CHILD;
use grantkeep_tests::file_system::FileSystem;
use grantkeep_tests::ledger;
use grantkeep_tests::lives::{Lives, options};
use grantkeep_tests::process::{DEADLINE, Process};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::{fresh_seed, setting};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

const ROUNDS: u64 = 4;
const MIB: u64 = 48;
const THREADS: u64 = 4;
/// What must be seen on the full disk before it has room again, and afterwards.
const REFUSED: usize = 20;
const REVOKED: usize = 4;
const ISSUED: usize = 20;

/// Takes every block but about `left_bytes`, as another program would. It stops where the store
/// gives its reserve up meanwhile: what another program takes of that, no store can write.
fn fill(path: &Path, store: &Path, left_bytes: u64) {
    let mut file = File::create(path).unwrap();
    let reserve = store.join("reserve");
    for bytes in [1 << 20, 64 << 10, 4 << 10] {
        let block = vec![9; bytes];
        // Blocks are taken for good once they are synced.
        while reserve.exists() && file.write_all(&block).and_then(|()| file.sync_data()).is_ok() {}
    }
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(left_bytes)).unwrap();
    file.sync_all().unwrap();
}

/// What the ledger has since `from`: issues acknowledged, revocations acknowledged, refusals.
fn since(text: &str, from: usize) -> (usize, usize, usize) {
    let noted = ledger::read_from(text, from);
    let with = |states: &[&str]| {
        let any = |(_, state): &(String, String)| states.iter().any(|word| state.contains(word));
        noted.acknowledged.iter().filter(|effects| effects.iter().any(any)).count()
    };
    (with(&["fresh@", "1active@"]), with(&["revoked@", "Epoch"]), noted.refused.len())
}

/// Waits until the process has noted enough since `from`.
fn wait_for(
    lives: &Lives,
    child: &mut Process,
    from: usize,
    what: &str,
    enough: impl Fn((usize, usize, usize)) -> bool,
) {
    let started = Instant::now();
    while !enough(since(&lives.ledger(), from)) {
        let seen = since(&lives.ledger(), from);
        if !child.runs() {
            panic!("{what}: the child ended, {}; see its message above", child.wait());
        }
        assert!(started.elapsed() < DEADLINE, "{what}: waited in vain, {seen:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A sixth of the file system.
const RESERVE_BYTES: u64 = 8 << 20;

/// Fills a file system under load and frees it again, several times.
fn fill_and_free(file_system: &FileSystem, what: &str) {
    let (rounds, seed) = (setting("GRANTKEEP_FILLS", ROUNDS), fresh_seed("GRANTKEEP_POWER_SEED"));
    println!("seed {seed}");
    let mut random = Pseudorandom::new(seed);
    let notes = tempfile::tempdir().unwrap();
    let mut lives = Lives::new(CHILD, file_system.path().join("store"), notes.path().join("notes"));
    // What is revoked while the disk is full is written to the table, some of it twice.
    lives.reserve_bytes = RESERVE_BYTES;
    let options = || options().reserve_bytes(RESERVE_BYTES);
    let filler = file_system.path().join("filler");
    let fill = |left_bytes| fill(&filler, &file_system.path().join("store"), left_bytes);
    let mut child = lives.next(&[], random.number() >> 1, THREADS, 0);
    assert_eq!(child.line().as_deref(), Some("open"), "see its message above");
    for round in 0..rounds {
        let when = |moment: &str| format!("{what}, round {round}, {moment}");
        wait_for(&lives, &mut child, lives.ledger().len(), &when("with room"), |(issued, ..)| {
            issued >= ISSUED
        });
        // To the last block, or so that the store itself takes the last one.
        fill((round % 3) << 20);
        let from = lives.ledger().len();
        wait_for(&lives, &mut child, from, &when("full"), |(_, revoked, refused)| {
            refused >= REFUSED && revoked >= REVOKED
        });
        std::fs::remove_file(&filler).unwrap();
        let from = lives.ledger().len();
        wait_for(&lives, &mut child, from, &when("free again"), |(issued, ..)| issued >= ISSUED);
        if round % 2 == 1 {
            // The crash of a process that was full meanwhile.
            child.kill();
            let when = when("after a kill");
            lives.take_notes(&when);
            lives.check_all(&when, options()).close().unwrap();
            child = lives.next(&[], random.number() >> 1, THREADS, 0);
            assert_eq!(child.line().as_deref(), Some("open"), "{when}, see its message above");
        }
    }
    // A kill on the full disk, and an open on it.
    fill(0);
    let from = lives.ledger().len();
    wait_for(
        &lives,
        &mut child,
        from,
        &format!("{what}, full at last"),
        |(_, revoked, refused)| refused >= REFUSED && revoked >= REVOKED,
    );
    child.kill();
    lives.take_notes(what);
    lives.check_all(&format!("{what}, opened while full"), options()).close().unwrap();
    std::fs::remove_file(&filler).unwrap();
    lives.check_all(&format!("{what}, opened with room"), options()).close().unwrap();
    let counts = &lives.audit.counts;
    let kinds: Vec<&String> = counts.errors.keys().collect();
    assert_eq!(kinds, ["Full"], "a full disk is told as such, and as nothing else");
    println!(
        "{what} of {MIB} MiB filled and freed {} times under load: acknowledged {}, refused as \
         full {}, in flight {} (happened {}), comparisons {}, verified {}, swept rows {}, lost 0",
        rounds + 1,
        counts.acknowledged,
        counts.refused,
        counts.in_flight.0,
        counts.in_flight.1,
        counts.compared,
        counts.verified,
        counts.swept,
    );
}

// Goal: P1, P2, P7, P8 on a disk that is filled to the last block under load: issuing is refused as
// full, never as unknown; revoking and sweeping go on; with room, issuing goes on by itself, and
// nothing acknowledged is lost. Method: a child works from four threads on a small tmpfs; another
// file takes the rest of it, and goes, again and again; kills in between; the ledger is compared.
#[test]
fn a_tmpfs_filled_under_load() {
    match FileSystem::tmpfs(MIB) {
        Ok(file_system) => fill_and_free(&file_system, "a tmpfs"),
        Err(why) => println!("skipped because {why}"),
    }
}

// Goal: P1, P2, P7, P8 as on the tmpfs, on an ext4, which takes blocks when they are written.
// Method: the same on a loop mount.
#[test]
fn an_ext4_filled_under_load() {
    match FileSystem::ext4(MIB) {
        Ok(file_system) => fill_and_free(&file_system, "an ext4"),
        Err(why) => println!("skipped because {why}"),
    }
}
