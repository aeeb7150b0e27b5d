//! Refreshing: one read and one durable batch each, by callers that wait for the disk; each caller
//! goes round families of its own.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grantkeep::Wait;
use grantkeep_benches::{CALLERS, Scratch, Until, crowd, granted};
use grantkeep_grants::{RefreshRequest, Refreshed, Secret};
use std::collections::VecDeque;
use std::hint::black_box;

/// Families of each caller.
const FAMILIES: usize = 2_000;

fn refresh(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refresh");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for characters in granted::CHARACTERS {
        let scratch = Scratch::new();
        let grants = granted::grants(&scratch, characters);
        let request = RefreshRequest::by(granted::CLIENT);
        let work = |tokens: &mut VecDeque<Secret>| {
            let token = tokens.pop_front().expect("a token for each call");
            let answer = grants.refresh(black_box(token.expose()), &request).wait();
            let Ok(Refreshed::Rotated(pair)) = answer else { panic!("{answer:?}") };
            tokens.push_back(pair.refresh.expect("a refresh token"));
        };
        for callers in [1, CALLERS] {
            let mut tokens: Vec<VecDeque<Secret>> =
                (0..callers).map(|_| granted::refresh_tokens(&grants, FAMILIES).into()).collect();
            group.bench_function(format!("{callers} callers, {characters} characters"), |b| {
                b.iter_custom(|calls| {
                    let ran = crowd(&mut tokens, Until::Calls(calls), work);
                    ran.took.mul_f64(calls as f64 / ran.calls() as f64)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, refresh);
criterion_main!(benches);
