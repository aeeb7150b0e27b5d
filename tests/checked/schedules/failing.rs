use crate::explore::{Scenario, Tally, explore, meet};
use crate::sim_disk::{Fault, SimDisk};
use crate::world::{Start, World, agrees, holds, key, refused};
use grantkeep::backend::Outcome;
use grantkeep::{ErrorKind, Wait as _};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

const WRITERS: u8 = 3;

static MET: [(&str, AtomicU64); 3] = [
    ("commits before the failure", AtomicU64::new(0)),
    ("commits of unknown outcome", AtomicU64::new(0)),
    ("commits refused", AtomicU64::new(0)),
];

/// The disk dies under several callers.
pub const FAIL: Scenario = Scenario { name: "failing", start: Start::NearlyFull, play, met: &MET };

fn play(image: SimDisk) {
    let met: &Tally = &MET;
    let world = World::open(&image, |options| options);
    let operations = thread_rng().gen_range(0..16);
    image.set_fault(Some(Fault::dead_from(operations)));
    let writer = |number: u8| {
        let world = world.clone();
        thread::spawn(move || {
            let mut cut = world.power_cut();
            for turn in 1..=2 {
                match world.put(&[(key(number), turn), (key(number + 10), turn)]) {
                    Ok(outcome) => assert_eq!(outcome, Outcome::Applied),
                    Err(error) => {
                        // For want of a segment that cannot be made it says what failed.
                        if error.kind() != ErrorKind::Io {
                            refused(&error);
                        }
                        let unknown = error.kind() == ErrorKind::Unknown;
                        let name = if unknown { "of unknown outcome" } else { "refused" };
                        meet(met, &format!("commits {name}"));
                        return (turn - 1, unknown, cut);
                    }
                }
                cut = world.power_cut();
                meet(met, "commits before the failure");
            }
            (2, false, cut)
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(|number| (number, writer(number))).collect();
    let carrier = {
        let world = world.clone();
        thread::spawn(move || {
            if let Err(error) = world.store.checkpoint().wait()
                && error.kind() != ErrorKind::Io
            {
                refused(&error);
            }
        })
    };
    carrier.join().unwrap();
    let told: Vec<_> =
        writers.into_iter().map(|(number, writer)| (number, writer.join().unwrap())).collect();
    // The last word on what happened is the disk's, after its end.
    let _ = world.store.close();
    let dead = world.power_cut();
    drop(world);
    for (number, (turn, _, cut)) in &told {
        holds(cut, &[(key(*number), *turn)]);
        holds(&dead, &[(key(*number), *turn)]);
    }
    agrees(&dead, told.iter().map(|(number, (turn, unknown, _))| (*number, (*turn, *unknown))));
}

// Goal: P1, P2, P8, when the disk dies each caller is told, and nobody is told of a success that
// was none. Method: three writers and a checkpoint on a disk that fails from some operation on, in
// schedules that a model checker chooses; a power cut after each acknowledgment and after the end.
#[test]
fn a_dying_disk_leaves_no_caller_behind() {
    explore(FAIL);
}
