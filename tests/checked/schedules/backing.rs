use crate::explore::{Scenario, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{Start, World, key};
use grantkeep::backend::Outcome;
use grantkeep::{Disk as _, Wait as _};
use shuttle::thread;
use std::path::Path;
use std::sync::atomic::AtomicU64;

const TURNS: u64 = 3;
const COPY: &str = "/copy";

static MET: [(&str, AtomicU64); 2] = [("backups", AtomicU64::new(0)), ("tails", AtomicU64::new(0))];

/// Rows are replaced while a backup is made.
pub const BACK_UP: Scenario =
    Scenario { name: "backing up", start: Start::Revised, play, met: &MET };

fn play(image: SimDisk) {
    let world = World::open(&image, |options| options);
    let writers = [0, 1].map(|number: u8| {
        let world = world.clone();
        thread::spawn(move || {
            for turn in 1..=TURNS {
                let rows = [(key(number), turn), (key(number + 2), turn)];
                assert_eq!(world.put(&rows).unwrap(), Outcome::Applied);
            }
        })
    });
    let seen = [0, 1].map(|number| world.turn(key(number)).unwrap().expect("there from the start"));
    world.store.backup(Path::new(COPY)).wait().unwrap();
    meet(&MET, "backups");
    if !image.list(&Path::new(COPY).join("log")).unwrap().is_empty() {
        meet(&MET, "tails");
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    world.store.close().unwrap();
    let copy = World::restored(&image, COPY);
    for (number, seen) in (0..).zip(seen) {
        let [one, other] = [number, number + 2].map(|number| copy.turn(key(number)).unwrap());
        assert!(one >= Some(seen), "{number}: turn {seen} was seen, {one:?} is in the backup");
        assert_eq!(one, other, "half of a batch");
    }
    copy.verify();
    copy.store.checkpoint().wait().unwrap();
    copy.verify();
    copy.store.close().unwrap();
}

// Goal: P7, a backup holds what was committed before it, and of what is committed meanwhile no half
// of a batch. Method: two writers replace pairs of rows beside a backup, in schedules that a model
// checker chooses; the copy is opened.
#[test]
fn nothing_is_missing_where_a_backup_meets_commits() {
    explore(BACK_UP);
}
