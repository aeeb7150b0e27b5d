use crate::explore::{config, run, seed};
use crate::{carrying, sweeping};
use shuttle::scheduler::{RandomScheduler, UncontrolledNondeterminismCheckScheduler};

const SCHEDULES: usize = 10;

// Goal: a schedule that fails can be played again: nothing but the checker decides what happens.
// Method: random schedules of two scenarios, each played twice and compared step by step.
#[test]
fn schedules_repeat() {
    for scenario in [carrying::ROLL, sweeping::SWEEP] {
        let random = RandomScheduler::new_from_seed(seed(), SCHEDULES);
        let twice = UncontrolledNondeterminismCheckScheduler::new(random);
        let (played, _) = run(scenario, twice, config());
        assert!(played >= SCHEDULES);
        println!("{}: {played} runs, each schedule twice, were alike", scenario.name);
    }
}
