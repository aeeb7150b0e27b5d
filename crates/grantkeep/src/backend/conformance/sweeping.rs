//! Sweeps: the dead go, all of them and nothing else, and what was extended stays.

use super::Check;
use super::trial::{
    CLIENT, DAY, FAMILY, HOUR, NEVER, TOKEN, Trial, Verdict, batch, ensure, listed, nth, term,
};
use crate::backend::{
    BATCH_STEPS_MAX, Backend, Batch, Budget, Key, Kind, NewRow, Row, Swept, Terms,
};
use crate::wait::Wait as _;
use std::time::Duration;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("a sweep removes the dead and nothing else", dead_and_nothing_else),
        Check::new("a sweep with a budget goes on until no dead row is left", by_budget),
        Check::new("an idle sweep does nothing and says so", idle),
        Check::new("a swept row is absent for get, list, and every expectation", absent_after),
        Check::new("no version of a key returns after a sweep", version_after_sweep),
        Check::new("a row that was extended survives its first death", extended),
        Check::new("a row whose expiry was brought forward goes in the end", brought_forward),
        Check::new("a deleted row's successor survives the death of the deleted", successor),
        Check::new("the stats count the rows of each kind that are not swept", counted),
    ]
}

fn fill<B: Backend>(trial: &Trial<B>, kind: Kind, from: u64, rows: Vec<NewRow>) -> Verdict {
    let mut rows = (from..).zip(rows).peekable();
    while rows.peek().is_some() {
        let mut batch = Batch::new()?;
        for (n, row) in rows.by_ref().take(BATCH_STEPS_MAX) {
            batch.insert(nth(kind, n), row);
        }
        trial.applies(&batch)?;
    }
    Ok(())
}

fn dead_and_nothing_else<B: Backend>(trial: &Trial<B>) -> Verdict {
    let terms = Terms::one(term(1));
    let mut keys: [Vec<Key>; 2] = Default::default();
    for (n, lifetime) in [HOUR, 10 * HOUR].into_iter().enumerate() {
        let from = n as u64 * 100;
        fill(trial, TOKEN, from, vec![trial.row_for(lifetime, "token"); 100])?;
        let family = listed(trial.row_for(lifetime, "family"), terms);
        fill(trial, FAMILY, from, vec![family; 50])?;
        for keys in keys.iter_mut().skip(n).take(1) {
            keys.extend((from..from + 100).map(|n| nth(TOKEN, n)));
            keys.extend((from..from + 50).map(|n| nth(FAMILY, n)));
        }
    }
    let [dead, living] = keys;
    trial.sweeps(0)?;
    let stand = living.iter().map(|key| trial.held(*key)).collect::<Verdict<Vec<Row>>>()?;
    trial.clock.advance(2 * HOUR);
    trial.sweeps(150)?;
    dead.iter().try_for_each(|key| trial.absent(*key))?;
    stand.iter().try_for_each(|row| trial.unchanged(row))?;
    trial.lists(term(1), living.into_iter().filter(|key| key.kind == FAMILY))
}

fn by_budget<B: Backend>(trial: &Trial<B>) -> Verdict {
    // Deaths are spread over an hour, so that they fall into several windows.
    let spread = |n: u64| HOUR + Duration::from_secs(n * 12);
    fill(trial, TOKEN, 0, (0..300).map(|n| trial.row_for(spread(n), "token")).collect())?;
    fill(trial, CLIENT, 0, (0..100).map(|n| trial.row_for(spread(3 * n), "client")).collect())?;
    let living = trial.insert(nth(FAMILY, 0), trial.row_for(DAY, "living"))?;
    trial.clock.advance(5 * HOUR);
    let swept = trial.sweep(Budget::rows(7))?;
    ensure!(swept == 400, "sweeps of 7 rows report {swept} rows removed in place of 400");
    (0..300).try_for_each(|n| trial.absent(nth(TOKEN, n)))?;
    (0..100).try_for_each(|n| trial.absent(nth(CLIENT, n)))?;
    trial.sweeps(0)?;
    trial.unchanged(&living)
}

