//! Issuing for so long that everything an engine puts off has to be done: the store's log is
//! written through at least five times, the peers flush and compact, and what dies is swept.

use super::issue::frame_bytes;
use crate::callers::{self, Caller, TASKS, Work};
use crate::engine::Setup;
use crate::run::{Run, Running, load};
use crate::workload::{Shape, now_ms};
use grantkeep_benches::{CALLERS, Ran, Sample};
use grantkeep_report::{Bound, Comparison, Mark, Measure, Plot};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const ROUNDS: usize = 2;
const ROW_BYTES: usize = 300;
/// Tokens and families die while they are measured.
const TOKEN_LIFETIME: Duration = Duration::from_secs(10);
const FAMILY_LIFETIME: Duration = Duration::from_secs(30);
/// A peer is swept this often, as a job of its server would.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// The store's background work is looked at this often, for the plot.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The latencies of this long make a point of the plot.
const BIN: Duration = Duration::from_millis(250);
const BUDGETS_MIN: f64 = 5.0;

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    let runtime = Runtime::new().expect("a runtime");
    let shape = Shape {
        token_lifetime: TOKEN_LIFETIME,
        family_lifetime: FAMILY_LIFETIME,
        ..Shape::lasting(ROW_BYTES)
    };
    for callers in [CALLERS, TASKS] {
        let place = format!("sustained {callers}");
        let running = run.open(
            &place,
            |contender| callers == CALLERS || !contender.server,
            |setup| Setup { log_budget_bytes: run.scale.short_log_bytes, ..setup },
        );
        for one in &running {
            run.doing(&format!("{}: loading", one.name()));
            load(&*one.engine, 0..run.scale.pairs / 2, |_| Shape::lasting(ROW_BYTES));
            one.engine.settle();
        }
        let (mut rates, mut tails) = measures(callers, run.scale.short_log_bytes >> 20);
        let frame_bytes = frame_bytes(&running[0], shape);
        let mut issued = 0;
        for round in 0..ROUNDS {
            for one in Run::in_turn(round, &running) {
                run.doing(&format!("{}: {}, round {}", one.name(), rates.name, round + 1));
                let watched = watch(one, || {
                    let turn = (callers * ROUNDS + round) as u64 | 1 << 40;
                    let crowd = Caller::crowd(callers, turn, shape, Work::Issue);
                    callers::run(&runtime, &one.engine, crowd, run.scale.long_turn)
                });
                rates.push(one.name(), one.kind(), watched.ran.per_second());
                let tail = watched.ran.quantile(0.99).as_secs_f64() * 1e3;
                tails.push(one.name(), one.kind(), tail);
                if one.engine.store().is_some() {
                    issued += watched.ran.calls();
                    if round + 1 == ROUNDS {
                        comparison.plots.push(over_time(callers, &watched));
                    }
                }
                one.engine.settle();
            }
        }
        let written = issued as f64 * frame_bytes as f64;
        let budgets = written / ROUNDS as f64 / run.scale.short_log_bytes as f64;
        let enough = if budgets < BUDGETS_MIN { " (too few to judge by)" } else { "" };
        let note = format!(
            "Turns of {} s. In each the store wrote {budgets:.1} of its log budgets{enough}; \
             peers are swept every second.",
            run.scale.long_turn.as_secs()
        );
        comparison.measures.extend([rates.note(note.clone()), tails.note(note)]);
        drop(running);
        run.clear(&place);
    }
}

fn measures(callers: usize, log_megabytes: u64) -> (Measure, Measure) {
    let who = callers::kind_of(callers);
    let name = format!("issue durably, sustained, {callers} {who}, log of {log_megabytes} MiB");
    let rates = Measure::new(name.clone(), "pairs/s", true);
    let tails = Measure::new(format!("p99 of it, {callers} {who}"), "ms", false);
    if callers == CALLERS {
        (rates.bound(Bound::BestPeer(1.5)), tails.bound(Bound::BestPeer(2.0)))
    } else {
        (rates.bound(Bound::BestPeer(2.0)), tails)
    }
}

/// A run, and what the store did in the background meanwhile.
struct Watched {
    ran: Ran,
    carried: Vec<(f64, f64)>,
    swept: Vec<(f64, f64)>,
}

/// Lets callers work while a peer is swept, and the store is looked at.
fn watch(one: &Running, work: impl FnOnce() -> Ran) -> Watched {
    let over = AtomicBool::new(false);
    let (mut carried, mut swept) = (Vec::new(), Vec::new());
    let ran = thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            let mut last = one.engine.store().map(|store| store.stats());
            let (mut seen, mut sweep_at) = (0.0, SWEEP_EVERY);
            while !over.load(Ordering::Relaxed) {
                thread::sleep(LOOK_EVERY);
                let now = started.elapsed();
                if let (Some(store), Some(before)) = (one.engine.store(), &mut last) {
                    let stats = store.stats();
                    let spans = [
                        (&mut carried, stats.carried_rows > before.carried_rows),
                        (&mut swept, stats.swept_rows > before.swept_rows),
                    ];
                    for (spans, went_on) in spans {
                        if went_on {
                            extend(spans, (seen, now.as_secs_f64()));
                        }
                    }
                    *before = stats;
                } else if !one.engine.sweeps_by_itself() && now > sweep_at {
                    one.engine.sweep(now_ms());
                    sweep_at = started.elapsed() + SWEEP_EVERY;
                }
                seen = now.as_secs_f64();
            }
        });
        let ran = work();
        over.store(true, Ordering::Relaxed);
        ran
    });
    Watched { ran, carried, swept }
}

/// Adds a span, or lengthens the last one if they meet.
fn extend(spans: &mut Vec<(f64, f64)>, (from, to): (f64, f64)) {
    match spans.last_mut() {
        Some(last) if from <= last.1 + LOOK_EVERY.as_secs_f64() => last.1 = to,
        _ => spans.push((from, to)),
    }
}

/// The latencies of the store over a turn, with what it did meanwhile.
fn over_time(callers: usize, watched: &Watched) -> Plot {
    let who = callers::kind_of(callers);
    let mut plot = Plot {
        file: format!("latency-{callers}"),
        title: format!("Latency of durable issuing over time, {callers} {who}"),
        across: "seconds".to_owned(),
        upwards: "milliseconds".to_owned(),
        logarithmic: (false, true),
        ..Plot::default()
    };
    let mut bins: BTreeMap<u128, Vec<Sample>> = BTreeMap::new();
    for sample in &watched.ran.samples {
        bins.entry(sample.ended.as_millis() / BIN.as_millis()).or_default().push(*sample);
    }
    for (bin, samples) in bins {
        let ran = Ran::new(BIN, samples);
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let took_ms = ran.quantile(share).as_secs_f64() * 1e3;
            plot.push(name, (bin as f64 * BIN.as_secs_f64(), took_ms));
        }
    }
    for (name, spans) in [("checkpoint", &watched.carried), ("sweep", &watched.swept)] {
        let mark = |&(from, to): &(f64, f64)| Mark { name: name.to_owned(), from, to };
        plot.marks.extend(spans.iter().map(mark));
    }
    plot
}
