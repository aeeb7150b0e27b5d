//! Several keys at a time: all or nothing, and once only.

use super::Check;
use super::trial::{
    CLIENT, FAMILY, NEVER, TOKEN, Trial, Verdict, batch, ensure, listed, nth, term,
};
use crate::backend::{Backend, Batch, Expect, Key, Outcome, Row, Terms};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("a batch that applies happens whole", applied_whole),
        Check::new("a batch that conflicts does nothing, wherever it fails", nothing_of_it),
        Check::new("a conflict names the first key that failed, in step order", first_failed),
        Check::new("batches that share a required row do not hinder each other", shared_row),
        Check::new("an insert that is sent again conflicts", insert_again),
        Check::new("a replacement that is sent again conflicts", replacement_again),
        Check::new("a deletion that is sent again conflicts", deletion_again),
        Check::new("the op in the row tells whose write won", op_tells),
        Check::new("a commit that is given up happens whole or not at all", given_up),
        Check::new("what is told of a batch is told if it is applied, and once", told_once),
    ]
}

/// Rows of two kinds that stand already: one to replace, one to delete, one to require.
fn standing<B: Backend>(trial: &Trial<B>) -> Verdict<[Row; 3]> {
    let family = listed(trial.row("to replace"), Terms::one(term(1)));
    Ok([
        trial.insert(nth(FAMILY, 1), family)?,
        trial.insert(nth(TOKEN, 2), trial.row("to delete"))?,
        trial.insert(nth(CLIENT, 3), trial.row("to require"))?,
    ])
}

fn applied_whole<B: Backend>(trial: &Trial<B>) -> Verdict {
    let [replaced, deleted, required] = standing(trial)?;
    let (token, family) = (nth(TOKEN, 4), nth(FAMILY, 5));
    let mut batch = Batch::new()?;
    batch
        .insert(token, trial.row("token"))
        .require(required.key(), Expect::Is(required.version()))
        .replace(replaced.key(), replaced.version(), listed(trial.row("new"), replaced.terms()))
        .delete(deleted.key(), deleted.version())
        .require(nth(CLIENT, 6), Expect::Absent)
        .insert(family, listed(trial.row("family"), Terms::one(term(1))));
    trial.applies(&batch)?;
    for (key, value) in [(token, "token"), (replaced.key(), "new"), (family, "family")] {
        let row = trial.held(key)?;
        ensure!(row.value() == value.as_bytes(), "{key:?} has another value");
        ensure!(row.op() == batch.op(), "{key:?} has another op than the rest of its batch");
    }
    trial.absent(deleted.key())?;
    trial.absent(nth(CLIENT, 6))?;
    trial.unchanged(&required)?;
    trial.lists(term(1), [replaced.key(), family])
}

fn nothing_of_it<B: Backend>(trial: &Trial<B>) -> Verdict {
    let rows = standing(trial)?;
    let [replaced, deleted, required] = &rows;
    let (token, family) = (nth(TOKEN, 4), nth(FAMILY, 5));
    for failing in 0..5 {
        let version = |at, row: &Row| if failing == at { NEVER } else { row.version() };
        let mut batch = Batch::new()?;
        // The insert fails by standing on a key that is taken.
        let inserted = if failing == 0 { nth(TOKEN, 7) } else { token };
        if failing == 0 {
            trial.insert(inserted, trial.row("taken"))?;
        }
        batch
            .insert(inserted, trial.row("token"))
            .require(required.key(), Expect::Is(version(1, required)))
            .replace(
                replaced.key(),
                version(2, replaced),
                listed(trial.row("new"), replaced.terms()),
            )
            .delete(deleted.key(), version(3, deleted))
            .insert(family, listed(trial.row("family"), Terms::one(term(1))))
            .require(nth(CLIENT, 6), if failing == 4 { Expect::Is(NEVER) } else { Expect::Absent });
        let keys = [inserted, required.key(), replaced.key(), deleted.key(), nth(CLIENT, 6)];
        trial.conflicts(&batch, keys.get(failing).copied().unwrap_or(token))?;
        trial.absent(token)?;
        trial.absent(family)?;
        for row in &rows {
            trial.unchanged(row)?;
        }
        trial.lists(term(1), [replaced.key()])?;
    }
    Ok(())
}

fn first_failed<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut taken: Vec<Key> = (0..4).map(|n| nth(TOKEN, n)).collect();
    taken.extend((0..4).map(|n| nth(FAMILY, n)));
    for key in &taken {
        trial.insert(*key, trial.row("taken"))?;
    }
    // Each key comes first once, so the order is neither that of the keys nor of the kinds.
    for turn in 0..taken.len() {
        taken.rotate_left(1);
        let mut batch = Batch::new()?;
        batch.insert(nth(CLIENT, 0), trial.row("new"));
        for (at, key) in taken.iter().enumerate() {
            match (at + turn) % 3 {
                0 => batch.insert(*key, trial.row("new")),
                1 => batch.delete(*key, NEVER),
                _ => batch.require(*key, Expect::Absent),
            };
        }
        for key in taken.iter().take(1) {
            trial.conflicts(&batch, *key)?;
        }
        trial.absent(nth(CLIENT, 0))?;
    }
    Ok(())
}

