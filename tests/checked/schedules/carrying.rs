use crate::explore::{Scenario, Tally, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, holds, key};
use grantkeep::Wait as _;
use grantkeep::backend::{Backend as _, Outcome};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

const TURNS: u64 = 4;

static MET: [(&str, AtomicU64); 1] = [("checkpoints", AtomicU64::new(0))];
static MET_REVISED: [(&str, AtomicU64); 1] = [("checkpoints", AtomicU64::new(0))];
static MET_FULL: [(&str, AtomicU64); 2] =
    [("checkpoints", AtomicU64::new(0)), ("waits for a segment", AtomicU64::new(0))];

/// Rows are replaced while checkpoints carry them.
pub const CARRY: Scenario =
    Scenario { name: "carrying", start: Start::Few, play: |image| play(&image, &MET), met: &MET };

/// The same where the segment that is written to fills up meanwhile.
pub const ROLL: Scenario = Scenario {
    name: "rolling",
    start: Start::NearlyFull,
    play: |image| play(&image, &MET_FULL),
    met: &MET_FULL,
};

/// Rows are replaced whose tags meet, and of which the table has older versions.
pub const REVISE: Scenario = Scenario {
    name: "revising",
    start: Start::Revised,
    play: |image| play_once(&image),
    met: &MET_REVISED,
};

fn play(image: &SimDisk, met: &'static Tally) {
    let world = World::open(image, |options| options);
    let writer = |number: u8| {
        let world = world.clone();
        thread::spawn(move || {
            for turn in 1..=TURNS {
                let rows = [(key(number), turn), (key(number + 2), turn)];
                assert_eq!(world.put(&rows).unwrap(), Outcome::Applied);
            }
            let cut = world.power_cut();
            (cut, [(key(number), TURNS), (key(number + 2), TURNS)])
        })
    };
    // One of each kind: of those that are revised, and of those that are not.
    let writers = [writer(0), writer(1)];
    let carrier = {
        let world = world.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                world.store.checkpoint().wait().unwrap();
                meet(met, "checkpoints");
            }
        })
    };
    let mut latest = [0; 4];
    for number in [0, 1, 2, 3, 0, 1] {
        let held = &mut latest[usize::from(number)];
        let seen = world.turn(key(number)).unwrap().expect("there from the beginning");
        assert!(seen >= *held, "a row went back from {held} to {seen}");
        *held = seen;
    }
    carrier.join().unwrap();
    for writer in writers {
        let (cut, rows) = writer.join().unwrap();
        holds(&cut, &rows);
        for (key, turn) in rows {
            assert_eq!(world.turn(key).unwrap(), Some(turn));
        }
    }
    if world.store.stats().log_stalls > 0 && met.len() > 1 {
        meet(met, "waits for a segment");
    }
    world.verify();
    world.store.close().unwrap();
    holds(image, &(0..4).map(|number| (key(number), TURNS)).collect::<Vec<_>>());
}

fn play_once(image: &SimDisk) {
    let world = World::open(image, |options| options.tag_bits(1));
    let carrier = {
        let world = world.clone();
        thread::spawn(move || {
            world.store.checkpoint().wait().unwrap();
            meet(&MET_REVISED, "checkpoints");
        })
    };
    let rows = [(key(1), 1), (key(3), 1), (key(0), 1)];
    assert_eq!(world.put(&rows).unwrap(), Outcome::Applied);
    for (key, turn) in rows {
        assert_eq!(world.turn(key).unwrap(), Some(turn), "the turn that was acknowledged is left");
    }
    // What was left beside a row would be found once the row is gone.
    let gone = [key(1), key(0)];
    assert_eq!(world.delete(&gone).unwrap(), Outcome::Applied);
    carrier.join().unwrap();
    for _ in 0..2 {
        for key in gone {
            assert_eq!(world.turn(key).unwrap(), None, "an older version is left");
        }
        world.store.checkpoint().wait().unwrap();
    }
    world.verify();
    world.store.close().unwrap();
    holds(image, &[(key(3), 1)]);
    let again = World::quiet(image);
    for key in gone {
        assert_eq!(again.turn(key).unwrap(), None, "an older version is back");
    }
    again.store.close().unwrap();
}

// Goal: P1, P2, P7, what is replaced while it is carried is neither lost nor brought back. Method:
// two writers replace rows of both kinds beside checkpoints and a reader, in schedules that a model
// checker chooses; a power cut after each writer, and the store is opened again.
#[test]
fn nothing_is_lost_where_a_checkpoint_meets_commits() {
    explore(CARRY);
}

// Goal: P1, P2, P7, the same while the log goes on in another segment, and waits for one to be
// supplied. Method: as above, from a store whose segment is nearly full.
#[test]
fn nothing_is_lost_where_the_log_rolls() {
    explore(ROLL);
}

// Goal: P1, P2, P7, the same where rows have one tag, so that where a row is must be read before it
// is replaced, and where the table has older versions. Method: as above, with tags of one bit, one
// batch beside one checkpoint.
#[test]
fn nothing_is_lost_where_a_checkpoint_moves_what_is_replaced() {
    explore(REVISE);
}
