//! How long issuing takes while the store is quiet, while it carries, and while it sweeps.

use crate::scale::Scale;
use crate::table::{Bound, Line, median, ratios};
use grantkeep::backend::Budget;
use grantkeep::{Clock, ManualClock, Store, Wait};
use grantkeep_benches::dying::manual_clock;
use grantkeep_benches::workload::Issuer;
use grantkeep_benches::{CALLERS, Ran, Scratch, Until, crowd, load};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const ROUNDS: usize = 4;
const TURN_MS: u64 = 700;
const LOADED_PAIRS: u64 = 200_000;
/// Loaded rows die over this many windows, each as long as one step.
const STEPS: u64 = 25;
const STEP: Duration = Duration::from_secs(128);
const LIFETIME: Duration = Duration::from_secs(3_600);

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let scratch = Scratch::new();
    let clock = manual_clock();
    let store = open(&scratch, &clock, scale.rows(LOADED_PAIRS));
    let issuers = Issuer::crowd(CALLERS, 2).into_iter();
    let mut issuers: Vec<_> =
        issuers.map(|issuer| issuer.with_lifetimes(LIFETIME, LIFETIME)).collect();
    let turn = scale.turn(TURN_MS);
    let (checkpoints, swept) = (AtomicU64::new(0), AtomicU64::new(0));
    let checkpoint = || {
        store.checkpoint().wait().expect("a checkpoint");
        checkpoints.fetch_add(1, Ordering::Relaxed);
    };
    let sweep = || {
        clock.advance(STEP);
        let done = store.sweep(Budget::ALL).wait().expect("a sweep");
        swept.fetch_add(done.rows, Ordering::Relaxed);
        if done.rows == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    };
    let mut p99: [Vec<f64>; 3] = Default::default();
    let mut p50: [Vec<f64>; 3] = Default::default();
    let mut rates: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let quiet = crowd(&mut issuers, Until::Elapsed(turn), |issuer| issuer.issue(&store));
        let carrying = beside(&mut issuers, turn, &store, checkpoint);
        let sweeping = beside(&mut issuers, turn, &store, sweep);
        for (number, ran) in [quiet, carrying, sweeping].iter().enumerate() {
            p99[number].push(ran.quantile(0.99).as_secs_f64() * 1e3);
            p50[number].push(ran.quantile(0.5).as_secs_f64() * 1e3);
            rates[number].push(ran.per_second());
        }
    }
    let (checkpoints, swept) = (checkpoints.into_inner(), swept.into_inner());
    println!("  (latency: {checkpoints} checkpoints and {swept} rows swept meanwhile)");
    let [quiet, ..] = &p99;
    let line = |number: usize, what: &str| Line {
        what: format!("p99 of issuing, {what} / quiet"),
        sides: format!(
            "{:.2} ms against {:.2} ms; p50 {:.2} against {:.2} ms; {:.0}/s against {:.0}/s",
            median(&p99[number]),
            median(quiet),
            median(&p50[number]),
            median(&p50[0]),
            median(&rates[number]),
            median(&rates[0]),
        ),
        rounds: ratios(&p99[number], quiet),
        unit: " x",
        bound: Bound::AtMost(2.0),
    };
    vec![line(1, "carrying all the time"), line(2, "sweeping all the time")]
}

/// A store on `clock` with pairs in the table that die window by window.
fn open(scratch: &Scratch, clock: &Arc<ManualClock>, pairs: u64) -> Store {
    let options = Store::options().clock(Arc::clone(clock) as Arc<dyn Clock>).by_itself(false);
    let store = options.open(scratch.path("store")).expect("a store");
    for step in 0..STEPS {
        let from = step * pairs / STEPS;
        load::pairs(&store, from..(step + 1) * pairs / STEPS, LIFETIME, LIFETIME);
        clock.advance(STEP);
    }
    store.checkpoint().wait().expect("a checkpoint");
    store
}

/// Issues while another thread does `other` over and over.
fn beside(issuers: &mut [Issuer], turn: Duration, store: &Store, other: impl Fn() + Sync) -> Ran {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                other();
            }
        });
        let ran = crowd(issuers, Until::Elapsed(turn), |issuer| issuer.issue(store));
        over.store(true, Ordering::Relaxed);
        ran
    })
}
