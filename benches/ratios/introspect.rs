//! Introspection against the bare look-up of the token's row by its text, hot, one caller.

use crate::lookup::ns_each;
use crate::scale::Scale;
use crate::table::{Bound, Line, median, ratios};
use grantkeep::{Embedded, Token, Wait};
use grantkeep_benches::workload::LONG_TOKEN_CHARACTERS;
use grantkeep_benches::{Random, Scratch, granted};
use grantkeep_grants::{Grants, Introspection, Secret};
use std::hint::black_box;

const ROUNDS: usize = 7;
const TURN_MS: u64 = 250;
const FAMILIES: u64 = 100_000;

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let mut lines = Vec::new();
    for characters in granted::CHARACTERS {
        let scratch = Scratch::new();
        let grants = granted::grants(&scratch, characters);
        lines.push(compare(scale, &grants, format!("introspect, {characters} characters")));
    }
    let scratch = Scratch::new();
    let grants = granted::grants_with_minter(&scratch, LONG_TOKEN_CHARACTERS);
    let what = format!("introspect a brought text, {LONG_TOKEN_CHARACTERS} characters");
    lines.push(compare(scale, &grants, what));
    lines
}

fn compare(scale: &Scale, grants: &Grants<Embedded>, what: String) -> Line {
    let tokens = granted::tokens(grants, scale.rows(FAMILIES) as usize);
    let turn = scale.turn(TURN_MS);
    let any =
        |random: &mut Random| -> &Secret { &tokens[random.below(tokens.len() as u64) as usize] };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (mut one, mut other) = (Random::new(round as u64), Random::new(round as u64));
        bare.push(ns_each(turn, || {
            let text = black_box(any(&mut one).expose()).as_bytes();
            let held = grants.store().find::<Token>(text).wait().expect("a look-up");
            assert!(black_box(held).is_some(), "a token is missing");
        }));
        ours.push(ns_each(turn, || {
            let text = black_box(any(&mut other).expose());
            let answer = grants.introspect(text).wait().expect("an introspection");
            let active = matches!(black_box(answer), Introspection::Active(_));
            assert!(active, "a token is not active");
        }));
    }
    Line {
        what: format!("{what} / bare look-up"),
        sides: format!("{:.0} ns against {:.0} ns", median(&ours), median(&bare)),
        rounds: ratios(&ours, &bare),
        unit: " x",
        bound: Bound::AtMost(2.0),
    }
}
