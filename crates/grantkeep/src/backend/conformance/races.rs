//! Many threads at once. What they may find is judged by versions, values, and ops, not by time.

use super::Check;
use super::trial::{
    CLIENT, FAMILY, HOUR, TOKEN, Trial, Verdict, Why, batch, ensure, listed, nth, same, term,
};
use crate::backend::{Backend, Budget, Expect, Key, Op, Outcome, Row, Terms};
use crate::wait::Wait as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("of many inserts of one key exactly one is applied", one_insert_wins),
        Check::new("of many redemptions of one row exactly one is applied", one_redemption_wins),
        Check::new("no increment is lost, and no conflict is without a cause", no_lost_update),
        Check::new("concurrent transfers between two rows keep their sum", transfers),
        Check::new("what was applied is seen by every other thread at once", visible_at_once),
        Check::new("what was issued under a row precedes its change or conflicts", epoch),
        Check::new("a row that is extended during a sweep survives it", extension_and_sweep),
    ]
}

const THREADS: u64 = 16;

/// Runs `act` on so many threads at once, and answers what each of them found.
fn at_once<T: Send>(threads: u64, act: impl Fn(u64) -> Verdict<T> + Sync) -> Verdict<Vec<T>> {
    let barrier = Barrier::new(usize::try_from(threads).unwrap_or(1));
    let found: Vec<Verdict<T>> = thread::scope(|scope| {
        let (barrier, act) = (&barrier, &act);
        let running: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn(move || {
                    barrier.wait();
                    act(n)
                })
            })
            .collect();
        let panicked = |_| Err(Why::new("a thread of the race panicked"));
        running.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    found.into_iter().collect()
}

/// The one op among those of the batches that were applied.
fn only_winner(ops: Vec<Option<Op>>) -> Verdict<Op> {
    let winners: Vec<Op> = ops.into_iter().flatten().collect();
    match winners.as_slice() {
        [winner] => Ok(*winner),
        _ => Err(Why::new(format!("{} of {THREADS} threads were applied", winners.len()))),
    }
}

fn one_insert_wins<B: Backend>(trial: &Trial<B>) -> Verdict {
    for round in 0..10 {
        let (first, key) = (nth(FAMILY, round), nth(TOKEN, round));
        let ops = at_once(THREADS, |n| {
            let mine = batch(|batch| {
                batch
                    .insert(first, trial.row(format!("family {n}")))
                    .insert(key, trial.row(format!("token {n}")))
            })?;
            match trial.commit(&mine)? {
                Outcome::Applied => Ok(Some(mine.op())),
                Outcome::Conflict(at) => {
                    ensure!(at == first, "a conflict names {at:?}, not the first, {first:?}");
                    let row = trial.held(key)?;
                    ensure!(row.op() != mine.op(), "a batch that conflicts was applied");
                    Ok(None)
                }
            }
        })?;
        let winner = only_winner(ops)?;
        for key in [first, key] {
            ensure!(trial.held(key)?.op() == winner, "{key:?} is not the winner's");
        }
    }
    Ok(())
}

fn one_redemption_wins<B: Backend>(trial: &Trial<B>) -> Verdict {
    for round in 0..10 {
        let code = trial.insert(nth(TOKEN, round), trial.row("fresh"))?;
        let ops = at_once(THREADS, |n| {
            let token = nth(FAMILY, round * THREADS + n);
            let mine = batch(|batch| {
                batch.insert(token, trial.row("token")).replace(
                    code.key(),
                    code.version(),
                    trial.row(format!("spent by {n}")),
                )
            })?;
            match trial.commit(&mine)? {
                Outcome::Applied => Ok(Some(mine.op())),
                Outcome::Conflict(at) => {
                    ensure!(at == code.key(), "a conflict names {at:?}, not the code");
                    trial.absent(token)?;
                    let spent = trial.held(at)?;
                    ensure!(spent.version() > code.version(), "a conflict, and the code is fresh");
                    Ok(None)
                }
            }
        })?;
        ensure!(trial.held(code.key())?.op() == only_winner(ops)?, "the row is not the winner's");
    }
    Ok(())
}

fn number(row: &Row) -> Verdict<u64> {
    let bytes = row.value().first_chunk().copied();
    bytes.map(u64::from_le_bytes).ok_or_else(|| Why::new("the value is not the number put there"))
}

