//! Looking tokens up by their text, one caller: in memory, unknown, from the log, from the table.

use crate::scale::Scale;
use crate::table::{Bound, Line, median, ratios};
use grantkeep::{Epochs, FAMILY_ID_BYTES, FamilyId, Store, Timestamp, Token, Wait};
use grantkeep_benches::workload::{
    LONG_TOKEN_CHARACTERS, TOKEN_CHARACTERS, TOKEN_LIFETIME, TokenText, token,
};
use grantkeep_benches::yardstick::DigestMap;
use grantkeep_benches::{Random, Scratch, load};
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const TURN_MS: u64 = 250;
const TOKENS: u64 = 500_000;

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let tokens = scale.rows(TOKENS);
    let turn = scale.turn(TURN_MS);
    let mut lines = Vec::new();
    for characters in [TOKEN_CHARACTERS, LONG_TOKEN_CHARACTERS] {
        lines.extend(in_memory(tokens, characters, turn));
    }
    lines.extend(cold(tokens, turn));
    lines
}

fn in_memory(tokens: u64, characters: usize, turn: Duration) -> Vec<Line> {
    let scratch = Scratch::new();
    let store = Store::options().row_cache_bytes(1 << 30).open(scratch.path("store"));
    let store = store.expect("a store");
    load::tokens(&store, 0..tokens, characters, TOKEN_LIFETIME);
    let family = Some(FamilyId([0; FAMILY_ID_BYTES]));
    let map = DigestMap::new(tokens, characters, |number| {
        token(number, family, Epochs::default(), Timestamp::default())
    });
    let mut text = TokenText::new(characters);
    let (mut hot, mut unknown, mut in_map, mut not_in_map) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let (mut ours, mut theirs) = (Random::new(round as u64), Random::new(round as u64));
        hot.push(ns_each(turn, || found(&store, text.of(ours.below(tokens)), true)));
        in_map.push(ns_each(turn, || {
            let found = map.find(text.of(theirs.below(tokens)));
            assert!(black_box(found).is_some(), "a token is missing in the yardstick");
        }));
        unknown.push(ns_each(turn, || found(&store, text.of(tokens + ours.below(tokens)), false)));
        not_in_map.push(ns_each(turn, || {
            let found = map.find(text.of(tokens + theirs.below(tokens)));
            assert!(black_box(found).is_none(), "an unknown token is in the yardstick");
        }));
    }
    let against_map = |what: &str, ours: &[f64], theirs: &[f64], bound| Line {
        what: format!("look up {what}, {characters} characters / map"),
        sides: format!("{:.0} ns against {:.0} ns", median(ours), median(theirs)),
        rounds: ratios(ours, theirs),
        unit: " x",
        bound,
    };
    vec![
        against_map("hot", &hot, &in_map, Bound::AtMost(4.0)),
        against_map("unknown", &unknown, &not_in_map, Bound::Free),
    ]
}

fn cold(tokens: u64, turn: Duration) -> Vec<Line> {
    let scratch = Scratch::new();
    let store = Store::options().row_cache_bytes(0).open(scratch.path("store")).expect("a store");
    load::tokens(&store, 0..tokens, TOKEN_CHARACTERS, TOKEN_LIFETIME);
    let mut text = TokenText::new(TOKEN_CHARACTERS);
    let mut random = Random::new(7);
    let mut rounds = |known: bool| -> Vec<f64> {
        let mut us = || {
            ns_each(turn, || {
                let number = random.below(tokens) + if known { 0 } else { tokens };
                found(&store, text.of(number), known);
            }) / 1e3
        };
        (0..ROUNDS).map(|_| us()).collect()
    };
    let in_log = rounds(true);
    store.checkpoint().wait().expect("a checkpoint");
    let (in_table, unknown) = (rounds(true), rounds(false));
    let line = |what: &str, rounds| Line {
        what: format!("look up {what}, nothing kept"),
        sides: "page cache warm".to_owned(),
        rounds,
        unit: " us",
        bound: Bound::Free,
    };
    vec![line("in the log", in_log), line("in the table", in_table), line("unknown", unknown)]
}

fn found(store: &Store, text: &[u8], expected: bool) {
    let held = store.find::<Token>(black_box(text)).wait().expect("a look-up");
    assert_eq!(black_box(held).is_some(), expected, "a look-up answered the wrong thing");
}

/// Does `work` for a turn, and answers how long it took each time.
pub(crate) fn ns_each(turn: Duration, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut calls = 0_u64;
    while started.elapsed() < turn {
        for _ in 0..256 {
            work();
        }
        calls += 256;
    }
    started.elapsed().as_nanos() as f64 / calls as f64
}
