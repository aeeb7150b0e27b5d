//! Running a scenario over many schedules.

use crate::planted::plant_by_name;
use crate::sim_disk::SimDisk;
use crate::world::{Start, images};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Schedules of each scenario and scheduler, unless `GRANTKEEP_SCHEDULES` says otherwise.
const SCHEDULES: usize = 250;
/// Where PCT changes priorities: most faults of concurrency take no more than three changes.
pub const DEPTH: usize = 4;
/// A schedule takes some thousands of steps: one that takes as many as this goes round in circles.
const STEPS_MAX: usize = 400_000;

/// What a scenario has met, so that one which meets nothing is seen.
pub type Tally = [(&'static str, AtomicU64)];

/// What is done in each schedule, to a store of its own.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub start: Start,
    pub play: fn(SimDisk),
    pub met: &'static Tally,
}

/// Counts one more of what has this name.
pub fn meet(met: &Tally, name: &str) {
    if !COUNTING.get() {
        return;
    }
    let (_, count) = met.iter().find(|(own, _)| *own == name).expect("a name of the tally");
    count.fetch_add(1, Ordering::Relaxed);
}

pub fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    config
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

pub fn seed() -> u64 {
    number("GRANTKEEP_SCHEDULES_SEED", 1) as u64
}

/// Plays a scenario over random schedules and over such of few changes; or the one schedule that
/// the file `GRANTKEEP_SCHEDULE` holds, as it was printed.
pub fn explore(scenario: Scenario) {
    plant_by_name();
    if let Ok(path) = std::env::var("GRANTKEEP_SCHEDULE") {
        let schedule = std::fs::read_to_string(&path).expect("a schedule");
        run(scenario, ReplayScheduler::new_from_encoded(&schedule), config());
        println!("{}: the schedule in {path} was played", scenario.name);
        return;
    }
    let (count, seed) = (number("GRANTKEEP_SCHEDULES", SCHEDULES), seed());
    let begun = Instant::now();
    println!("{}: schedules from seed {seed}", scenario.name);
    let (random, steps) = run(scenario, RandomScheduler::new_from_seed(seed, count), config());
    let (pct, more) = run(scenario, PctScheduler::new_from_seed(seed, DEPTH, count), config());
    let mut met = String::new();
    for (name, count) in scenario.met {
        let count = count.load(Ordering::Relaxed);
        let _ = write!(met, ", {count} {name}");
        assert!(count > 0 || random < 200, "{}: no schedule met {name}", scenario.name);
    }
    println!(
        "{}: {random} random schedules and {pct} of few changes, {} steps{met}; {:.1} s",
        scenario.name,
        steps + more,
        begun.elapsed().as_secs_f64()
    );
}

thread_local! {
    static PLAYED: Cell<usize> = const { Cell::new(0) };
    static COUNTING: Cell<bool> = const { Cell::new(true) };
}

/// What scenarios meet on this thread does not count: their engine is broken.
pub fn count_nothing_here() {
    COUNTING.set(false);
}

/// How many schedules the last run on this thread has begun.
pub fn played_here() -> usize {
    PLAYED.get()
}

/// Plays a scenario as the scheduler says; answers the number of schedules, and of their steps.
pub fn run<S: Scheduler + 'static>(
    scenario: Scenario,
    scheduler: S,
    config: Config,
) -> (usize, u64) {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let images = images(scenario.start);
    PLAYED.set(0);
    let schedules = Runner::new(scheduler, config).run(move || {
        PLAYED.set(PLAYED.get() + 1);
        (scenario.play)(images.choose());
        counted.fetch_add(shuttle::current::context_switches() as u64, Ordering::Relaxed);
    });
    (schedules, steps.load(Ordering::Relaxed))
}
