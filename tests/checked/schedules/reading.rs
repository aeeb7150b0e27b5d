use crate::explore::{Scenario, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, holds, key, term, turn};
use grantkeep::Wait as _;
use grantkeep::backend::{Backend as _, Outcome};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

const TURNS: u64 = 3;
const LOOKS: usize = 3;

static MET: [(&str, AtomicU64); 2] =
    [("reads of a later turn", AtomicU64::new(0)), ("listings", AtomicU64::new(0))];

/// A writer writes two rows in each batch while readers look at both.
pub const READ: Scenario = Scenario { name: "reading", start: Start::Few, play, met: &MET };

fn play(image: SimDisk) {
    let world = World::open(&image, |options| options);
    let pair = [key(1), key(2)];
    let writer = {
        let world = world.clone();
        thread::spawn(move || {
            for now in 1..=TURNS {
                // In either order, so that no order of the rows hides half of a batch.
                let rows = if now % 2 == 0 { [1, 2] } else { [2, 1] }.map(|row| (key(row), now));
                assert_eq!(world.put(&rows).unwrap(), Outcome::Applied);
                assert_eq!(world.turn(pair[0]).unwrap(), Some(now), "one's own write is read");
            }
        })
    };
    let reader = {
        let world = world.clone();
        thread::spawn(move || {
            let (mut cuts, mut latest) = (Vec::new(), [0; 2]);
            for look in 0..LOOKS {
                let (first, second) = if look % 2 == 0 { (0, 1) } else { (1, 0) };
                for at in [first, second] {
                    let seen = world.turn(pair[at]).unwrap().expect("there from the beginning");
                    assert!(seen >= latest[at], "a row went back from {} to {seen}", latest[at]);
                    latest[at] = seen;
                }
                let [seen, other] = [latest[first], latest[second]];
                assert!(other >= seen, "half of a batch is seen: {seen} beside {other}");
                if other > 0 {
                    meet(&MET, "reads of a later turn");
                }
                cuts.push((world.power_cut(), latest));
            }
            cuts
        })
    };
    let lister = {
        let world = world.clone();
        thread::spawn(move || {
            let page = world.store.list(term(), None, 100).wait().unwrap();
            let cut = world.power_cut();
            let seen: Vec<_> = page.rows.iter().map(|row| (row.key(), turn(row))).collect();
            assert_eq!(seen.len(), 2, "each row is listed once: {seen:?}");
            meet(&MET, "listings");
            (cut, seen)
        })
    };
    writer.join().unwrap();
    for (cut, latest) in reader.join().unwrap().into_iter().skip(LOOKS - 2) {
        holds(&cut, &[(pair[0], latest[0]), (pair[1], latest[1])]);
    }
    let (cut, seen) = lister.join().unwrap();
    holds(&cut, &seen);
    world.store.close().unwrap();
}

// Goal: P7, P8, nobody sees what a power cut would take back, nor half of a batch, and whoever
// wrote reads it. Method: a reader and a listing beside a writer of pairs, in schedules that a
// model checker chooses; the disk loses power after each look.
#[test]
fn no_reader_sees_what_is_not_durable() {
    explore(READ);
}