fn idle<B: Backend>(trial: &Trial<B>) -> Verdict {
    let sweeps_nothing = || {
        for budget in [Budget::ALL, Budget::rows(1)] {
            let swept = trial.backend.sweep(budget).wait()?;
            let idle = swept.rows == 0 && !swept.more;
            ensure!(idle, "a sweep with nothing to do answers {swept:?}");
        }
        Ok(())
    };
    sweeps_nothing()?;
    let long = trial.insert(nth(FAMILY, 0), trial.row_for(DAY, "living"))?;
    trial.insert(nth(TOKEN, 1), trial.row("dying"))?;
    sweeps_nothing()?;
    trial.clock.advance(2 * HOUR);
    trial.sweeps(1)?;
    sweeps_nothing()?;
    trial.clock.advance(2 * HOUR);
    let Swept { windows, .. } = trial.backend.sweep(Budget::ALL).wait()?;
    ensure!(windows <= 1, "{windows} windows are closed, although no row died since");
    trial.unchanged(&long)
}

fn absent_after<B: Backend>(trial: &Trial<B>) -> Verdict {
    let terms = Terms::two(term(1), term(2));
    let rows = [
        trial.insert(nth(TOKEN, 1), trial.row("token"))?,
        trial.insert(nth(FAMILY, 1), listed(trial.row("family"), terms))?,
    ];
    trial.clock.advance(2 * HOUR);
    trial.sweeps(2)?;
    for row in &rows {
        let (key, version) = (row.key(), row.version());
        trial.absent(key)?;
        let new = trial.row("new");
        trial.conflicts(&batch(|batch| batch.replace(key, version, new))?, key)?;
        trial.conflicts(&batch(|batch| batch.delete(key, version))?, key)?;
        let again = trial.insert(key, listed(trial.row("again"), row.terms()))?;
        trial.unchanged(&again)?;
    }
    trial.lists(term(1), [nth(FAMILY, 1)])?;
    trial.clock.advance(2 * HOUR);
    trial.sweeps(2)?;
    trial.lists(term(1), [])?;
    trial.lists(term(2), [])
}

fn version_after_sweep<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in [TOKEN, FAMILY] {
        let key = nth(kind, 1);
        let mut last = trial.insert(key, trial.row("life 0"))?;
        for round in 1..4 {
            trial.clock.advance(2 * HOUR);
            trial.sweeps(1)?;
            let row = trial.insert(key, trial.row(format!("life {round}")))?;
            let (version, before) = (row.version(), last.version());
            ensure!(version > before, "{version:?} follows {before:?} and is not larger");
            let stale = trial.row("stale");
            trial.conflicts(&batch(|batch| batch.replace(key, before, stale))?, key)?;
            last = row;
        }
        trial.delete(&last)?;
    }
    Ok(())
}

fn extended<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut rows = Vec::new();
    for (kind, terms) in [(TOKEN, Terms::NONE), (FAMILY, Terms::one(term(1)))] {
        for n in 0..20 {
            let row = trial.insert(nth(kind, n), listed(trial.row("first"), terms))?;
            rows.push((row, terms));
        }
    }
    trial.clock.advance(HOUR / 2);
    // Half of them are extended several times, and some of those at the last moment.
    for (n, (row, terms)) in rows.iter_mut().enumerate().filter(|(n, _)| n % 2 == 0) {
        for round in 0..n % 3 {
            let again = listed(trial.row_for(HOUR, format!("round {round}")), *terms);
            *row = trial.replace(row, again)?;
        }
        *row = trial.replace(row, listed(trial.row_for(10 * HOUR, "extended"), *terms))?;
    }
    trial.clock.advance(3 * HOUR);
    trial.sweeps(20)?;
    for (n, (row, _)) in rows.iter().enumerate() {
        if n % 2 == 0 { trial.unchanged(row)? } else { trial.absent(row.key())? }
    }
    trial.lists(term(1), (0..20).step_by(2).map(|n| nth(FAMILY, n)))?;
    trial.sweeps(0)?;
    trial.clock.advance(20 * HOUR);
    trial.sweeps(20)?;
    trial.lists(term(1), [])?;
    rows.iter().try_for_each(|(row, _)| trial.absent(row.key()))
}

