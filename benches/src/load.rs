//! Filling a store before it is measured, many rows a batch.

use crate::random::mix;
use crate::workload::{TOKEN_CHARACTERS, TokenText, family, family_id, token};
use grantkeep::backend::Outcome;
use grantkeep::{Change, Epochs, FAMILY_ID_BYTES, FamilyId, Store, Wait};
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// Rows of one batch while loading; below the store's limit.
const BATCH_ROWS: u64 = 60;
/// Threads that load.
const LOADERS: u64 = 8;

/// Issues the tokens of these numbers, with texts of so many characters.
pub fn tokens(store: &Store, numbers: Range<u64>, characters: usize, lifetime: Duration) {
    share_out(store, numbers, |change, number| {
        let mut text = TokenText::new(characters);
        let id = store.id(text.of(number)).expect("the token is within its limits");
        let family = FamilyId([0; FAMILY_ID_BYTES]);
        let row = token(number, Some(family), Epochs::default(), store.now());
        let until = store.now().saturating_add(lifetime);
        change.insert(id, &row, until).expect("the token is within its limits");
    });
}

/// Opens the families of these numbers.
pub fn families(store: &Store, numbers: Range<u64>, lifetime: Duration) {
    share_out(store, numbers, |change, number| {
        let id = family_id(number);
        let row = family(number, id, [7; 32], Epochs::default(), store.now());
        let until = store.now().saturating_add(lifetime);
        change.insert(id.digest(), &row, until).expect("the family is within its limits");
    });
}

/// Issues as many pairs: families, and tokens of the usual length.
pub fn pairs(store: &Store, numbers: Range<u64>, token_lifetime: Duration, family: Duration) {
    families(store, numbers.clone(), family);
    // Away from the numbers that callers draw and from those of other loads.
    let tokens_from = mix(numbers.start) >> 8;
    let count = numbers.end - numbers.start;
    tokens(store, tokens_from..tokens_from + count, TOKEN_CHARACTERS, token_lifetime);
}

fn share_out(store: &Store, numbers: Range<u64>, fill: impl Fn(&mut Change, u64) + Sync) {
    let share = (numbers.end - numbers.start).div_ceil(LOADERS).max(1);
    thread::scope(|scope| {
        for loader in 0..LOADERS {
            let from = (numbers.start + loader * share).min(numbers.end);
            let end = (from + share).min(numbers.end);
            let fill = &fill;
            scope.spawn(move || {
                let mut next = from;
                while next < end {
                    let mut change = store.change().expect("a change");
                    let last = (next + BATCH_ROWS).min(end);
                    (next..last).for_each(|number| fill(&mut change, number));
                    next = last;
                    let outcome = store.commit(change).wait().expect("the store takes the rows");
                    assert_eq!(outcome, Outcome::Applied, "a load met rows of the same ids");
                }
            });
        }
    });
}
