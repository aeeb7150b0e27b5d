//! Carrying rows from the log into the table, by rows.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grantkeep::{Store, Wait};
use grantkeep_benches::workload::{FAMILY_LIFETIME, TOKEN_LIFETIME};
use grantkeep_benches::{Scratch, granted, load};
use std::time::{Duration, Instant};

const ROWS: u64 = 50_000;

fn checkpoint(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    for characters in granted::CHARACTERS {
        group.bench_function(format!("tokens of {characters} characters"), |bencher| {
            bencher.iter_custom(|times| {
                carried(times, |store| load::tokens(store, 0..ROWS, characters, TOKEN_LIFETIME))
            });
        });
    }
    group.bench_function("families", |bencher| {
        bencher.iter_custom(|times| {
            carried(times, |store| load::families(store, 0..ROWS, FAMILY_LIFETIME))
        });
    });
    group.finish();
}

/// Fills so many stores, and answers how long their checkpoints took together.
fn carried(times: u64, fill: impl Fn(&Store)) -> Duration {
    let each = |_| {
        let scratch = Scratch::new();
        let store = Store::options().by_itself(false).open(scratch.path("store"));
        let store = store.expect("a store");
        fill(&store);
        let started = Instant::now();
        store.checkpoint().wait().expect("a checkpoint");
        let took = started.elapsed();
        assert_eq!(store.stats().carried_rows, ROWS, "not all of the rows were carried");
        took
    };
    (0..times).map(each).sum()
}

criterion_group!(benches, checkpoint);
criterion_main!(benches);
