//! The limits every engine holds to: at the edge all is well, one over changes nothing.

use super::Check;
use super::trial::{FAMILY, TOKEN, Trial, Verdict, batch, listed, nth, term};
use crate::backend::{
    BATCH_BYTES_MAX, BATCH_STEPS_MAX, Backend, Batch, Expect, Terms, VALUE_BYTES_MAX,
};
use crate::error::ErrorKind;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("the limit on a batch's steps is exact", steps),
        Check::new("the limit on a value's bytes is exact", value_bytes),
        Check::new("the limit on a batch's bytes is exact", batch_bytes),
        Check::new("a key that stands twice in a batch is refused", key_twice),
        Check::new("a batch that writes nothing is refused", nothing_to_write),
        Check::new("terms on a write-once kind are refused", terms_on_write_once),
        Check::new("a replacement with other terms is refused", terms_are_fixed),
    ]
}

fn steps<B: Backend>(trial: &Trial<B>) -> Verdict {
    let keys = |count: usize| (0..count as u64).map(|n| nth(TOKEN, n));
    for over in [true, false] {
        let count = BATCH_STEPS_MAX + usize::from(over);
        let mut inserts = Batch::new()?;
        let mut requires = Batch::new()?;
        requires.insert(nth(FAMILY, 0), trial.row("new"));
        for key in keys(count) {
            inserts.insert(key, trial.row("new"));
        }
        for key in keys(count - 1) {
            requires.require(key, Expect::Absent);
        }
        if over {
            trial.refuses(&inserts, ErrorKind::Limit)?;
            trial.refuses(&requires, ErrorKind::Limit)?;
            trial.absent(nth(FAMILY, 0))?;
            keys(count).try_for_each(|key| trial.absent(key))?;
        } else {
            trial.applies(&requires)?;
            trial.applies(&inserts)?;
            keys(count).try_for_each(|key| trial.held(key).map(drop))?;
        }
    }
    Ok(())
}

fn value_bytes<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in [TOKEN, FAMILY] {
        let (key, other) = (nth(kind, 1), nth(kind, 2));
        let (over, small) = (trial.row(vec![1; VALUE_BYTES_MAX + 1]), trial.row("small"));
        let insert = batch(|batch| batch.insert(other, small).insert(key, over.clone()))?;
        trial.refuses(&insert, ErrorKind::Limit)?;
        trial.absent(key)?;
        trial.absent(other)?;
        let row = trial.insert(key, trial.row(vec![1; VALUE_BYTES_MAX]))?;
        let replace = batch(|batch| batch.replace(key, row.version(), over))?;
        trial.refuses(&replace, ErrorKind::Limit)?;
        trial.unchanged(&row)?;
    }
    Ok(())
}

fn batch_bytes<B: Backend>(trial: &Trial<B>) -> Verdict {
    for over in [1, 0] {
        let mut batch = Batch::new()?;
        let mut left = BATCH_BYTES_MAX + over;
        let mut keys = Vec::new();
        while left > 0 {
            let len = left.min(VALUE_BYTES_MAX);
            let key = nth(TOKEN, keys.len() as u64);
            batch.insert(key, trial.row(vec![2; len]));
            keys.push((key, len));
            left -= len;
        }
        if over == 1 {
            trial.refuses(&batch, ErrorKind::Limit)?;
            keys.iter().try_for_each(|(key, _)| trial.absent(*key))?;
            continue;
        }
        trial.applies(&batch)?;
        for (key, len) in keys {
            let read = trial.held(key)?.value().len();
            super::trial::ensure!(read == len, "{key:?} has {read} bytes of its {len}");
        }
    }
    Ok(())
}

fn key_twice<B: Backend>(trial: &Trial<B>) -> Verdict {
    let standing = trial.insert(nth(FAMILY, 1), trial.row("standing"))?;
    let (key, version, new) = (standing.key(), standing.version(), nth(TOKEN, 2));
    let row = || trial.row("new");
    let is = Expect::Is(version);
    for twice in [
        batch(|batch| batch.insert(new, row()).insert(new, row()))?,
        batch(|batch| batch.insert(new, row()).require(new, Expect::Absent))?,
        batch(|batch| batch.delete(key, version).insert(key, row()))?,
        batch(|batch| batch.require(key, is).insert(new, row()).replace(key, version, row()))?,
        batch(|batch| batch.insert(new, row()).require(key, is).require(key, is))?,
    ] {
        trial.refuses(&twice, ErrorKind::Limit)?;
        trial.absent(new)?;
        trial.unchanged(&standing)?;
    }
    Ok(())
}

fn nothing_to_write<B: Backend>(trial: &Trial<B>) -> Verdict {
    trial.refuses(&Batch::new()?, ErrorKind::Limit)?;
    let row = trial.insert(nth(FAMILY, 1), trial.row("standing"))?;
    let requires = batch(|batch| {
        batch.require(row.key(), Expect::Is(row.version())).require(nth(FAMILY, 2), Expect::Absent)
    })?;
    trial.refuses(&requires, ErrorKind::Limit)?;
    trial.unchanged(&row)
}

fn terms_on_write_once<B: Backend>(trial: &Trial<B>) -> Verdict {
    let (token, family) = (nth(TOKEN, 1), nth(FAMILY, 1));
    let with_term = || listed(trial.row("new"), Terms::one(term(1)));
    let insert = batch(|b| b.insert(family, with_term()).insert(token, with_term()))?;
    trial.refuses(&insert, ErrorKind::Limit)?;
    trial.absent(token)?;
    trial.absent(family)?;
    let row = trial.insert(token, trial.row("plain"))?;
    let replace = batch(|batch| batch.replace(token, row.version(), with_term()))?;
    trial.refuses(&replace, ErrorKind::Limit)?;
    trial.unchanged(&row)?;
    trial.lists(term(1), [])
}

fn terms_are_fixed<B: Backend>(trial: &Trial<B>) -> Verdict {
    let (one, two) = (Some(term(1)), Some(term(2)));
    let all = [
        Terms::NONE,
        Terms::one(term(1)),
        Terms::one(term(2)),
        Terms::two(term(1), term(2)),
        Terms::of([Some(term(3)), Some(term(4)), one, two]),
        Terms::of([Some(term(3)), Some(term(5)), two, one]),
    ];
    for (n, old) in (0..).zip(all) {
        let row = trial.insert(nth(FAMILY, n), listed(trial.row("old"), old))?;
        let other = nth(TOKEN, 100 + n);
        for new in all.into_iter().filter(|new| *new != old) {
            let (small, new) = (trial.row("small"), listed(trial.row("new"), new));
            let replace =
                batch(|batch| batch.insert(other, small).replace(row.key(), row.version(), new))?;
            trial.refuses(&replace, ErrorKind::Limit)?;
            trial.absent(other)?;
            trial.unchanged(&row)?;
        }
    }
    let keys = |wanted: [u64; 4]| wanted.map(|n| nth(FAMILY, n));
    trial.lists(term(1), keys([1, 3, 4, 5]))?;
    trial.lists(term(2), keys([2, 3, 4, 5]))
}
