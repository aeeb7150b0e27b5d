//! Listing rows by a term, page by page.

use super::Check;
use super::trial::{CLIENT, FAMILY, HOUR, Trial, Verdict, batch, ensure, listed, nth, same, term};
use crate::backend::{BATCH_STEPS_MAX, Backend, Batch, Key, PAGE_ROWS_MAX, Row, Term, Terms};
use crate::wait::Wait as _;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("a term that no row carries lists nothing", unknown_term),
        Check::new("rows are listed whole, in the order of their keys", in_order),
        Check::new("pages of every size join to the whole listing", every_page_size),
        Check::new("a listing starts after any key, stored or not", after_any_key),
        Check::new("2,500 rows are listed in pages that are never over the limit", many),
        Check::new("a listing follows replacements and deletions", follows_changes),
        Check::new("pages go on after the rows they ended at are deleted", deleted_cursor),
        Check::new("a row with two terms is listed by both, and once by each", two_terms),
        Check::new("a row with four terms is listed by each, and once", four_terms),
        Check::new("a row is never listed by the term of another", no_cross_talk),
        Check::new("a key that is inserted again is listed by its new terms only", other_terms),
    ]
}

/// Inserts rows under `keys` that carry `terms`.
fn fill<B: Backend>(trial: &Trial<B>, keys: &[Key], terms: Terms) -> Verdict {
    for keys in keys.chunks(BATCH_STEPS_MAX) {
        let mut batch = Batch::new()?;
        for key in keys {
            batch.insert(*key, listed(trial.row(key.to_bytes()), terms));
        }
        trial.applies(&batch)?;
    }
    Ok(())
}

fn families(count: u64) -> Vec<Key> {
    (0..count).map(|n| nth(if n % 3 == 0 { CLIENT } else { FAMILY }, n)).collect()
}

fn unknown_term<B: Backend>(trial: &Trial<B>) -> Verdict {
    trial.lists(term(1), [])?;
    trial.insert(nth(FAMILY, 0), trial.row("without terms"))?;
    trial.insert(nth(FAMILY, 1), listed(trial.row("another"), Terms::one(term(2))))?;
    trial.lists(term(1), [])
}

fn in_order<B: Backend>(trial: &Trial<B>) -> Verdict {
    let keys = families(50);
    for key in &keys {
        trial.insert(*key, listed(trial.row(key.to_bytes()), Terms::one(term(1))))?;
    }
    trial.lists(term(1), keys)?;
    for row in trial.list(term(1), PAGE_ROWS_MAX)? {
        ensure!(
            row.value() == row.key().to_bytes(),
            "{:?} is listed with another value",
            row.key()
        );
    }
    Ok(())
}

fn every_page_size<B: Backend>(trial: &Trial<B>) -> Verdict {
    let keys = families(23);
    fill(trial, &keys, Terms::one(term(1)))?;
    trial.lists(term(1), keys.iter().copied())?;
    let whole = trial.list(term(1), PAGE_ROWS_MAX)?;
    for limit in 1..=keys.len() + 1 {
        let paged = trial.list(term(1), limit)?;
        let alike = paged.len() == whole.len()
            && paged.iter().zip(&whole).all(|(paged, whole)| same(paged, whole));
        ensure!(alike, "pages of {limit} list {} rows of {}", paged.len(), whole.len());
    }
    Ok(())
}

fn after_any_key<B: Backend>(trial: &Trial<B>) -> Verdict {
    let keys = families(40);
    let mut stored: Vec<Key> = keys.iter().copied().step_by(2).collect();
    fill(trial, &stored, Terms::one(term(1)))?;
    stored.sort_unstable();
    for after in keys {
        let page = trial.backend.list(term(1), Some(after), PAGE_ROWS_MAX).wait()?;
        let first = page.rows.first().map(Row::key);
        let expected = stored.iter().copied().find(|key| *key > after);
        ensure!(first == expected, "the row after {after:?} is {first:?}, not {expected:?}");
    }
    Ok(())
}

fn many<B: Backend>(trial: &Trial<B>) -> Verdict {
    let keys = families(2_500);
    fill(trial, &keys, Terms::two(term(1), term(2)))?;
    for limit in [7, 999, PAGE_ROWS_MAX] {
        let listed = trial.list(term(2), limit)?.len();
        ensure!(listed == keys.len(), "pages of {limit} list {listed} rows of {}", keys.len());
    }
    for limit in [PAGE_ROWS_MAX + 1, 5_000, usize::MAX] {
        let page = trial.backend.list(term(1), None, limit).wait()?;
        let rows = page.rows.len();
        ensure!(rows <= PAGE_ROWS_MAX, "a page of {limit} rows was asked for, and has {rows}");
        ensure!(page.next.is_some(), "a page of {rows} rows of 2,500 names no next one");
    }
    trial.lists(term(1), keys)
}

