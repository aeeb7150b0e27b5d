//! Sweeping windows whose rows have all died, from the log and from the table.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grantkeep_benches::dying::Dying;

const ROWS: u64 = 50_000;

fn sweep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sweep");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    for dying in [Dying::TokensInLog, Dying::TokensInTable, Dying::FamiliesInTable] {
        group.bench_function(dying.name(), |bencher| {
            let load = || dying.load(ROWS, 0);
            bencher.iter_batched(load, |dead| dead.sweep(), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, sweep);
criterion_main!(benches);
