//! Rotations of families: read, put the next generation in place by version, wait for the disk.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grantkeep::Store;
use grantkeep_benches::workload::{FAMILY_LIFETIME, Rotator};
use grantkeep_benches::{CALLERS, Scratch, Until, crowd, load};
use std::hint::black_box;

const FAMILIES: u64 = 200_000;

fn rotate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rotate");
    group.sample_size(10).throughput(Throughput::Elements(1));
    let scratch = Scratch::new();
    let store = Store::open(scratch.path("store")).expect("a store");
    load::families(&store, 0..FAMILIES, FAMILY_LIFETIME);
    for callers in [1, CALLERS] {
        let mut rotators = Rotator::crowd(callers, FAMILIES);
        group.bench_function(format!("{callers} callers"), |bencher| {
            bencher.iter_custom(|calls| {
                let work = |rotator: &mut Rotator| rotator.rotate(black_box(&store));
                let ran = crowd(&mut rotators, Until::Calls(calls), work);
                ran.took.mul_f64(calls as f64 / ran.calls() as f64)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rotate);
criterion_main!(benches);
