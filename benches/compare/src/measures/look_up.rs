//! Look-ups of rows that are in no cache of the engine's own, only in the page cache.

use super::issue::look_up_us;
use crate::engine::Setup;
use crate::engines::STORE;
use crate::run::{Run, load};
use crate::workload::Shape;
use grantkeep::Wait as _;
use grantkeep_report::{Bound, Comparison, Measure};

const ROW_BYTES: usize = 300;
/// Next to nothing: rows come from the files.
const CACHE_BYTES: usize = 1 << 20;

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    let place = "look-up";
    let running = run.open(
        place,
        |contender| [STORE, "redb"].contains(&contender.name),
        |setup| Setup { cache_bytes: CACHE_BYTES, by_itself: false, ..setup },
    );
    for one in &running {
        run.doing(&format!("{}: loading {} pairs", one.name(), run.scale.pairs));
        load(&*one.engine, 0..run.scale.pairs, |_| Shape::lasting(ROW_BYTES));
        one.engine.settle();
        if let Some(store) = one.engine.store() {
            store.checkpoint().wait().expect("a checkpoint");
        }
    }
    let measure = Measure::new("look up a token, cold, one thread", "us", false);
    let mut measure = measure.bound(Bound::Side("redb".to_owned(), 1.0)).note(format!(
        "{} pairs in the table, page cache warm, {} KiB of the engine's own.",
        run.scale.pairs,
        CACHE_BYTES >> 10
    ));
    for round in 0..run.scale.rounds {
        for one in Run::in_turn(round, &running) {
            let us = look_up_us(one, 0..run.scale.pairs, true, run.scale.turn);
            measure.push(one.name(), one.kind(), us);
        }
    }
    comparison.measures.push(measure);
    drop(running);
    run.clear(place);
}
