//! Redeeming codes: one read and one durable batch each, by callers that wait for the disk.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grantkeep::Wait;
use grantkeep_benches::{CALLERS, Scratch, Until, crowd, granted};
use grantkeep_grants::{Presented, Redeemed, Secret};
use std::hint::black_box;

fn redeem(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("redeem");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for characters in granted::CHARACTERS {
        let scratch = Scratch::new();
        let grants = granted::grants(&scratch, characters);
        let presented = Presented::by(granted::CLIENT);
        let work = |codes: &mut Vec<Secret>| {
            let code = codes.pop().expect("a code for each call");
            let answer = grants.redeem(black_box(code.expose()), &presented).wait();
            assert!(matches!(answer, Ok(Redeemed::Granted(_))), "{answer:?}");
        };
        for callers in [1, CALLERS] {
            group.bench_function(format!("{callers} callers, {characters} characters"), |b| {
                b.iter_custom(|calls| {
                    let each = calls.div_ceil(callers as u64) as usize;
                    let mut codes: Vec<_> =
                        (0..callers).map(|_| granted::codes(&grants, each)).collect();
                    let ran = crowd(&mut codes, Until::Calls(calls), work);
                    ran.took.mul_f64(calls as f64 / ran.calls() as f64)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, redeem);
criterion_main!(benches);
