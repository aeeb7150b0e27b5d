use crate::explore::{Scenario, Tally, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{LONG, Start, World, holds, key, row, turn};
use grantkeep::Wait as _;
use grantkeep::backend::{Backend as _, Batch, Budget, Outcome};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::thread;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(10);

static MET: [(&str, AtomicU64); 5] = [
    ("extended rows", AtomicU64::new(0)),
    ("extensions that came too late", AtomicU64::new(0)),
    ("late rows", AtomicU64::new(0)),
    ("looks at a dying row", AtomicU64::new(0)),
    ("looks at a dead one", AtomicU64::new(0)),
];

/// A window is swept while rows of it are extended, read, and added.
pub const SWEEP: Scenario = Scenario { name: "sweeping", start: Start::Few, play, met: &MET };

fn play(image: SimDisk) {
    let met: &Tally = &MET;
    let by_itself = thread_rng().r#gen();
    let world = World::open(&image, |options| options.by_itself(by_itself));
    // Three rows that die soon, of which the table may have some already.
    let until = world.store.now().saturating_add(SHORT);
    let mut batch = Batch::new().unwrap();
    for number in [20, 21, 23] {
        batch.insert(key(number), row(key(number), 1, until));
    }
    assert_eq!(world.store.commit(batch).wait().unwrap(), Outcome::Applied);
    if thread_rng().r#gen() {
        world.store.checkpoint().wait().unwrap();
    }
    world.clock.advance(SHORT);

    let extend = |number: u8| {
        let world = world.clone();
        thread::spawn(move || {
            let Some(held) = world.store.get(key(number)).wait().unwrap() else { return false };
            let mut batch = Batch::new().unwrap();
            let until = world.store.now().saturating_add(LONG);
            batch.replace(key(number), held.version(), row(key(number), 2, until));
            world.store.commit(batch).wait().unwrap() == Outcome::Applied
        })
    };
    let extending = [20, 21].map(|number| (number, extend(number)));
    let adding = {
        let world = world.clone();
        thread::spawn(move || {
            let mut batch = Batch::new().unwrap();
            batch.insert(key(25), row(key(25), 3, until));
            assert_eq!(world.store.commit(batch).wait().unwrap(), Outcome::Applied);
            meet(met, "late rows");
        })
    };
    let sweeping = {
        let world = world.clone();
        thread::spawn(move || {
            world.clock.advance(2 * SHORT);
            world.store.sweep(Budget::ALL).wait().unwrap();
        })
    };
    let mut gone = false;
    for _ in 0..3 {
        let seen = world.store.get(key(23)).wait().unwrap();
        assert!(!(gone && seen.is_some()), "a swept row came back");
        gone = seen.is_none();
        assert!(seen.is_none_or(|row| turn(&row) == 1));
        meet(met, if gone { "looks at a dead one" } else { "looks at a dying row" });
    }
    sweeping.join().unwrap();
    adding.join().unwrap();
    let extended = extending.map(|(number, extending)| (number, extending.join().unwrap()));
    settle(&world, &image, extended, met);
}

/// What was extended is there for good, and nothing else of the window, whatever comes.
fn settle(world: &World, image: &SimDisk, extended: [(u8, bool); 2], met: &Tally) {
    let cut = world.power_cut();
    world.clock.advance(SHORT);
    world.store.sweep(Budget::ALL).wait().unwrap();
    let mut stays = vec![(key(0), 0), (key(1), 0)];
    for (number, extended) in extended {
        let held = world.turn(key(number)).unwrap();
        assert_eq!(held, extended.then_some(2), "{number} extended: {extended}");
        meet(met, if extended { "extended rows" } else { "extensions that came too late" });
        stays.extend(extended.then_some((key(number), 2)));
    }
    for number in [23, 25] {
        assert_eq!(world.turn(key(number)).unwrap(), None, "{number} is dead");
    }
    holds(&cut, &stays);
    world.store.checkpoint().wait().unwrap();
    world.verify();
    world.store.close().unwrap();
    holds(image, &stays);
}

// Goal: P2, P5, P7, a row extended in time is kept, one swept never comes back, and no window is
// cut while a row of it is on its way. Method: extensions of both kinds of rows, an insertion, and
// a look-up beside a sweep of the window in which they die, in schedules that a model checker
// chooses.
#[test]
fn a_sweep_takes_what_is_dead_alone() {
    explore(SWEEP);
}
