use crate::explore::{Scenario, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, key, row, turn};
use grantkeep::Wait as _;
use grantkeep::backend::{Backend as _, Batch, Budget, Outcome};
use shuttle::thread;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(10);
/// Rows of another lifetime, and so of another window, which gets the slot of the one that is
/// swept.
const LONGER: Duration = Duration::from_secs(1_000);
const LOOKS: usize = 2;

static MET: [(&str, AtomicU64); 2] =
    [("looks at a row", AtomicU64::new(0)), ("looks at a swept one", AtomicU64::new(0))];

/// A window is swept, and another one gets its slot, its blocks, and its places.
pub const REUSE: Scenario = Scenario { name: "reusing", start: Start::Few, play, met: &MET };

/// Inserts two rows and carries them: they lie in the first block of their window.
fn carry(world: &World, numbers: [u8; 2], lifetime: Duration) {
    let until = world.store.now().saturating_add(lifetime);
    let mut batch = Batch::new().unwrap();
    for number in numbers {
        batch.insert(key(number), row(key(number), 1, until));
    }
    assert_eq!(world.store.commit(batch).wait().unwrap(), Outcome::Applied);
    world.store.checkpoint().wait().unwrap();
}

fn play(image: SimDisk) {
    // No row is kept in memory: each look-up reads.
    let world = World::open(&image, |options| options.row_cache_bytes(0));
    carry(&world, [20, 22], SHORT);
    let reader = |number: u8| {
        let world = world.clone();
        thread::spawn(move || {
            let mut gone = false;
            for _ in 0..LOOKS {
                let seen = world.store.get(key(number)).wait().unwrap();
                assert!(!(gone && seen.is_some()), "a swept row came back");
                gone = seen.is_none();
                assert!(seen.is_none_or(|row| row.key() == key(number) && turn(&row) == 1));
                meet(&MET, if gone { "looks at a swept one" } else { "looks at a row" });
            }
        })
    };
    let readers = [20, 22].map(reader);
    world.clock.advance(3 * SHORT);
    world.store.sweep(Budget::ALL).wait().unwrap();
    carry(&world, [30, 32], LONGER);
    for reader in readers {
        reader.join().unwrap();
    }
    world.verify();
    world.store.close().unwrap();
}

// Goal: P7, a reader who is held up between its look into the index and its read takes no row of
// another key for damage, though the place it has seen is another row's by then. Method: two
// readers beside a sweep of the window, and a checkpoint of one that gets its slot, in schedules
// that a model checker chooses.
#[test]
fn a_place_that_was_reused_is_looked_up_again() {
    explore(REUSE);
}
