//! What takes things away from a running store, and gives them back.

use super::strained::Strain;
use super::world::{Thing, World};
use crate::pseudorandom::Pseudorandom;
use grantkeep::{Clock as _, Health, LEAP_HOLD, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long nothing is away, and how long something is, in milliseconds of the machine.
const CALM_MS: u64 = 500;
const AWAY_MS: u64 = 1_500;
/// How much the store's clock passes in a step of the machine's.
const STEP: Duration = Duration::from_millis(10);
const PASSES: Duration = Duration::from_millis(500);
/// How far the clock leaps at most: most leaps are believed, some are not.
const LEAPS_S: [u64; 4] = [60, 3_600, 20 * 24 * 3600, 400 * 24 * 3600];

/// How much more room there is once a store has filled up what there was, as if somebody had
/// cleaned up.
const MORE_BYTES: u64 = 16 << 20;

/// And how much more at the end.
const ALL_BYTES: u64 = 256 << 20;

/// Where room is taken away.
#[derive(Debug, Clone)]
pub enum Ground {
    /// In memory: the disk is resized.
    Memory {
        /// Its usual size.
        bytes: u64,
    },
    /// A small file system, which another program's file fills up.
    FileSystem {
        /// That file.
        ballast: PathBuf,
        /// Its usual length.
        bytes: u64,
    },
}

/// Who takes and gives.
#[derive(Debug)]
pub struct Straits<'a> {
    world: &'a World,
    strain: &'a Strain,
    ground: Ground,
    ballast: Option<File>,
    random: Pseudorandom,
}

impl<'a> Straits<'a> {
    /// Over the disk of a round; a ballast that is to be has been written before.
    ///
    /// # Panics
    /// If the ballast cannot be opened.
    pub fn new(world: &'a World, strain: &'a Strain, ground: &'a Ground, seed: u64) -> Self {
        // It stays open: there may be no descriptor for it later on.
        let ballast = match ground {
            Ground::FileSystem { ballast, .. } => Some(open(ballast)),
            Ground::Memory { .. } => None,
        };
        Self { world, strain, ground: ground.clone(), ballast, random: Pseudorandom::new(seed) }
    }

    /// Takes and gives until the round is over. Answers once nothing is away.
    pub fn work(&mut self, lasts: Duration, open: &dyn Fn() -> Store) {
        let end = std::time::Instant::now() + lasts;
        while std::time::Instant::now() < end {
            let rest = self.random.below(CALM_MS);
            self.pass(rest);
            let thing = self.draw();
            // Now and then two things at once, but for the store.
            let second = Some(self.draw()).filter(|other| {
                let alone = thing == Thing::Store || *other == Thing::Store || *other == thing;
                !alone && self.random.below(2) == 0
            });
            if thing == Thing::Store {
                super::operator::close_and_open(self.world, open);
                continue;
            }
            let things: Vec<Thing> = [Some(thing), second].into_iter().flatten().collect();
            let back = things.iter().map(|thing| (*thing, self.take(*thing))).collect::<Vec<_>>();
            let away = self.random.below(AWAY_MS);
            self.pass(away);
            for (thing, before) in back.into_iter().rev() {
                self.give_back(thing, before);
            }
            if matches!(self.world.session().store.health(), Health::Full { .. }) {
                self.give_more();
            }
        }
    }

    /// Gives more room than there has been.
    fn give_more(&mut self) {
        match &mut self.ground {
            Ground::Memory { bytes } => *bytes += MORE_BYTES,
            Ground::FileSystem { bytes, .. } => *bytes = bytes.saturating_sub(MORE_BYTES),
        }
        self.give_room();
        self.world.count("more room");
    }

    fn draw(&mut self) -> Thing {
        let count = Thing::ALL.len() as u64;
        let at = usize::try_from(self.random.below(count)).unwrap_or(0);
        Thing::ALL[at]
    }

