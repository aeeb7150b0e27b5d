//! Looking up texts that the server made itself, all of which start with the same bytes: the bare
//! look-up of the row, introspection, and a text that was never issued, one caller.

use criterion::{Criterion, criterion_group, criterion_main};
use grantkeep::{Embedded, Token, Wait};
use grantkeep_benches::{Random, Scratch, granted};
use grantkeep_grants::{Grants, Introspection};
use std::hint::black_box;

const FAMILIES: usize = 50_000;

/// Beside the usual lengths, that of a signed token with many claims.
const SIGNED_CHARACTERS: usize = 4_000;

fn foreign_lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("foreign_lookup");
    for characters in granted::CHARACTERS.into_iter().chain([SIGNED_CHARACTERS]) {
        let (scratch, mut random) = (Scratch::new(), Random::new(1));
        let grants = granted::grants_with_minter(&scratch, characters);
        let tokens = granted::tokens(&grants, FAMILIES);
        let any = |random: &mut Random| tokens[random.below(tokens.len() as u64) as usize].expose();
        group.bench_function(format!("bare look-up, {characters} characters"), |bencher| {
            bencher.iter(|| {
                let text = black_box(any(&mut random)).as_bytes();
                let held = grants.store().find::<Token>(text).wait().expect("a look-up");
                assert!(black_box(held).is_some(), "a token is missing");
            });
        });
        group.bench_function(format!("introspect, {characters} characters"), |bencher| {
            bencher.iter(|| assert!(is_active(&grants, any(&mut random))));
        });
        let unknown = "def50200".repeat(characters.div_ceil(8)).split_at(characters).0.to_owned();
        group.bench_function(format!("unknown, {characters} characters"), |bencher| {
            bencher.iter(|| assert!(!is_active(&grants, &unknown)));
        });
    }
    group.finish();
}

fn is_active(grants: &Grants<Embedded>, token: &str) -> bool {
    let answer = grants.introspect(black_box(token)).wait().expect("an introspection");
    matches!(black_box(answer), Introspection::Active(_))
}

criterion_group!(benches, foreign_lookup);
criterion_main!(benches);
