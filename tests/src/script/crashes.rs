//! Power cuts at every operation of a script, and at every operation of the recovery from them.

use super::facts::Facts;
use super::look::look;
use super::op::{Op, Step};
use super::probe::probe;
use super::world::{Opened, World, open};
use crate::pieces::Pieces;
use crate::sim_disk::{Recorded, SimDisk};
use grantkeep::Wait as _;
use std::ops::AddAssign;

/// Disk that a store of a script takes at most, bytes (P10): its log's budget, a segment that is
/// written anew, and the table.
pub const DISK_BYTES_MAX: u64 = 8 << 20;

/// How many power cuts there are.
#[derive(Debug, Clone, Copy)]
pub struct Crashes {
    /// At each operation of a script.
    pub at_each: u64,
    /// At each operation of the recovery from one of these.
    pub in_recovery: u64,
    /// Of so many operations of a script the recovery after one is cut as well.
    pub recoveries_one_in: u64,
    /// The seed of all of them.
    pub seed: u64,
}

/// What was checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub scripts: u64,
    /// Operations of the disk before which power was cut.
    pub points: u64,
    /// Disks that were opened and compared.
    pub images: u64,
    /// Those among them that a second power cut left, while the store recovered from a first.
    pub doubles: u64,
    /// Attempts to use what is over, and what is not.
    pub probes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.scripts += other.scripts;
        self.points += other.points;
        self.images += other.images;
        self.doubles += other.doubles;
        self.probes += other.probes;
    }
}

/// What a disk may hold: the facts that were acknowledged, or those that were asked for as well.
#[derive(Debug)]
pub struct May<'a> {
    /// Everything that was ever told.
    pub known: &'a Facts,
    /// The states it may be in.
    pub states: &'a [Facts],
}

impl Crashes {
    /// Plays a script on a copy of `base`, and cuts the power everywhere.
    ///
    /// # Panics
    /// Where what is left breaks a promise.
    pub fn check(&self, base: &World, script: &[Step]) -> Counts {
        let names: Vec<_> = script.iter().map(|step| step.name).collect();
        let names = names.join(", ");
        let mut world = base.again().expect("a good disk");
        world.disk.record();
        script.iter().for_each(|step| world.play(step.ops));
        world.close();
        let counts = self.check_recorded(&world, &names);
        if script.len() == 1 {
            let mut pieces = Pieces::default();
            world.disk.contents().iter().for_each(|bytes| pieces.add(bytes));
            // P9, over whatever the script has left anywhere.
            assert_eq!(
                pieces.found(world.facts().secrets()),
                0,
                "script ({names}): a token on disk"
            );
        }
        counts
    }

    /// Makes a store, plays operations on it, and cuts the power everywhere: before the first
    /// acknowledgment an empty store may be what is left.
    ///
    /// # Panics
    /// Where what is left breaks a promise.
    pub fn check_creation(&self, ops: &[Op]) -> Counts {
        let disk = SimDisk::new();
        disk.record();
        let mut world = World::created_on(disk);
        world.play(ops);
        world.close();
        self.check_recorded(&world, "creation")
    }

    fn check_recorded(&self, world: &World, names: &str) -> Counts {
        let mut counts = Counts { scripts: 1, ..Counts::default() };
        for (number, at) in world.disk.recorded().iter().enumerate() {
            let states = &world.book[states_of(at.mark)];
            let may = May { known: states.last().expect("one at least"), states };
            counts += self.check_point(at, number as u64, &may, names);
        }
        counts
    }

    fn check_point(&self, at: &Recorded, number: u64, may: &May<'_>, script: &str) -> Counts {
        let mut counts = Counts { points: 1, ..Counts::default() };
        for turn in 0..self.at_each {
            let seed = self.seed_of(number, turn);
            let what = format!("script ({script}), operation {number}, crash {turn}");
            let image = at.disk.crash(seed);
            let (opened, state) = recovered(&image, may, &what);
            if turn == 0 {
                counts.probes += probe(&opened, state, &what);
                check_verified(&opened, &what);
            }
            closed(&opened, &what);
            counts.images += 1;
        }
        if self.in_recovery > 0 && number.is_multiple_of(self.recoveries_one_in) {
            counts += self.check_recovery(at, number, may, script);
        }
        counts
    }

    /// Cuts the power again at every operation of a recovery and of the close after it. What the
    /// first open has shown is there for good.
    fn check_recovery(&self, at: &Recorded, number: u64, may: &May<'_>, script: &str) -> Counts {
        let mut counts = Counts::default();
        let what = format!("script ({script}), operation {number}, crash 0 again");
        let image = at.disk.crash(self.seed_of(number, 0));
        image.record();
        let (opened, shown) = recovered(&image, may, &what);
        image.set_mark(1);
        closed(&opened, &what);
        drop(opened);
        let shown = May { known: may.known, states: std::slice::from_ref(shown) };
        for (second, at) in image.recorded().iter().enumerate() {
            let may = if at.mark == 1 { &shown } else { may };
            for turn in 0..self.in_recovery {
                let what = format!("{what}, operation {second} of its recovery, crash {turn}");
                let image = at.disk.crash(self.seed_of(second as u64, turn));
                let (opened, _) = recovered(&image, may, &what);
                closed(&opened, &what);
                counts.images += 1;
                counts.doubles += 1;
            }
        }
        counts
    }

    fn seed_of(&self, number: u64, turn: u64) -> u64 {
        self.seed.wrapping_mul(1_000_003).wrapping_add(number * 1_009 + turn)
    }
}

/// The facts that a mark of [`World::play`] allows.
fn states_of(mark: u64) -> std::ops::RangeInclusive<usize> {
    let index = |mark: u64| usize::try_from(mark).expect("few");
    index(mark / 2)..=index(mark.div_ceil(2))
}

/// Opens what is left: it must be one of the states that may be, as a whole (P1, P2, P7, P8), and
/// everything that is stored must be whole.
///
/// # Panics
/// Where it is not.
pub fn recovered<'a>(image: &SimDisk, may: &May<'a>, what: &str) -> (Opened, &'a Facts) {
    let now_ms = may.known.now_ms;
    let opened = open(image, now_ms).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let found = look(&opened.grants, may.known).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let Some(state) = may.states.iter().find(|state| state.lines(may.known) == found) else {
        let expected = may.states[0].lines(may.known);
        let wrong: Vec<_> = found.iter().zip(&expected).filter(|(a, b)| a != b).collect();
        panic!(
            "{what}: of {} states it may be in, it is in none; found and \
                acknowledged: {wrong:#?}",
            may.states.len()
        );
    };
    check_verified(&opened, what);
    assert!(image.bytes() <= DISK_BYTES_MAX, "{what}: {} bytes on disk", image.bytes());
    (opened, state)
}

fn check_verified(opened: &Opened, what: &str) {
    let found = opened.grants.store().verify(|_| {}).wait().unwrap();
    assert_eq!(found.damages, 0, "{what}: {:#?}", found.named);
}

fn closed(opened: &Opened, what: &str) {
    let closed = opened.grants.store().close();
    closed.unwrap_or_else(|error| panic!("{what}: the close: {error:?}"));
}
