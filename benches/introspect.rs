//! Introspection by the text of an access token, beside the bare look-up of its row, one caller.

use criterion::{Criterion, criterion_group, criterion_main};
use grantkeep::{Embedded, Store, Token, Wait};
use grantkeep_benches::{Random, Scratch, granted};
use grantkeep_grants::{Grants, Introspection};
use std::hint::black_box;

const FAMILIES: usize = 100_000;

fn introspect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("introspect");
    for characters in granted::CHARACTERS {
        let (scratch, mut random) = (Scratch::new(), Random::new(1));
        let grants = granted::grants(&scratch, characters);
        let tokens = granted::tokens(&grants, FAMILIES);
        let mut any = || tokens[random.below(tokens.len() as u64) as usize].expose();
        group.bench_function(format!("bare look-up, {characters} characters"), |bencher| {
            bencher.iter(|| find(grants.store(), any()));
        });
        group.bench_function(format!("active, {characters} characters"), |bencher| {
            bencher.iter(|| active(&grants, any()));
        });
    }
    group.finish();
}

fn find(store: &Store, token: &str) {
    let held = store.find::<Token>(black_box(token).as_bytes()).wait().expect("a look-up");
    assert!(black_box(held).is_some(), "a token is missing");
}

fn active(grants: &Grants<Embedded>, token: &str) {
    let answer = grants.introspect(black_box(token)).wait().expect("an introspection");
    assert!(matches!(black_box(answer), Introspection::Active(_)), "a token is not active");
}

criterion_group!(benches, introspect);
criterion_main!(benches);
