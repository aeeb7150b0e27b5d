use crate::explore::{Scenario, Tally, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, agrees, holds, key, refused};
use grantkeep::backend::{Backend as _, Outcome};
use grantkeep::{Error, ErrorKind, Wait as _};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

static MET: [(&str, AtomicU64); 4] = [
    ("commits before the close", AtomicU64::new(0)),
    ("commits refused", AtomicU64::new(0)),
    ("requests of the keeper done", AtomicU64::new(0)),
    ("requests of the keeper refused", AtomicU64::new(0)),
];

/// The store is closed under callers of every kind.
pub const CLOSE: Scenario = Scenario { name: "closing", start: Start::NearlyFull, play, met: &MET };

fn play(image: SimDisk) {
    let met: &Tally = &MET;
    let world = World::open(&image, |options| options);
    let writer = |number: u8| {
        let world = world.clone();
        thread::spawn(move || {
            for turn in 1..=3 {
                let told = world.put(&[(key(number), turn), (key(number + 10), turn)]);
                match told {
                    Ok(outcome) => assert_eq!(outcome, Outcome::Applied),
                    Err(error) => {
                        refused(&error);
                        meet(met, "commits refused");
                        return (turn - 1, error.kind() == ErrorKind::Unknown);
                    }
                }
                meet(met, "commits before the close");
            }
            (3, false)
        })
    };
    let writers = [(0, writer(0)), (1, writer(1))];
    let asking = {
        let world = world.clone();
        thread::spawn(move || {
            let told = |done: Result<(), Error>| {
                if let Err(error) = &done {
                    refused(error);
                }
                let name = if done.is_ok() { "done" } else { "refused" };
                meet(met, &format!("requests of the keeper {name}"));
            };
            told(world.store.checkpoint().wait());
            told(world.store.verify(|_| {}).wait().map(|found| assert_eq!(found.damages, 0)));
        })
    };
    let reading = {
        let world = world.clone();
        thread::spawn(move || {
            for number in 0..4 {
                match world.store.get(key(number)).wait() {
                    Ok(row) => assert!(row.is_some()),
                    Err(error) => refused(&error),
                }
            }
        })
    };
    world.store.close().unwrap();
    asking.join().unwrap();
    reading.join().unwrap();
    let told = writers.map(|(number, writer)| (number, writer.join().unwrap()));
    drop(world);
    reopen(&image, &told);
}

/// The store has what was acknowledged; what was refused is not there, unless nobody could know.
fn reopen(image: &SimDisk, told: &[(u8, (u64, bool))]) {
    holds(image, &told.iter().map(|(number, (turn, _))| (key(*number), *turn)).collect::<Vec<_>>());
    agrees(image, told.iter().copied());
}

// Goal: P1, P7, whoever is in a call when the store is closed is told, and the next open agrees
// with what they were told. Method: two writers, a checkpoint, a verification, and look-ups beside
// a close, from a store whose segment is nearly full, in schedules that a model checker chooses.
#[test]
fn a_close_leaves_no_caller_behind() {
    explore(CLOSE);
}
