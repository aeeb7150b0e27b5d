//! The tail of issuing while the store carries and sweeps all the time, against that of a store
//! which does neither.

use crate::callers::{Caller, Work, on_threads};
use crate::engines::STORE;
use crate::run::{Run, load};
use crate::workload::Shape;
use grantkeep::backend::Budget;
use grantkeep::{ManualClock, Wait as _};
use grantkeep_benches::CALLERS;
use grantkeep_report::{Bound, Comparison, Kind, Measure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

const ROUNDS: usize = 7;
const ROW_BYTES: usize = 300;
const QUIET: &str = "quiet";
/// Loaded pairs die over this many windows, each as long as one step of the clock.
const STEPS: u64 = 40;
const STEP: Duration = Duration::from_secs(128);
const LIFETIME: Duration = Duration::from_secs(3_600);

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    let place = "quiet";
    let clock = Arc::new(ManualClock::at(SystemTime::now()));
    let running = run.open(place, |contender| contender.name == STORE, |setup| setup.on(&clock));
    let engine = &*running[0].engine;
    let store = engine.store().expect("it is the store");
    let shape = Shape::living(ROW_BYTES, LIFETIME);
    run.doing("grantkeep: loading windows of pairs");
    for step in 0..STEPS {
        let share = run.scale.pairs / STEPS;
        load(engine, step * share..(step + 1) * share, |_| shape);
        clock.advance(STEP);
    }
    store.checkpoint().wait().expect("a checkpoint");
    let name = format!("p99 of issuing while carrying and sweeping, {CALLERS} callers");
    let mut measure = Measure::new(name, "ms", false)
        .bound(Bound::Side(QUIET.to_owned(), 1.0 / 1.5))
        .note("Against the same store when it does neither; within 1.5 times, so at least 0.667.");
    let turn = run.scale.turn;
    let (mut checkpoints, mut swept) = (0, 0);
    for round in 0..ROUNDS {
        run.doing(&format!("grantkeep: p99, round {}", round + 1));
        let over = AtomicBool::new(false);
        let crowd = |turn: u64| Caller::crowd(CALLERS, turn, shape, Work::Issue);
        let quiet = on_threads(engine, &mut crowd(2 * round as u64), turn);
        let busy = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let (mut carried, mut rows) = (0, 0);
                while !over.load(Ordering::Relaxed) {
                    clock.advance(STEP);
                    rows += store.sweep(Budget::ALL).wait().expect("a sweep").rows;
                    store.checkpoint().wait().expect("a checkpoint");
                    carried += 1;
                }
                (carried, rows)
            });
            let busy = on_threads(engine, &mut crowd(2 * round as u64 + 1), turn);
            over.store(true, Ordering::Relaxed);
            let (carried, rows) = other.join().expect("the other work");
            (checkpoints, swept) = (checkpoints + carried, swept + rows);
            busy
        });
        measure.push(STORE, Kind::Store, busy.quantile(0.99).as_secs_f64() * 1e3);
        measure.push(QUIET, Kind::Yardstick, quiet.quantile(0.99).as_secs_f64() * 1e3);
    }
    run.say(&format!("(quiet: {checkpoints} checkpoints, {swept} rows swept meanwhile)"));
    comparison.measures.push(measure);
    drop(running);
    run.clear(place);
}