fn follows_changes<B: Backend>(trial: &Trial<B>) -> Verdict {
    let terms = Terms::one(term(1));
    let mut keys = families(60);
    fill(trial, &keys, terms)?;
    for key in keys.iter().step_by(2) {
        trial.replace(&trial.held(*key)?, listed(trial.row_for(3 * HOUR, "new"), terms))?;
    }
    trial.lists(term(1), keys.iter().copied())?;
    for key in keys.iter().step_by(3) {
        trial.delete(&trial.held(*key)?)?;
    }
    let mut at = 0;
    keys.retain(|_| {
        at += 1;
        (at - 1) % 3 != 0
    });
    trial.lists(term(1), keys.iter().copied())?;
    for limit in [1, 4] {
        let paged = trial.list(term(1), limit)?.len();
        ensure!(paged == keys.len(), "pages of {limit} list {paged} rows of {}", keys.len());
    }
    Ok(())
}

fn deleted_cursor<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut keys = families(30);
    fill(trial, &keys, Terms::one(term(1)))?;
    keys.sort_unstable();
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = trial.backend.list(term(1), after, 4).wait()?;
        for row in &page.rows {
            trial.delete(row)?;
            listed.push(row.key());
        }
        after = page.next;
        if after.is_none() || page.rows.is_empty() {
            break;
        }
    }
    let (listed_count, count) = (listed.len(), keys.len());
    ensure!(listed == keys, "{listed_count} of {count} rows are listed while they are deleted");
    trial.lists(term(1), [])
}

fn two_terms<B: Backend>(trial: &Trial<B>) -> Verdict {
    let (a, b, c) = (term(1), term(2), term(3));
    let all = [Terms::two(a, b), Terms::two(b, a), Terms::two(b, c), Terms::two(c, c)];
    for (n, terms) in (0..).zip(all) {
        trial.insert(nth(FAMILY, n), listed(trial.row("listed"), terms))?;
    }
    let keys = |wanted: &[u64]| wanted.iter().map(|n| nth(FAMILY, *n)).collect::<Vec<_>>();
    trial.lists(a, keys(&[0, 1]))?;
    trial.lists(b, keys(&[0, 1, 2]))?;
    trial.lists(c, keys(&[2, 3]))?;
    trial.delete(&trial.held(nth(FAMILY, 1))?)?;
    trial.lists(a, keys(&[0]))?;
    trial.lists(b, keys(&[0, 2]))
}

fn four_terms<B: Backend>(trial: &Trial<B>) -> Verdict {
    let all = [1, 2, 3, 4].map(|number| Some(term(number)));
    let [a, b, c, d] = all;
    for (n, terms) in (0..).zip([all, [d, c, b, a], [None, b, b, d], [a, None, None, c]]) {
        trial.insert(nth(FAMILY, n), listed(trial.row("listed"), Terms::of(terms)))?;
    }
    let keys = |wanted: &[u64]| wanted.iter().map(|n| nth(FAMILY, *n)).collect::<Vec<_>>();
    trial.lists(term(1), keys(&[0, 1, 3]))?;
    trial.lists(term(2), keys(&[0, 1, 2]))?;
    trial.lists(term(3), keys(&[0, 1, 3]))?;
    trial.lists(term(4), keys(&[0, 1, 2]))?;
    trial.delete(&trial.held(nth(FAMILY, 0))?)?;
    for number in 1..=4 {
        let carried = trial.list(term(number), 1)?.iter().map(Row::key).collect::<Vec<_>>();
        ensure!(carried.contains(&nth(FAMILY, 1)), "it is not listed by term {number}");
        ensure!(!carried.contains(&nth(FAMILY, 0)), "it is listed by term {number} for ever");
    }
    Ok(())
}

fn no_cross_talk<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut terms = vec![term(0), term(u8::MAX), term(7)];
    for at in [0, 7, 8, 15] {
        let mut bytes = [7; 16];
        for byte in bytes.iter_mut().skip(at).take(1) {
            *byte = 8;
        }
        terms.push(Term(bytes));
    }
    // Every term has rows with the same ids, under one kind each.
    let keys = |at: usize| (0..5).map(move |n| nth(FAMILY, at as u64 * 5 + n)).collect::<Vec<_>>();
    for (at, term) in terms.iter().enumerate() {
        fill(trial, &keys(at), Terms::one(*term))?;
    }
    for (at, term) in terms.iter().enumerate() {
        trial.lists(*term, keys(at))?;
        let paged = trial.list(*term, 2)?.len();
        ensure!(paged == 5, "pages of 2 list {paged} rows of 5 by {term:?}");
    }
    Ok(())
}

fn other_terms<B: Backend>(trial: &Trial<B>) -> Verdict {
    let key = nth(FAMILY, 0);
    let row = trial.insert(key, listed(trial.row("first"), Terms::two(term(1), term(2))))?;
    trial.delete(&row)?;
    let second = listed(trial.row("second"), Terms::two(term(2), term(3)));
    trial.applies(&batch(|batch| batch.insert(key, second))?)?;
    trial.lists(term(1), [])?;
    trial.lists(term(2), [key])?;
    trial.lists(term(3), [key])
}
