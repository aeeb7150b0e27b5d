//! Sweeping the half of all rows that has died.

use crate::run::{Run, load};
use crate::workload::{FAMILY_LIFETIME, Shape, millis, now_ms};
use grantkeep::{ManualClock, Wait as _};
use grantkeep_benches::random::mix;
use grantkeep_report::{Bound, Comparison, Measure};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const ROUNDS: usize = 3;
const ROW_BYTES: usize = 300;
/// Every other pair dies at some time in this span.
const DYING: Duration = Duration::from_secs(600);
const LIFETIME: Duration = Duration::from_secs(600);

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    let pairs = run.scale.pairs / 5;
    let measure = Measure::new("sweep half of the rows, each", "us", false);
    let mut measure = measure.bound(Bound::BestPeer(10.0)).note(format!(
        "{pairs} pairs, in the table; every other one has died. Redis expires by itself, and \
         tells nobody how long that takes."
    ));
    for round in 0..ROUNDS {
        let place = format!("sweep {round}");
        let clock = Arc::new(ManualClock::at(SystemTime::now()));
        let running =
            run.open(&place, |contender| contender.name != "Redis", |setup| setup.on(&clock));
        for one in &running {
            run.doing(&format!("{}: loading {pairs} pairs", one.name()));
            load(&*one.engine, 0..pairs, shape);
            if let Some(store) = one.engine.store() {
                store.checkpoint().wait().expect("a checkpoint");
            }
            one.engine.settle();
        }
        // Behind the death of the last of them, and of the window it died in.
        let later = 2 * (LIFETIME + DYING);
        clock.advance(later);
        let now_ms = now_ms() + millis(later);
        for one in Run::in_turn(round, &running) {
            run.doing(&format!("{}: sweeping", one.name()));
            let started = Instant::now();
            let swept = one.engine.sweep(now_ms);
            let us = started.elapsed().as_secs_f64() * 1e6 / swept as f64;
            assert_eq!(swept, pairs, "{} swept another number of rows", one.name());
            measure.push(one.name(), one.kind(), us);
        }
        drop(running);
        run.clear(&place);
    }
    comparison.measures.push(measure);
}

/// Every other pair dies soon, some time in a span.
fn shape(number: u64) -> Shape {
    if number % 2 == 1 {
        return Shape::living(ROW_BYTES, FAMILY_LIFETIME);
    }
    Shape::living(ROW_BYTES, LIFETIME + Duration::from_millis(mix(number) % millis(DYING)))
}