fn no_lost_update<B: Backend>(trial: &Trial<B>) -> Verdict {
    const ROUNDS: u64 = 50;
    for kind in [FAMILY, TOKEN] {
        let counter = nth(kind, 0);
        trial.insert(counter, trial.row(0_u64.to_le_bytes()))?;
        at_once(THREADS, |_| {
            // Each conflict is caused by another thread's success, and each success by one round.
            let mut attempts = THREADS * ROUNDS;
            for _ in 0..ROUNDS {
                loop {
                    ensure!(attempts > 0, "there are more conflicts than changes that cause them");
                    attempts -= 1;
                    let row = trial.held(counter)?;
                    let next = trial.row((number(&row)? + 1).to_le_bytes());
                    thread::yield_now();
                    let mine = batch(|batch| batch.replace(counter, row.version(), next))?;
                    if trial.commit(&mine)? == Outcome::Applied {
                        break;
                    }
                }
            }
            Ok(())
        })?;
        let count = number(&trial.held(counter)?)?;
        ensure!(count == THREADS * ROUNDS, "{count} of {} increments count", THREADS * ROUNDS);
    }
    Ok(())
}

fn transfers<B: Backend>(trial: &Trial<B>) -> Verdict {
    const EACH: u64 = 1_000_000;
    let (left, right) = (nth(FAMILY, 1), nth(TOKEN, 2));
    for key in [left, right] {
        trial.insert(key, trial.row(EACH.to_le_bytes()))?;
    }
    let given = at_once(THREADS, |n| {
        // Half of the threads step through the two keys the other way round.
        let (from, to) = if n % 2 == 0 { (left, right) } else { (right, left) };
        let mut given = 0_u64;
        for round in 0..30 {
            let (giver, taker) = (trial.held(from)?, trial.held(to)?);
            let amount = n * 31 + round + 1;
            let less = trial.row((number(&giver)?.wrapping_sub(amount)).to_le_bytes());
            let more = trial.row((number(&taker)?.wrapping_add(amount)).to_le_bytes());
            let mine = batch(|batch| {
                batch.replace(from, giver.version(), less).replace(to, taker.version(), more)
            })?;
            if trial.commit(&mine)? == Outcome::Applied {
                given += amount;
            }
        }
        Ok(given)
    })?;
    let (left, right) = (trial.held(left)?, trial.held(right)?);
    let sum = number(&left)?.wrapping_add(number(&right)?);
    ensure!(sum == 2 * EACH, "the sum is {sum}, not {}", 2 * EACH);
    ensure!(left.op() == right.op(), "the two rows are not of the same last batch");
    let all = |first: usize| given.iter().skip(first).step_by(2).sum::<u64>();
    let expected = EACH.wrapping_sub(all(0)).wrapping_add(all(1));
    let is = number(&left)?;
    ensure!(is == expected, "what was applied comes to {expected}, and the row holds {is}");
    ensure!(all(0) + all(1) > 0, "not one transfer was applied");
    Ok(())
}

fn visible_at_once<B: Backend>(trial: &Trial<B>) -> Verdict {
    const ROUNDS: u64 = 200;
    let (tell, told) = mpsc::channel::<(Key, Row)>();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            for (gone, row) in told {
                let seen = trial.held(row.key())?;
                ensure!(seen.version() >= row.version(), "{seen:?} is older than {row:?}");
                trial.absent(gone)?;
                let first = row.terms().iter().next().unwrap_or(term(1));
                let page = trial.backend.list(first, None, 1).wait()?;
                let listed = page.rows.first().is_some_and(|seen| same(seen, &row));
                ensure!(listed, "{row:?} was applied, and is not listed");
            }
            Ok(())
        });
        for round in 0..ROUNDS {
            // Every round has a term of its own, so what is listed by it does not change.
            let terms = Terms::one(crate::backend::Term(u128::from(round).to_le_bytes()));
            let gone = trial.insert(nth(TOKEN, round), trial.row("to delete"))?;
            let first = trial.insert(nth(FAMILY, round), listed(trial.row("first"), terms))?;
            let second = listed(trial.row("second"), terms);
            trial.applies(&batch(|batch| {
                batch
                    .replace(first.key(), first.version(), second)
                    .delete(gone.key(), gone.version())
            })?)?;
            if tell.send((gone.key(), trial.held(first.key())?)).is_err() {
                break;
            }
        }
        drop(tell);
        reader.join().unwrap_or_else(|_| Err(Why::new("the reading thread panicked")))
    })
}

fn epoch<B: Backend>(trial: &Trial<B>) -> Verdict {
    let race = EpochRace { epoch: nth(CLIENT, 0), ..EpochRace::default() };
    // What is listed under an epoch when its end is acknowledged is all there will ever be.
    let found = at_once(9, |n| {
        if n > 0 {
            return race.issue(trial).map(|()| Vec::new());
        }
        let ended = race.end_epochs(trial);
        race.over.store(true, Ordering::SeqCst);
        ended
    })?;
    for (n, before) in (0..).zip(found.into_iter().flatten()) {
        let late = trial.list(term(n), 1_000)?.len() - before;
        ensure!(late == 0, "{late} rows were issued under epoch {n} after its end");
    }
    Ok(())
}

