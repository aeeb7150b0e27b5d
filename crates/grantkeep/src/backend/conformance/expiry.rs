//! Rows whose time has come, before any sweep: they are answered, and callers judge.

use super::Check;
use super::trial::{
    DAY, FAMILY, HOUR, TOKEN, Trial, Verdict, YEAR, batch, ensure, listed, nth, term,
};
use crate::backend::{Backend, Budget, Expect, NewRow, Row, Terms};
use crate::clock::Timestamp;
use std::time::Duration;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("an expired row is answered until it is swept", answered_until_swept),
        Check::new("an insert conflicts with an expired row that is not swept", insert_on_expired),
        Check::new("an expired row holds a requirement, and can be changed", changed_when_expired),
        Check::new("a row may be replaced by one that has expired already", expired_when_put),
        Check::new("a row of one millisecond lives and dies like any other", one_millisecond),
        Check::new("a row of a hundred years, or kept for good, outlives the rest", very_long),
    ]
}

/// A listed and an unlisted row of an hour each.
fn of_an_hour<B: Backend>(trial: &Trial<B>) -> Verdict<[Row; 2]> {
    let family = listed(trial.row("family"), Terms::one(term(1)));
    Ok([trial.insert(nth(TOKEN, 1), trial.row("token"))?, trial.insert(nth(FAMILY, 1), family)?])
}

fn answered_until_swept<B: Backend>(trial: &Trial<B>) -> Verdict {
    let rows = of_an_hour(trial)?;
    for past in [HOUR, Duration::from_millis(1), 2 * HOUR, DAY] {
        trial.clock.advance(past);
        for row in &rows {
            trial.unchanged(row)?;
        }
        trial.lists(term(1), [nth(FAMILY, 1)])?;
    }
    Ok(())
}

fn insert_on_expired<B: Backend>(trial: &Trial<B>) -> Verdict {
    let rows = of_an_hour(trial)?;
    trial.clock.advance(2 * HOUR);
    for row in &rows {
        let again = listed(trial.row("again"), row.terms());
        trial.conflicts(&batch(|batch| batch.insert(row.key(), again))?, row.key())?;
        let (key, new) = (row.key(), trial.row("new"));
        let require = batch(|b| b.insert(nth(TOKEN, 2), new).require(key, Expect::Absent))?;
        trial.conflicts(&require, key)?;
        trial.unchanged(row)?;
    }
    trial.absent(nth(TOKEN, 2))
}

fn changed_when_expired<B: Backend>(trial: &Trial<B>) -> Verdict {
    let rows = of_an_hour(trial)?;
    trial.clock.advance(2 * HOUR);
    let mut extended = Vec::new();
    for (n, row) in (10..).zip(&rows) {
        let (key, is, new) = (row.key(), Expect::Is(row.version()), trial.row("new"));
        trial.applies(&batch(|batch| batch.insert(nth(TOKEN, n), new).require(key, is))?)?;
        let later = trial.replace(row, listed(trial.row_for(DAY, "later"), row.terms()))?;
        ensure!(later.expires_at() > trial.backend.now(), "it is still expired");
        extended.push(later);
    }
    trial.sweeps(0)?;
    for row in &extended {
        trial.unchanged(row)?;
        trial.delete(row)?;
        trial.absent(row.key())?;
    }
    Ok(())
}

fn expired_when_put<B: Backend>(trial: &Trial<B>) -> Verdict {
    let rows = of_an_hour(trial)?;
    trial.clock.advance(HOUR / 2);
    let now = trial.backend.now();
    let mut ended = Vec::new();
    for (row, expires_at) in rows.iter().zip([now, now.saturating_sub(DAY)]) {
        let new = NewRow { value: b"ended".to_vec(), expires_at, terms: row.terms() };
        ended.push(trial.replace(row, new)?);
    }
    for row in &ended {
        trial.unchanged(row)?;
        ensure!(row.expires_at() <= now, "it expires at {:?}, after now", row.expires_at());
    }
    trial.clock.advance(4 * HOUR);
    trial.sweeps(2)?;
    ended.iter().try_for_each(|row| trial.absent(row.key()))?;
    trial.lists(term(1), [])
}

fn one_millisecond<B: Backend>(trial: &Trial<B>) -> Verdict {
    let lifetime = Duration::from_millis(1);
    let rows = [
        trial.insert(nth(TOKEN, 1), trial.row_for(lifetime, "token"))?,
        trial.insert(nth(FAMILY, 1), trial.row_for(lifetime, "family"))?,
    ];
    trial.sweeps(0)?;
    for row in &rows {
        let left = row.expires_at().since(trial.backend.now());
        ensure!(left == lifetime, "{left:?} of its lifetime are left, not {lifetime:?}");
        trial.unchanged(row)?;
    }
    trial.clock.advance(lifetime);
    for row in &rows {
        ensure!(row.expires_at() <= trial.backend.now(), "it is not expired after its lifetime");
        trial.unchanged(row)?;
    }
    trial.clock.advance(2 * HOUR);
    trial.sweeps(2)?;
    rows.iter().try_for_each(|row| trial.absent(row.key()))
}

fn very_long<B: Backend>(trial: &Trial<B>) -> Verdict {
    let for_good = Timestamp::from_millis(u64::MAX / 4);
    let mut rows = Vec::new();
    for (n, kind) in (0..).zip([TOKEN, FAMILY]) {
        for (m, lifetime) in (10 * n..).zip([10 * YEAR, 100 * YEAR]) {
            rows.push(trial.insert(nth(kind, m), trial.row_for(lifetime, "long"))?);
        }
        let row = NewRow { expires_at: for_good, ..trial.row("kept for good") };
        rows.push(trial.insert(nth(kind, 10 * n + 5), row)?);
    }
    let short = trial.insert(nth(TOKEN, 100), trial.row("short"))?;
    for _ in 0..8 {
        trial.clock.advance(YEAR);
        trial.backend.now();
        trial.sweep(Budget::ALL)?;
        rows.iter().try_for_each(|row| trial.unchanged(row))?;
        trial.absent(short.key())?;
    }
    // The rows of ten years are gone after twice that, the others stand.
    for _ in 0..13 {
        trial.clock.advance(YEAR);
        trial.backend.now();
    }
    trial.sweeps(2)?;
    for row in &rows {
        if row.expires_at() > trial.backend.now() {
            trial.unchanged(row)?;
        } else {
            trial.absent(row.key())?;
        }
    }
    Ok(())
}