fn brought_forward<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut rows = Vec::new();
    for kind in [TOKEN, FAMILY] {
        let row = trial.insert(nth(kind, 1), trial.row_for(10 * HOUR, "long"))?;
        rows.push(trial.replace(&row, trial.row("short"))?);
        rows.push(trial.insert(nth(kind, 2), trial.row_for(100 * HOUR, "living"))?);
    }
    trial.clock.advance(20 * HOUR);
    trial.sweeps(2)?;
    for row in &rows {
        if row.value() == b"short" { trial.absent(row.key())? } else { trial.unchanged(row)? }
    }
    Ok(())
}

fn successor<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut rows = Vec::new();
    for (kind, terms) in [(TOKEN, Terms::NONE), (FAMILY, Terms::one(term(1)))] {
        let first = trial.insert(nth(kind, 1), listed(trial.row("first"), terms))?;
        trial.delete(&first)?;
        let second = listed(trial.row_for(10 * HOUR, "second"), terms);
        rows.push(trial.insert(nth(kind, 1), second)?);
        // A row that was deleted for good stays so when its window is cut.
        trial.delete(&trial.insert(nth(kind, 2), listed(trial.row("deleted"), terms))?)?;
    }
    trial.clock.advance(2 * HOUR);
    trial.sweep(Budget::ALL)?;
    rows.iter().try_for_each(|row| trial.unchanged(row))?;
    trial.lists(term(1), [nth(FAMILY, 1)])?;
    for kind in [TOKEN, FAMILY] {
        trial.absent(nth(kind, 2))?;
        let key = nth(kind, 2);
        trial.conflicts(&batch(|batch| batch.delete(key, NEVER))?, key)?;
    }
    Ok(())
}

fn counted<B: Backend>(trial: &Trial<B>) -> Verdict {
    let counts = |tokens: u64, families: u64, moment: &str| {
        let stats = trial.backend.stats();
        let rows = (stats.rows_of(TOKEN), stats.rows_of(FAMILY), stats.rows_total());
        let expected = (tokens, families, tokens + families);
        ensure!(rows == expected, "{moment}, (of one kind, of another, of all) is {rows:?}");
        Ok(())
    };
    counts(0, 0, "at first")?;
    fill(trial, TOKEN, 0, vec![trial.row("token"); 30])?;
    fill(trial, FAMILY, 0, vec![trial.row_for(DAY, "family"); 20])?;
    counts(30, 20, "after 30 and 20 inserts")?;
    for n in 0..5 {
        trial.delete(&trial.held(nth(TOKEN, n))?)?;
        trial.delete(&trial.held(nth(FAMILY, n))?)?;
        let row = trial.held(nth(FAMILY, n + 5))?;
        trial.replace(&row, trial.row_for(DAY, "again"))?;
    }
    counts(25, 15, "after 5 deletions of each")?;
    trial.conflicts(&batch(|b| b.delete(nth(TOKEN, 0), NEVER))?, nth(TOKEN, 0))?;
    trial.clock.advance(HOUR);
    counts(25, 15, "when the first have expired and no sweep ran")?;
    trial.clock.advance(HOUR);
    trial.sweep(Budget::ALL)?;
    counts(0, 15, "after the sweep")?;
    trial.clock.advance(2 * DAY);
    trial.sweep(Budget::ALL)?;
    counts(0, 0, "after the last sweep")
}