    /// Lets time pass, for the store much faster than for the machine.
    fn pass(&self, ms: u64) {
        let steps = u128::from(ms) / STEP.as_millis();
        for _ in 0..steps {
            std::thread::sleep(STEP);
            self.world.clock.advance(PASSES);
        }
    }

    /// Takes a thing away; answers what giving it back needs.
    fn take(&mut self, thing: Thing) -> u64 {
        self.world.take(thing);
        match thing {
            Thing::Room => self.take_room(),
            Thing::Descriptors => {
                self.strain.descriptors.store(true, Ordering::Relaxed);
                return limit_descriptors(1);
            }
            Thing::Reads => self.strain.table_reads.store(true, Ordering::Relaxed),
            Thing::Writes => self.strain.table_writes.store(true, Ordering::Relaxed),
            Thing::Clock => {
                let leap_s = LEAPS_S[usize::try_from(self.random.below(4)).unwrap_or(0)];
                self.step_clock(|wall| wall + Duration::from_secs(leap_s));
                if self.random.below(2) == 0 {
                    self.world.clock.advance(LEAP_HOLD);
                }
                return leap_s;
            }
            Thing::Store => {}
        }
        0
    }

    fn give_back(&mut self, thing: Thing, before: u64) {
        match thing {
            Thing::Room => self.give_room(),
            Thing::Descriptors => {
                limit_descriptors(before);
                self.strain.descriptors.store(false, Ordering::Relaxed);
            }
            Thing::Reads => self.strain.table_reads.store(false, Ordering::Relaxed),
            Thing::Writes => self.strain.table_writes.store(false, Ordering::Relaxed),
            Thing::Clock => self.step_clock(|wall| wall - Duration::from_secs(before)),
            Thing::Store => {}
        }
        self.world.give_back(thing);
    }

    /// Steps the clock. The count of steps is odd meanwhile.
    fn step_clock(&self, to: impl FnOnce(std::time::SystemTime) -> std::time::SystemTime) {
        self.world.steps.fetch_add(1, Ordering::SeqCst);
        let clock = &self.world.clock;
        clock.step_to(to(clock.wall()));
        self.world.steps.fetch_add(1, Ordering::SeqCst);
    }

    /// Leaves no room, or very little.
    fn take_room(&mut self) {
        let left = [0, 4 << 10, 300 << 10, 2 << 20];
        let left = left[usize::try_from(self.random.below(4)).unwrap_or(0)];
        match &mut self.ballast {
            None => self.strain.resize(self.strain.used_bytes() + left),
            Some(file) => {
                let block = vec![9; 64 << 10];
                while file.write_all(&block).is_ok() {}
                let length = file.metadata().unwrap().len();
                file.set_len(length.saturating_sub(left)).unwrap();
            }
        }
    }

    fn give_room(&mut self) {
        match (&self.ground, &mut self.ballast) {
            (Ground::FileSystem { bytes, .. }, Some(file)) => {
                use std::io::Seek as _;
                file.set_len(*bytes).unwrap();
                file.seek(std::io::SeekFrom::Start(*bytes)).unwrap();
            }
            (Ground::Memory { bytes }, _) => self.strain.resize(*bytes),
            (Ground::FileSystem { .. }, None) => {}
        }
    }

    /// Gives all the room there is: twice the usual, at least.
    pub fn give_all_room(&mut self) {
        match (&self.ground, &mut self.ballast) {
            (Ground::FileSystem { .. }, Some(file)) => file.set_len(0).unwrap(),
            (Ground::Memory { bytes }, _) => {
                self.strain.resize(ALL_BYTES + self.strain.used_bytes().max(*bytes));
            }
            (Ground::FileSystem { .. }, None) => {}
        }
    }
}

fn open(path: &Path) -> File {
    use std::io::Seek as _;
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(std::io::SeekFrom::End(0)).unwrap();
    file
}

/// Sets the limit on open files; answers the one before.
fn limit_descriptors(most: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum }).unwrap();
    current.unwrap_or(1_024)
}
