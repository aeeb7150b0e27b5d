use crate::explore::{Scenario, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, holds, key, row};
use grantkeep::Wait as _;
use grantkeep::backend::{Backend as _, Batch, Outcome};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

const RACERS: u8 = 3;

static MET: [(&str, AtomicU64); 2] =
    [("winners", AtomicU64::new(0)), ("losers", AtomicU64::new(0))];

/// Each racer spends the same row, and inserts a row of its own in the same batch.
pub const RACE: Scenario = Scenario { name: "racing", start: Start::Few, play, met: &MET };

fn play(image: SimDisk) {
    let world = World::open(&image, |options| options);
    let held = world.store.get(key(1)).wait().unwrap().unwrap();
    let racer = |number: u8| {
        let (world, held) = (world.clone(), held.clone());
        thread::spawn(move || {
            let (mine, turn) = (key(10 + number), u64::from(number) + 1);
            let until = held.expires_at();
            let mut batch = Batch::new().unwrap();
            batch.replace(key(1), held.version(), row(key(1), turn, until));
            batch.insert(mine, row(mine, turn, until));
            let won = match world.store.commit(batch).wait().unwrap() {
                Outcome::Applied => true,
                Outcome::Conflict(lost) => {
                    assert_eq!(lost, key(1));
                    false
                }
            };
            // Whatever a racer was told rests on what is durable by now.
            let cut = world.power_cut();
            let winner = world.turn(key(1)).unwrap().unwrap();
            assert_ne!(winner, 0, "a racer was told, and nobody has won");
            assert_eq!(won, winner == turn, "who has won is {winner}");
            let of_winner = key(9 + u8::try_from(winner).unwrap());
            assert_eq!(world.turn(of_winner).unwrap(), Some(winner), "half of a batch is seen");
            (won, winner, of_winner, cut)
        })
    };
    let racers: Vec<_> = (0..RACERS).map(racer).collect();
    let told: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    assert_eq!(told.iter().filter(|(won, ..)| *won).count(), 1, "one wins");
    for (won, winner, of_winner, cut) in &told {
        assert_eq!(*winner, told[0].1, "all see the same winner");
        holds(cut, &[(key(1), *winner), (*of_winner, *winner)]);
        meet(&MET, if *won { "winners" } else { "losers" });
    }
    for number in 0..RACERS {
        let there = world.turn(key(10 + number)).unwrap().is_some();
        assert_eq!(there, u64::from(number) + 1 == told[0].1, "a loser's batch left something");
    }
    world.store.close().unwrap();
}

// Goal: P1, P2, P3, one of several racers wins, and whoever is told anything, winner or loser, is
// told what no power cut takes back. Method: three threads commit batches with the same condition
// in schedules that a model checker chooses; the disk loses power whenever one of them is told.
#[test]
fn one_racer_wins_in_every_schedule() {
    explore(RACE);
}
