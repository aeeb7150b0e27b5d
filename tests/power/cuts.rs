use super::CHILD;
use grantkeep_tests::file_system::FileSystem;
use grantkeep_tests::lives::{Lives, options};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::{fresh_seed, setting};
use std::fs;
use std::time::Duration;

const CUTS: u64 = 24;
const MIB: u64 = 256;
const THREADS: u64 = 4;
/// How long a process works at most before the cut.
const WORK_MS: u64 = 60;

/// What is written before a cut without a sync: the cut must lose it, or it cuts nothing.
struct Bait {
    laid: u64,
    lost: u64,
}

// Goal: P1, P2, P3, P7, P8 over power cuts of a real ext4. Method: a child works on a loop mount,
// with its ledger elsewhere; the file system is shut down without flushing its journal, in every
// fifth life while the child opens; it is unmounted, mounted again, and everything compared: by the
// next child, or here. A file that was never synced shows that the cut loses what it may lose.
#[test]
fn nothing_acknowledged_is_lost_to_a_power_cut() {
    let mut ext4 = match FileSystem::ext4(MIB) {
        Ok(ext4) => ext4,
        Err(why) => return println!("skipped because {why}"),
    };
    if let Err(why) = ext4.cut() {
        return println!("skipped because no ext4 can be shut down here ({why})");
    }
    ext4.unmount().unwrap();
    ext4.mount().unwrap();
    let (cuts, seed) = (setting("GRANTKEEP_CUTS", CUTS), fresh_seed("GRANTKEEP_POWER_SEED"));
    println!("seed {seed}");
    let mut random = Pseudorandom::new(seed);
    let notes = tempfile::tempdir().unwrap();
    let mut lives = Lives::new(CHILD, ext4.path().join("store"), notes.path().join("notes"));
    let (mut bait, mut early, mut by_itself) = (Bait { laid: 0, lost: 0 }, 0, 0);
    for cut in 0..cuts {
        let mut child = lives.next(&[], random.number() >> 1, THREADS, 0);
        if cut % 5 == 4 {
            std::thread::sleep(Duration::from_millis(random.below(60)));
        } else {
            assert_eq!(child.line().as_deref(), Some("open"), "see its message above");
            std::thread::sleep(Duration::from_micros(random.below(WORK_MS * 1_000)));
        }
        let unsynced = ext4.path().join(format!("bait-{cut}"));
        fs::write(&unsynced, [7; 4_096]).unwrap();
        ext4.cut().unwrap();
        if cut % 3 == 0 {
            // It notices by itself, and ends in order, or hits upon what it looked for in vain.
            let ended = child.wait();
            assert!(ended.success(), "cut {cut}: {ended}, see its message above");
            by_itself += 1;
        } else {
            child.kill();
        }
        ext4.unmount().unwrap();
        ext4.mount().unwrap();
        bait.laid += 1;
        bait.lost += u64::from(fs::read(&unsynced).map_or(true, |bytes| bytes != [7; 4_096]));
        let when = format!("after cut {cut}");
        early += u64::from(!lives.take_notes(&when));
        if cut % 4 == 3 || cut + 1 == cuts {
            lives.check_all(&when, options().create(true)).close().unwrap();
        }
    }
    let counts = &lives.audit.counts;
    println!(
        "power cuts {cuts} of a real ext4, {early} while the store opened, {by_itself} noticed by \
         the process itself, acknowledged operations {}, comparisons {}, lost 0, in flight {} \
         (happened {}), verified {}, checkpoints {}, errors told {:?}; of {} files without a sync \
         {} were lost",
        counts.acknowledged,
        counts.compared,
        counts.in_flight.0,
        counts.in_flight.1,
        counts.verified,
        counts.checkpoints,
        counts.errors,
        bait.laid,
        bait.lost,
    );
    assert!(counts.acknowledged >= cuts, "hardly anything was acknowledged");
    assert!(bait.lost > bait.laid / 2, "the cut loses nothing, so it shows nothing");
}
