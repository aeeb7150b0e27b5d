use crate::explore::{Scenario, Tally, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, holds, key};
use grantkeep::Wait as _;
use grantkeep::backend::Outcome;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

const TURNS: u64 = 3;

static MET: [(&str, AtomicU64); 2] =
    [("reads", AtomicU64::new(0)), ("reads of a later turn", AtomicU64::new(0))];

/// Rows are read from where they are, and kept for a moment if at all.
pub const EVICT: Scenario = Scenario { name: "evicting", start: Start::Few, play, met: &MET };

fn play(image: SimDisk) {
    let met: &Tally = &MET;
    // No row is kept, or about one in each shard.
    let row_cache_bytes = if thread_rng().r#gen() { 0 } else { 4_096 };
    let world = World::open(&image, |options| options.row_cache_bytes(row_cache_bytes));
    let writer = {
        let world = world.clone();
        thread::spawn(move || {
            for turn in 1..=TURNS {
                let rows = [(key(0), turn), (key(1), turn)];
                assert_eq!(world.put(&rows).unwrap(), Outcome::Applied);
                // Who has written it reads it, or something later.
                for (key, turn) in rows {
                    assert_eq!(world.turn(key).unwrap(), Some(turn));
                }
            }
        })
    };
    let carrier = {
        let world = world.clone();
        thread::spawn(move || world.store.checkpoint().wait().unwrap())
    };
    let reader = |first: u8| {
        let world = world.clone();
        thread::spawn(move || {
            let mut latest = [0; 4];
            for look in 0..4 {
                let number = (first + look) % 2;
                let seen = world.turn(key(number)).unwrap().expect("there from the beginning");
                let held = &mut latest[usize::from(number)];
                assert!(seen >= *held, "{number} went back from {held} to {seen}");
                *held = seen;
                meet(met, if seen > 0 { "reads of a later turn" } else { "reads" });
            }
        })
    };
    let readers = [reader(0), reader(1)];
    writer.join().unwrap();
    for reader in readers {
        reader.join().unwrap();
    }
    carrier.join().unwrap();
    for number in 0..2 {
        assert_eq!(world.turn(key(number)).unwrap(), Some(TURNS), "the row cache is behind");
    }
    world.verify();
    world.store.close().unwrap();
    holds(&image, &[(key(0), TURNS), (key(1), TURNS), (key(2), 0), (key(3), 0)]);
}

// Goal: P7, a row that is evicted and fetched again is the latest one. Method: readers beside a
// writer and a checkpoint, with a row cache of no row or a few, in schedules that a model checker
// chooses.
#[test]
fn no_fetched_row_is_behind() {
    explore(EVICT);
}
