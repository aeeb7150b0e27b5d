//! One key at a time: what is read back, and which expectations hold.

use super::Check;
use super::trial::{FAMILY, HOUR, NEVER, TOKEN, Trial, Verdict, batch, ensure, listed, nth, term};
use crate::backend::{Backend, Expect, Kind, Terms, Version};

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("a key that was never put has no row", unknown),
        Check::new("an inserted row is read back whole", read_back),
        Check::new("an insert conflicts where a row stands", insert_on_existing),
        Check::new("a replacement is read back whole, under a larger version", replacement),
        Check::new("a replacement by the same content is a new version", same_content),
        Check::new("a version that was replaced or never was conflicts", stale_version),
        Check::new("a version conflicts where no row stands", version_of_nothing),
        Check::new("a deleted row is gone, and its key is free", deletion),
        Check::new("no version of a key returns after a deletion", version_after_deletion),
        Check::new("a requirement holds of a row that stands", requirement_on_present),
        Check::new("a requirement holds of a row that is absent", requirement_on_absent),
    ]
}

const KINDS: [Kind; 2] = [TOKEN, FAMILY];

fn unknown<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        trial.absent(nth(kind, 1))?;
        trial.insert(nth(kind, 2), trial.row("another"))?;
        trial.absent(nth(kind, 1))?;
    }
    Ok(())
}

fn read_back<B: Backend>(trial: &Trial<B>) -> Verdict {
    let four = Terms::of([4, 2, 3, 1].map(|number| Some(term(number))));
    let terms = [Terms::NONE, Terms::one(term(1)), Terms::two(term(2), term(1)), four];
    for (n, terms) in (0..).zip(terms) {
        for kind in KINDS {
            if !terms.is_empty() && !kind.is_revised() {
                continue;
            }
            let new = listed(trial.row_for(HOUR + n * HOUR, format!("value {n}")), terms);
            let insert = batch(|batch| batch.insert(nth(kind, u64::from(n)), new.clone()))?;
            trial.applies(&insert)?;
            let row = trial.held(nth(kind, u64::from(n)))?;
            ensure!(row.value() == new.value, "the value read is another");
            ensure!(row.expires_at() == new.expires_at, "it expires at {:?}", row.expires_at());
            ensure!(row.terms() == terms, "its terms are {:?}, not {terms:?}", row.terms());
            ensure!(row.op() == insert.op(), "its op is not the one of the batch that put it");
        }
    }
    Ok(())
}

fn insert_on_existing<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let key = nth(kind, 1);
        let row = trial.insert(key, trial.row("first"))?;
        for value in ["second", "first"] {
            let second = trial.row_for(2 * HOUR, value);
            trial.conflicts(&batch(|batch| batch.insert(key, second))?, key)?;
            trial.unchanged(&row)?;
        }
    }
    Ok(())
}

fn replacement<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let mut old = trial.insert(nth(kind, 1), trial.row("0"))?;
        for n in 1..20 {
            // Longer, shorter, later, and earlier than the one before.
            let lifetime = HOUR * ((n * 7) % 5 + 1);
            let new = trial.row_for(lifetime, vec![b'x'; (n as usize * 37) % 101]);
            let replace = batch(|b| b.replace(old.key(), old.version(), new.clone()))?;
            trial.applies(&replace)?;
            let row = trial.held(old.key())?;
            let (version, before) = (row.version(), old.version());
            ensure!(version > before, "{version:?} follows {before:?} and is not larger");
            ensure!(row.value() == new.value, "the value read is not the one put last");
            ensure!(row.expires_at() == new.expires_at, "the expiry is not the one put last");
            ensure!(row.op() == replace.op(), "the op is not the one of the batch that put it");
            old = row;
        }
    }
    Ok(())
}

fn same_content<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let new = trial.row("the same");
        let first = trial.insert(nth(kind, 1), new.clone())?;
        let second = trial.replace(&first, new)?;
        ensure!(second.version() > first.version(), "the version did not grow");
        ensure!(second.op() != first.op(), "the op is still the one of the first batch");
    }
    Ok(())
}

fn stale_version<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let first = trial.insert(nth(kind, 1), trial.row("first"))?;
        let key = first.key();
        let second = trial.replace(&first, trial.row("second"))?;
        for wrong in [first.version(), Version(0), NEVER] {
            let row = trial.row("third");
            trial.conflicts(&batch(|batch| batch.replace(key, wrong, row))?, key)?;
            trial.conflicts(&batch(|batch| batch.delete(key, wrong))?, key)?;
            trial.unchanged(&second)?;
        }
    }
    Ok(())
}

fn version_of_nothing<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let (key, standing) = (nth(kind, 1), trial.insert(nth(kind, 2), trial.row("other"))?);
        for version in [standing.version(), Version(0), NEVER] {
            let row = trial.row("value");
            trial.conflicts(&batch(|batch| batch.replace(key, version, row))?, key)?;
            trial.conflicts(&batch(|batch| batch.delete(key, version))?, key)?;
            trial.absent(key)?;
        }
    }
    Ok(())
}

fn deletion<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let key = nth(kind, 1);
        let first = trial.insert(key, trial.row("first"))?;
        trial.delete(&first)?;
        trial.absent(key)?;
        trial.conflicts(&batch(|batch| batch.delete(key, first.version()))?, key)?;
        let second = trial.insert(key, trial.row_for(2 * HOUR, "second"))?;
        ensure!(second.value() == b"second", "the value read is the one of the deleted row");
        trial.conflicts(&batch(|batch| batch.delete(key, first.version()))?, key)?;
        trial.unchanged(&second)?;
        trial.delete(&second)?;
        trial.absent(key)?;
    }
    Ok(())
}

fn version_after_deletion<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let mut last = Version(0);
        for round in 0..5 {
            let row = trial.insert(nth(kind, 1), trial.row(format!("life {round}")))?;
            let version = row.version();
            ensure!(version > last, "{version:?} follows {last:?} and is not larger");
            last = version;
            trial.delete(&row)?;
        }
    }
    Ok(())
}

fn requirement_on_present<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let old = trial.insert(nth(kind, 1), trial.row("required"))?;
        let required = trial.replace(&old, trial.row("required"))?;
        let (key, written) = (required.key(), nth(TOKEN, 2));
        for expect in [Expect::Is(old.version()), Expect::Is(NEVER), Expect::Absent] {
            let row = trial.row("written");
            let refused = batch(|batch| batch.insert(written, row).require(key, expect))?;
            trial.conflicts(&refused, key)?;
            trial.absent(written)?;
        }
        let (row, expect) = (trial.row("written"), Expect::Is(required.version()));
        trial.applies(&batch(|batch| batch.insert(written, row).require(key, expect))?)?;
        trial.unchanged(&required)?;
        trial.delete(&trial.held(written)?)?;
    }
    Ok(())
}

fn requirement_on_absent<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in KINDS {
        let (key, written) = (nth(kind, 1), nth(TOKEN, 2));
        for expect in [Expect::Is(Version(0)), Expect::Is(Version(1)), Expect::Is(NEVER)] {
            let row = trial.row("written");
            let refused = batch(|batch| batch.insert(written, row).require(key, expect))?;
            trial.conflicts(&refused, key)?;
            trial.absent(written)?;
        }
        let row = trial.row("written");
        let held = batch(|batch| batch.insert(written, row).require(key, Expect::Absent))?;
        trial.applies(&held)?;
        trial.absent(key)?;
        trial.delete(&trial.held(written)?)?;
    }
    Ok(())
}