#[derive(Debug)]
struct EpochRace {
    epoch: Key,
    /// The number of the epoch that is known to have begun.
    standing: AtomicU64,
    /// The number of the next row to be issued.
    next: AtomicU64,
    over: AtomicBool,
}

impl Default for EpochRace {
    fn default() -> Self {
        let (standing, next) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { epoch: Key::MIN, standing, next, over: AtomicBool::new(false) }
    }
}

impl EpochRace {
    /// Begins one epoch after the other, the first where there was none, and answers how many
    /// rows had been issued under each of them when its end was acknowledged.
    fn end_epochs<B: Backend>(&self, trial: &Trial<B>) -> Verdict<Vec<usize>> {
        let mut ended = Vec::new();
        for n in 0..20 {
            for _ in 0..3 {
                ensure!(self.issue_one(trial)?, "a conflict, although the epoch stands");
            }
            let row = trial.row([n + 1]);
            trial.applies(&match trial.get(self.epoch)? {
                None => batch(|batch| batch.insert(self.epoch, row))?,
                Some(old) => batch(|batch| batch.replace(self.epoch, old.version(), row))?,
            })?;
            self.standing.store(u64::from(n) + 1, Ordering::SeqCst);
            ended.push(trial.list(term(n), 1_000)?.len());
        }
        Ok(ended)
    }

    /// Issues rows until the last epoch has ended.
    fn issue<B: Backend>(&self, trial: &Trial<B>) -> Verdict {
        for _ in 0..10_000 {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            self.issue_one(trial)?;
        }
        Ok(())
    }

    /// Issues a row under the epoch as it is read; true if it was applied.
    fn issue_one<B: Backend>(&self, trial: &Trial<B>) -> Verdict<bool> {
        let read = trial.get(self.epoch)?;
        let number = read.as_ref().and_then(|row| row.value().first()).copied().unwrap_or(0);
        let expect = read.map_or(Expect::Absent, |row| Expect::Is(row.version()));
        thread::yield_now();
        let ended = self.standing.load(Ordering::SeqCst) > u64::from(number);
        let token = nth(FAMILY, self.next.fetch_add(1, Ordering::SeqCst));
        let row = listed(trial.row([number]), Terms::one(term(number)));
        let issue = batch(|batch| batch.require(self.epoch, expect).insert(token, row))?;
        let applied = trial.commit(&issue)? == Outcome::Applied;
        ensure!(!(ended && applied), "a row was issued under epoch {number} after its end");
        Ok(applied)
    }
}

fn extension_and_sweep<B: Backend>(trial: &Trial<B>) -> Verdict {
    const ROWS: u64 = 200;
    let kind = |n: u64| if n.is_multiple_of(2) { FAMILY } else { TOKEN };
    let rows = (0..ROWS)
        .map(|n| trial.insert(nth(kind(n), n), trial.row("dying")))
        .collect::<Verdict<Vec<Row>>>()?;
    trial.clock.advance(2 * HOUR);
    let swept_and_extended = at_once(3, |n| {
        if n == 0 {
            return Ok((trial.sweep(Budget::rows(3))?, Vec::new()));
        }
        let mut extended = Vec::new();
        for row in rows.iter().rev().skip(usize::try_from(n).unwrap_or(0)).step_by(2) {
            let longer = trial.row_for(10 * HOUR, "extended");
            let mine = batch(|batch| batch.replace(row.key(), row.version(), longer))?;
            match trial.commit(&mine)? {
                Outcome::Applied => extended.push((row.key(), mine.op())),
                Outcome::Conflict(_) => trial.absent(row.key())?,
            }
        }
        Ok((0, extended))
    })?;
    let removed: u64 = swept_and_extended.iter().map(|(swept, _)| swept).sum();
    let extended: Vec<(Key, Op)> = swept_and_extended.into_iter().flat_map(|(_, e)| e).collect();
    let removed = removed + trial.sweep(Budget::ALL)?;
    for (key, op) in &extended {
        ensure!(trial.held(*key)?.op() == *op, "{key:?} was extended, and is not so now");
    }
    let sum = removed + extended.len() as u64;
    ensure!(sum == ROWS, "{} rows extended and {removed} swept, of {ROWS}", extended.len());
    let left = rows.iter().filter(|row| matches!(trial.get(row.key()), Ok(Some(_)))).count();
    ensure!(left == extended.len(), "{left} rows are left of {} extended", extended.len());
    Ok(())
}
