//! The memory of the index, and the disk after ten lifetimes at a constant number of live rows.

use crate::engine::Setup;
use crate::engines::STORE;
use crate::machine::disk_bytes;
use crate::run::{Run, load};
use crate::workload::Shape;
use grantkeep::backend::Budget;
use grantkeep::{ManualClock, Wait as _};
use grantkeep_report::{Bound, Comparison, Kind, Measure};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const ROW_BYTES: usize = 300;
/// What the store adds to a value: its header, described in `docs/format.md`.
const ROW_HEADER_BYTES: usize = 80;
const LIFETIME: Duration = Duration::from_secs(3_600);
const LIFETIMES: u64 = 10;
/// Parts of a lifetime in which the rows of one part are issued, and as many die.
const PARTS: u32 = 40;

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    comparison.measures.push(index(run));
    comparison.measures.push(churn(run));
}

fn index(run: &Run) -> Measure {
    let running = run.open("size", |contender| contender.name == STORE, |setup| setup);
    let engine = &*running[0].engine;
    let store = engine.store().expect("it is the store");
    let mut measure = Measure::new("index, memory of a row", "bytes", false)
        .bound(Bound::Figure(32.0))
        .note("At ten sizes up to the largest, since a table is at its worst when it has grown.");
    let steps = 10;
    for step in 0..steps {
        run.doing("grantkeep: growing the index");
        let pairs = run.scale.pairs;
        load(engine, step * pairs / steps..(step + 1) * pairs / steps, |_| {
            Shape::lasting(ROW_BYTES)
        });
        let stats = store.stats();
        measure.push(STORE, Kind::Store, stats.index_bytes as f64 / stats.rows_total() as f64);
    }
    drop(running);
    run.clear("size");
    measure
}

fn churn(run: &Run) -> Measure {
    let clock = Arc::new(ManualClock::at(SystemTime::now()));
    let place = "churn";
    let running = run.open(
        place,
        |contender| contender.name == STORE,
        |setup| Setup { log_budget_bytes: run.scale.short_log_bytes, ..setup.on(&clock) },
    );
    let engine = &*running[0].engine;
    let store = engine.store().expect("it is the store");
    let mut measure = Measure::new("disk of a live row after ten lifetimes", "bytes", false)
        .bound(Bound::Figure(1.3 * (ROW_BYTES + ROW_HEADER_BYTES) as f64));
    let (part, mut next) = (run.scale.pairs / 5 / u64::from(PARTS), 0);
    let lives = Shape::living(ROW_BYTES, LIFETIME);
    let live = 2 * part * u64::from(PARTS);
    let dir = run.scratch.path(&format!("{place} {STORE}")).join("store");
    for lifetime in 0..=LIFETIMES {
        run.doing(&format!("grantkeep: lifetime {lifetime} of {LIFETIMES}"));
        for _ in 0..PARTS {
            load(engine, next..next + part, |_| lives);
            next += part;
            store.checkpoint().wait().expect("a checkpoint");
            clock.advance(LIFETIME / PARTS);
            store.sweep(Budget::ALL).wait().expect("a sweep");
        }
        // The log with the segments that are kept for reuse.
        let beside = disk_bytes(&dir.join("log")) + grantkeep::RESERVE_BYTES;
        let table = disk_bytes(&dir).saturating_sub(beside) as f64;
        if lifetime > 0 {
            measure.push(STORE, Kind::Store, table / live as f64);
        }
    }
    drop(running);
    run.clear(place);
    measure.note(format!(
        "{live} live rows of {} bytes, all of them carried into the table; without the log and \
         the reserve. A row counts as dead at its expiry, and is there until its window has ended.",
        ROW_BYTES + ROW_HEADER_BYTES
    ))
}