fn shared_row<B: Backend>(trial: &Trial<B>) -> Verdict {
    let epoch = trial.insert(nth(CLIENT, 0), trial.row("epoch"))?;
    let mut batches = Vec::new();
    for n in 1..=20 {
        let row = trial.row(format!("token {n}"));
        batches.push(batch(|batch| {
            batch
                .require(epoch.key(), Expect::Is(epoch.version()))
                .require(nth(CLIENT, 1), Expect::Absent)
                .insert(nth(TOKEN, n), row)
        })?);
    }
    for batch in &batches {
        trial.applies(batch)?;
    }
    trial.unchanged(&epoch)?;
    trial.absent(nth(CLIENT, 1))
}

fn insert_again<B: Backend>(trial: &Trial<B>) -> Verdict {
    let epoch = trial.insert(nth(CLIENT, 0), trial.row("epoch"))?;
    let (token, family) = (nth(TOKEN, 1), nth(FAMILY, 1));
    let rows = (trial.row("token"), trial.row("family"));
    let insert = batch(|batch| {
        batch
            .require(epoch.key(), Expect::Is(epoch.version()))
            .insert(token, rows.0)
            .insert(family, rows.1)
    })?;
    trial.applies(&insert)?;
    let row = trial.held(family)?;
    trial.conflicts(&insert, token)?;
    trial.unchanged(&row)?;
    ensure!(row.op() == insert.op(), "the op does not tell that the batch was applied");
    Ok(())
}

fn replacement_again<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in [TOKEN, FAMILY] {
        let first = trial.insert(nth(kind, 1), trial.row("first"))?;
        let row = trial.row("second");
        let replace = batch(|batch| batch.replace(first.key(), first.version(), row))?;
        trial.applies(&replace)?;
        let second = trial.held(first.key())?;
        trial.conflicts(&replace, first.key())?;
        trial.unchanged(&second)?;
        ensure!(second.op() == replace.op(), "the op does not tell that the batch was applied");
    }
    Ok(())
}

fn deletion_again<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in [TOKEN, FAMILY] {
        let first = trial.insert(nth(kind, 1), trial.row("first"))?;
        let delete = batch(|batch| batch.delete(first.key(), first.version()))?;
        trial.applies(&delete)?;
        trial.conflicts(&delete, first.key())?;
        let second = trial.insert(first.key(), trial.row("first"))?;
        trial.conflicts(&delete, first.key())?;
        trial.unchanged(&second)?;
    }
    Ok(())
}

fn op_tells<B: Backend>(trial: &Trial<B>) -> Verdict {
    let key = nth(TOKEN, 1);
    let (row, other) = (trial.row("the same"), trial.row("the same"));
    let mine = batch(|batch| batch.insert(key, row))?;
    let theirs = batch(|batch| batch.insert(key, other))?;
    ensure!(mine.op() != theirs.op(), "two batches have the same op");
    trial.applies(&theirs)?;
    trial.conflicts(&mine, key)?;
    let row = trial.held(key)?;
    ensure!(row.op() == theirs.op(), "the op is not the one of the batch that was applied");
    Ok(())
}

fn given_up<B: Backend>(trial: &Trial<B>) -> Verdict {
    for n in 0..50 {
        let (token, family) = (nth(TOKEN, n), nth(FAMILY, n));
        let two = || {
            let rows = (trial.row("token"), trial.row("family"));
            batch(|batch| batch.insert(token, rows.0).insert(family, rows.1))
        };
        let (dropped, sent) = (two()?, two()?);
        {
            let mut future = pin!(trial.backend.commit(dropped.clone()));
            // Whether it got far enough to happen is what is left open.
            let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        let winner = match trial.commit(&sent)? {
            Outcome::Applied => sent.op(),
            Outcome::Conflict(_) => dropped.op(),
        };
        for key in [token, family] {
            let row = trial.held(key)?;
            ensure!(row.op() == winner, "{key:?} is not of the batch that was applied");
        }
    }
    Ok(())
}

/// Told before the answer, also of a commit that is given up, and never of one that conflicts.
fn told_once<B: Backend>(trial: &Trial<B>) -> Verdict {
    let told_of = |batch: &mut Batch| {
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        batch.on_applied(move || {
            let _ = count.fetch_add(1, Ordering::SeqCst);
        });
        move || told.load(Ordering::SeqCst)
    };
    for n in 0..50 {
        let insert = || {
            let row = trial.row("token");
            batch(|batch| batch.insert(nth(TOKEN, n), row))
        };
        let (mut dropped, mut sent) = (insert()?, insert()?);
        let (of_dropped, of_sent) = (told_of(&mut dropped), told_of(&mut sent));
        if n % 2 == 0 {
            let mut future = pin!(trial.backend.commit(dropped.clone()));
            let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        let applied = trial.commit(&sent)? == Outcome::Applied;
        ensure!(of_sent() == u32::from(applied), "told {} times of an insert", of_sent());
        // Sent again: what it was given is called with the first.
        ensure!(trial.commit(&sent)? != Outcome::Applied, "an insert was applied twice");
        ensure!(of_sent() == u32::from(applied), "told of a conflict");
        let told = u32::from(!applied);
        ensure!(of_dropped() == told, "told {} times of what was given up", of_dropped());
    }
    Ok(())
}
