//! Time: forward, never back, and not believed whatever it says.

use super::Check;
use super::trial::{DAY, FAMILY, HOUR, TOKEN, Trial, Verdict, YEAR, batch, ensure, nth, start};
use crate::backend::{Backend, Budget, Kind, NewRow};
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::timekeeper::{DRIFT_MAX, LEAP_HOLD};
use std::time::Duration;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("time follows the clock forward", forward),
        Check::new("time never goes back", never_back),
        Check::new("a leap of the clock that is taken back costs nothing", taken_back),
        Check::new("a leap of the clock that holds is believed", held),
        Check::new("time says how far it is ahead of the wall clock", lead_is_told),
        Check::new("a value that counts once outlives a leap that is taken back", remembered),
        Check::new("a leap beyond belief refuses inserts until it is accepted", beyond_belief),
        Check::new("a leap beyond belief that is taken back refuses nothing", belief_restored),
        Check::new("a row kept for good makes no leap believed", kept_for_good),
    ]
}

/// Further than any clock is believed by itself over rows of an hour.
const LEAP: Duration = Duration::from_secs(100 * YEAR.as_secs());

fn forward<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut expected = Timestamp::from(start());
    for by in [Duration::ZERO, Duration::from_millis(1), HOUR, DAY, YEAR] {
        trial.clock.advance(by);
        expected = expected.saturating_add(by);
        let now = trial.backend.now();
        ensure!(now == expected, "{by:?} later it is {now:?}, not {expected:?}");
    }
    Ok(())
}

fn never_back<B: Backend>(trial: &Trial<B>) -> Verdict {
    trial.clock.advance(DAY);
    let row = trial.insert(nth(TOKEN, 1), trial.row("token"))?;
    trial.clock.advance(2 * HOUR);
    let mut last = trial.backend.now();
    for back in [Duration::from_millis(1), HOUR, YEAR] {
        trial.clock.step_to(start() - back);
        let now = trial.backend.now();
        ensure!(now >= last, "time went back from {last:?} to {now:?}");
        ensure!(now >= row.expires_at(), "a row that had expired is valid again");
        trial.clock.advance(HOUR);
        let later = trial.backend.now();
        ensure!(later >= now.saturating_add(HOUR), "an hour after {now:?} it is {later:?}");
        last = later;
    }
    trial.sweeps(1)?;
    trial.absent(row.key())
}

fn taken_back<B: Backend>(trial: &Trial<B>) -> Verdict {
    let rows = [
        trial.insert(nth(TOKEN, 1), trial.row("token"))?,
        trial.insert(nth(FAMILY, 1), trial.row("family"))?,
    ];
    trial.clock.step_to(start() + DAY);
    let now = trial.backend.now();
    ensure!(now >= (start() + DAY).into(), "a leap does not count at once: it is {now:?}");
    trial.sweeps(0)?;
    trial.clock.step_to(start());
    let now = trial.backend.now();
    for row in &rows {
        trial.unchanged(row)?;
        ensure!(now < row.expires_at(), "it is {now:?} after the leap was taken back");
    }
    trial.clock.advance(LEAP_HOLD * 2);
    trial.backend.now();
    trial.sweeps(0)?;
    rows.iter().try_for_each(|row| trial.unchanged(row))
}

fn held<B: Backend>(trial: &Trial<B>) -> Verdict {
    let row = trial.insert(nth(TOKEN, 1), trial.row("token"))?;
    trial.clock.step_to(start() + DAY);
    for _ in 0..4 {
        trial.backend.now();
        trial.clock.advance(LEAP_HOLD);
    }
    trial.sweeps(1)?;
    trial.absent(row.key())?;
    trial.clock.step_to(start());
    let now = trial.backend.now();
    ensure!(now >= (start() + DAY).into(), "a leap that had held is taken back: it is {now:?}");
    Ok(())
}

/// The clock is ten days ahead until that is believed, and then right; `each` is done at each turn.
fn get_ahead<B: Backend>(trial: &Trial<B>, mut each: impl FnMut() -> Verdict) -> Verdict {
    let hold = LEAP_HOLD * 2;
    trial.clock.step_to(start() + 10 * DAY);
    each()?;
    trial.clock.advance(hold);
    each()?;
    trial.clock.step_to(start() + hold);
    each()
}

