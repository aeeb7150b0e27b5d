//! Rounds of pressure, in a process whose descriptors may be taken away.

use grantkeep::{Disk, OsDisk};
use grantkeep_tests::pressure::round::{Outcome, Plan, play};
use grantkeep_tests::pressure::strained::{Strain, Strained};
use grantkeep_tests::pressure::straits::Ground;
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::sim_disk::SimDisk;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// How long a round lasts, without its beginning and its end.
const ROUND: Duration = Duration::from_secs(6);
/// What a round may be given: room, a budget of the log, which may be more than that, and a
/// reserve.
const ROOM_MIB: [u64; 4] = [16, 32, 64, 128];
const BUDGET_MIB: [u64; 4] = [2, 4, 16, 256];
const RESERVE_BYTES: [u64; 4] = [0, MIB, 4 * MIB, 8 * MIB];

/// Plays rounds for about so long: in memory without a place, else on the small file system there.
pub fn play_rounds(place: Option<(&Path, u64)>, lasts: Duration, seed: u64) {
    let begun = Instant::now();
    let mut random = Pseudorandom::new(seed);
    let mut outcome = Outcome::default();
    let mut played = 0;
    while outcome.rounds == 0 || begun.elapsed() + ROUND < lasts {
        let mut draw = |of: [u64; 4]| of[usize::try_from(random.below(4)).unwrap()];
        let (room, budget) = (MIB * draw(ROOM_MIB), MIB * draw(BUDGET_MIB));
        // Half of the room at most.
        let reserve_bytes = draw(RESERVE_BYTES).min(room / 2);
        let round = played;
        played += 1;
        println!("round {round}: room {room}, log {budget}, reserve {reserve_bytes}");
        let (disk, strain, ground, top) = match place {
            None => {
                let strain = Strain::with_room(room, random.below(2) == 0);
                let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
                (disk, strain, Ground::Memory { bytes: room }, PathBuf::from("/"))
            }
            Some((place, mib)) => {
                let ballast = place.join("ballast");
                let bytes = (mib * MIB).saturating_sub(room);
                let mut file = File::create(&ballast).unwrap();
                (0..bytes / MIB).for_each(|_| file.write_all(&vec![9; 1 << 20]).unwrap());
                let bytes = file.metadata().unwrap().len();
                (
                    Arc::new(OsDisk) as Arc<dyn Disk>,
                    Strain::new(),
                    Ground::FileSystem { ballast, bytes },
                    place.to_path_buf(),
                )
            }
        };
        let store = top.join(format!("store-{round}"));
        let copies = top.join(format!("copies-{round}"));
        let disk: Arc<dyn Disk> = Strained::over(disk, &strain);
        disk.create_dir(&copies).unwrap();
        let plan = Plan {
            disk,
            strain,
            ground,
            dirs: (store.clone(), copies.clone()),
            log_budget_bytes: budget,
            reserve_bytes,
            lasts: ROUND,
            seed: random.number(),
        };
        play(&plan, &mut outcome);
        if place.is_some() {
            std::fs::remove_dir_all(store).unwrap();
            std::fs::remove_dir_all(copies).unwrap();
        }
    }
    println!("{}", outcome.line(if place.is_some() { "a tmpfs" } else { "in memory" }));
}
