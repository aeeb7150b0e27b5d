//! Opening a store that was killed: a copy of its directory, at two sizes, its rows in the log and
//! in the table.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use grantkeep::{Store, Wait};
use grantkeep_benches::scratch::copy_dir;
use grantkeep_benches::workload::TOKEN_LIFETIME;
use grantkeep_benches::{Scratch, granted, load};
use std::time::{Duration, Instant};

const ROWS: [u64; 2] = [50_000, 200_000];

fn reopen(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reopen");
    group.sample_size(10);
    for characters in granted::CHARACTERS {
        for rows in ROWS {
            for place in ["log", "table"] {
                let scratch = Scratch::new();
                let store = Store::open(scratch.path("killed")).expect("a store");
                load::tokens(&store, 0..rows, characters, TOKEN_LIFETIME);
                if place == "table" {
                    store.checkpoint().wait().expect("a checkpoint");
                }
                let name = format!("tokens of {characters} characters in the {place}");
                group.throughput(Throughput::Elements(rows));
                group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                    bencher
                        .iter_custom(|times| (0..times).map(|_| open_copy(&scratch, rows)).sum());
                });
            }
        }
    }
    group.finish();
}

/// Copies the store as a kill would leave it, and answers how long the copy takes to open.
fn open_copy(scratch: &Scratch, rows: u64) -> Duration {
    let copy = scratch.path("copy");
    copy_dir(&scratch.path("killed"), &copy).expect("a copy");
    let started = Instant::now();
    let store = Store::open(&copy).expect("the copy opens");
    let took = started.elapsed();
    assert_eq!(store.stats().rows_total(), rows, "the copy lacks rows");
    drop(store);
    std::fs::remove_dir_all(copy).expect("the copy goes");
    took
}

criterion_group!(benches, reopen);
criterion_main!(benches);
