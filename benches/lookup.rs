//! Look-ups by the text of a token: hot, cold, and unknown, one caller.

use criterion::{Criterion, criterion_group, criterion_main};
use grantkeep::{Held, Store, Token, Wait};
use grantkeep_benches::workload::{
    LONG_TOKEN_CHARACTERS, TOKEN_CHARACTERS, TOKEN_LIFETIME, TokenText,
};
use grantkeep_benches::{Random, Scratch, load};
use std::hint::black_box;

const TOKENS: u64 = 500_000;

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    for characters in [TOKEN_CHARACTERS, LONG_TOKEN_CHARACTERS] {
        let (scratch, mut random) = (Scratch::new(), Random::new(1));
        let mut text = TokenText::new(characters);
        let store = Store::options().row_cache_bytes(1 << 30).open(scratch.path("store"));
        let store = store.expect("a store");
        load::tokens(&store, 0..TOKENS, characters, TOKEN_LIFETIME);
        group.bench_function(format!("hot, {characters} characters"), |bencher| {
            bencher.iter(|| find(&store, text.of(random.below(TOKENS))));
        });
        group.bench_function(format!("unknown, {characters} characters"), |bencher| {
            bencher.iter(|| find(&store, text.of(TOKENS + random.below(TOKENS))));
        });
    }
    let (scratch, mut random) = (Scratch::new(), Random::new(1));
    let mut text = TokenText::new(TOKEN_CHARACTERS);
    let store = Store::options().row_cache_bytes(0).open(scratch.path("store")).expect("a store");
    load::tokens(&store, 0..TOKENS, TOKEN_CHARACTERS, TOKEN_LIFETIME);
    group.bench_function("from the log", |bencher| {
        bencher.iter(|| find(&store, text.of(random.below(TOKENS))));
    });
    store.checkpoint().wait().expect("a checkpoint");
    group.bench_function("from the table", |bencher| {
        bencher.iter(|| find(&store, text.of(random.below(TOKENS))));
    });
    group.finish();
}

fn find(store: &Store, text: &[u8]) -> Option<Held<Token>> {
    store.find::<Token>(black_box(text)).wait().expect("a look-up")
}

criterion_group!(benches, lookup);
criterion_main!(benches);
