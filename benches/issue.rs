//! Durable issuing of pairs by callers that wait for the disk, on a store with rows in it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grantkeep::Store;
use grantkeep_benches::workload::{FAMILY_LIFETIME, Issuer, TOKEN_LIFETIME};
use grantkeep_benches::{CALLERS, Scratch, Until, crowd, granted, load};
use std::hint::black_box;

const LOADED_PAIRS: u64 = 100_000;

fn issue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("issue");
    group.sample_size(10).throughput(Throughput::Elements(1));
    let budgets = [("whole log", grantkeep::LOG_BUDGET_BYTES), ("log of 8 MiB", 8 << 20)];
    for (name, log_budget_bytes) in budgets {
        let scratch = Scratch::new();
        let options = Store::options().log_budget_bytes(log_budget_bytes);
        let store = options.open(scratch.path("store")).expect("a store");
        load::pairs(&store, 0..LOADED_PAIRS, TOKEN_LIFETIME, FAMILY_LIFETIME);
        for characters in granted::CHARACTERS {
            for callers in [1, CALLERS, 16 * CALLERS] {
                let issuers = Issuer::crowd(callers, (callers + characters) as u64).into_iter();
                let mut issuers: Vec<_> =
                    issuers.map(|issuer| issuer.with_characters(characters)).collect();
                let name = format!("{name}, {callers} callers, {characters} characters");
                group.bench_function(name, |bencher| {
                    bencher.iter_custom(|calls| {
                        let work = |issuer: &mut Issuer| issuer.issue(black_box(&store));
                        let ran = crowd(&mut issuers, Until::Calls(calls), work);
                        // Each caller made a whole number of calls, so there may be some more.
                        ran.took.mul_f64(calls as f64 / ran.calls() as f64)
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, issue);
criterion_main!(benches);