fn lead_is_told<B: Backend>(trial: &Trial<B>) -> Verdict {
    let backend = &trial.backend;
    let told = || {
        let (wall, now, lead) = (backend.wall(), backend.now(), backend.lead());
        ensure!(wall <= now, "the wall clock is at {wall:?}, ahead of {now:?}");
        let ahead = now.since(wall);
        let agrees = ahead.abs_diff(lead) <= DRIFT_MAX;
        ensure!(agrees, "it is {ahead:?} ahead of the wall clock, and says {lead:?}");
        Ok(())
    };
    told()?;
    get_ahead(trial, told)?;
    trial.clock.advance(DAY);
    told()
}

fn remembered<B: Backend>(trial: &Trial<B>) -> Verdict {
    let key = nth(Kind::REMEMBERED, 1);
    let ends = trial.backend.wall().saturating_add(3 * DAY);
    let row = trial.insert(key, trial.row_for(3 * DAY, "burnt"))?;
    // By a backend that judges by the wall clock itself it may have ended.
    let kept = || {
        trial.sweep(Budget::ALL)?;
        if trial.backend.wall() < ends { trial.unchanged(&row) } else { Ok(()) }
    };
    get_ahead(trial, || trial.sweep(Budget::ALL).map(drop))?;
    for _ in 0..5 {
        kept()?;
        trial.clock.advance(DAY);
    }
    trial.clock.advance(DAY);
    trial.sweep(Budget::ALL)?;
    trial.absent(key)
}

fn beyond_belief<B: Backend>(trial: &Trial<B>) -> Verdict {
    let first = trial.insert(nth(TOKEN, 1), trial.row("to replace"))?;
    let second = trial.insert(nth(FAMILY, 2), trial.row("to delete"))?;
    let third = trial.insert(nth(FAMILY, 3), trial.row("to keep"))?;
    let rows = || trial.row("new");
    let early = rows();
    let leapt = start() + LEAP;
    trial.clock.step_to(leapt);
    // Nobody has asked for the time since the leap: the insert itself must see it.
    let later = NewRow { expires_at: Timestamp::from(leapt + HOUR), ..early };
    let insert = batch(|batch| batch.insert(nth(TOKEN, 4), later))?;
    trial.refuses(&insert, ErrorKind::Clock)?;
    let with = (rows(), rows());
    let mixed = batch(|batch| {
        batch.replace(third.key(), third.version(), with.0).insert(nth(TOKEN, 4), with.1)
    })?;
    trial.refuses(&mixed, ErrorKind::Clock)?;
    trial.absent(nth(TOKEN, 4))?;
    trial.unchanged(&third)?;
    // Holding makes it no more credible, and revocation goes on.
    for _ in 0..3 {
        trial.backend.now();
        trial.clock.advance(LEAP_HOLD * 2);
    }
    trial.refuses(&insert, ErrorKind::Clock)?;
    trial.replace(&first, rows())?;
    trial.delete(&second)?;
    // Nor does what was written under it make it credible.
    trial.clock.advance(LEAP_HOLD * 2);
    trial.refuses(&insert, ErrorKind::Clock)?;
    trial.sweeps(0)?;
    trial.unchanged(&third)?;
    trial.backend.accept_clock();
    let now = trial.backend.now();
    ensure!(now >= leapt.into(), "the clock was accepted, and it is {now:?}");
    trial.applies(&insert)?;
    trial.insert(nth(FAMILY, 5), rows())?;
    trial.sweeps(1)?;
    trial.absent(third.key())
}

fn belief_restored<B: Backend>(trial: &Trial<B>) -> Verdict {
    let row = trial.insert(nth(TOKEN, 1), trial.row("token"))?;
    trial.clock.step_to(start() + LEAP);
    let new = trial.row("new");
    let insert = batch(|batch| batch.insert(nth(TOKEN, 2), new))?;
    trial.refuses(&insert, ErrorKind::Clock)?;
    trial.clock.step_to(start());
    trial.insert(nth(TOKEN, 3), trial.row("new"))?;
    trial.sweeps(0)?;
    trial.unchanged(&row)?;
    let now = trial.backend.now();
    ensure!(now < row.expires_at(), "it is {now:?} after the leap was taken back");
    Ok(())
}

fn kept_for_good<B: Backend>(trial: &Trial<B>) -> Verdict {
    let for_good = Timestamp::from_millis(u64::MAX / 4);
    let row = NewRow { expires_at: for_good, ..trial.row("kept for good") };
    let kept = trial.insert(nth(TOKEN, 1), row)?;
    trial.clock.step_to(start() + 2 * LEAP);
    for _ in 0..3 {
        let new = trial.row("new");
        trial.refuses(&batch(|batch| batch.insert(nth(TOKEN, 2), new))?, ErrorKind::Clock)?;
        trial.clock.advance(LEAP_HOLD * 2);
    }
    trial.unchanged(&kept)
}
