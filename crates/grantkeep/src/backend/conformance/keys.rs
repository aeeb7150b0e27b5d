//! Keys that are hard to tell apart, and values of every length.

use super::Check;
use super::trial::{FAMILY, TOKEN, Trial, Verdict, batch, ensure, listed, nth, term};
use crate::backend::{BATCH_STEPS_MAX, Backend, Batch, Key, Kind, Terms, VALUE_BYTES_MAX};
use crate::digest::Digest;

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        Check::new("keys that differ in one byte of their id are different", one_byte_apart),
        Check::new("the first and the last of all keys are keys like any other", extremes),
        Check::new("the same id under each kind is another key", every_kind),
        Check::new("a value of any length up to the limit is read back", value_lengths),
    ]
}

fn one_byte_apart<B: Backend>(trial: &Trial<B>) -> Verdict {
    for kind in [TOKEN, FAMILY] {
        let base = *nth(kind, 0).id.as_bytes();
        let mut keys = Vec::new();
        for at in 0..base.len() {
            let mut id = base;
            for byte in id.iter_mut().skip(at).take(1) {
                *byte ^= 1;
            }
            keys.push(Key::new(kind, Digest::from_bytes(id)));
        }
        for (at, key) in keys.iter().enumerate() {
            trial.absent(*key)?;
            trial.insert(*key, trial.row(format!("byte {at}")))?;
        }
        trial.absent(Key::new(kind, Digest::from_bytes(base)))?;
        for (at, key) in keys.iter().enumerate() {
            let row = trial.held(*key)?;
            ensure!(row.value() == format!("byte {at}").as_bytes(), "{key:?} has another's value");
            if at % 2 == 0 {
                trial.delete(&row)?;
            }
        }
        for (at, key) in keys.iter().enumerate() {
            if at % 2 == 0 {
                trial.absent(*key)?;
            } else {
                trial.held(*key)?;
            }
        }
    }
    Ok(())
}

fn extremes<B: Backend>(trial: &Trial<B>) -> Verdict {
    let mut keys = Vec::new();
    for kind in [Kind::from_byte(0), TOKEN, Kind::revised(0), Kind::from_byte(u8::MAX)] {
        keys.extend([[0; 32], [u8::MAX; 32]].map(|id| Key::new(kind, Digest::from_bytes(id))));
    }
    let revised = || keys.iter().copied().filter(|key| key.kind.is_revised());
    for key in &keys {
        let terms = if key.kind.is_revised() { Terms::one(term(0)) } else { Terms::NONE };
        let first = trial.insert(*key, listed(trial.row("first"), terms))?;
        trial.replace(&first, listed(trial.row(key.to_bytes()), terms))?;
    }
    for key in &keys {
        let row = trial.held(*key)?;
        ensure!(row.value() == key.to_bytes(), "{key:?} has another key's value");
    }
    trial.lists(term(0), revised())?;
    let paged = trial.list(term(0), 1)?.len();
    ensure!(paged == revised().count(), "pages of one row list {paged} rows");
    for key in &keys {
        trial.delete(&trial.held(*key)?)?;
        trial.absent(*key)?;
    }
    trial.lists(term(0), [])
}

fn every_kind<B: Backend>(trial: &Trial<B>) -> Verdict {
    let id = nth(TOKEN, 0).id;
    let keys: Vec<Key> = (0..=u8::MAX).map(|kind| Key::new(Kind::from_byte(kind), id)).collect();
    for keys in keys.chunks(BATCH_STEPS_MAX) {
        let mut batch = Batch::new()?;
        for key in keys {
            trial.absent(*key)?;
            batch.insert(*key, trial.row([key.kind.as_byte()]));
        }
        trial.applies(&batch)?;
    }
    for key in &keys {
        let row = trial.held(*key)?;
        ensure!(row.value() == [key.kind.as_byte()], "{key:?} has the value of another kind");
    }
    Ok(())
}

fn value_lengths<B: Backend>(trial: &Trial<B>) -> Verdict {
    let edges = [0, 1, 255, 256, 4_095, 4_096, 4_097, VALUE_BYTES_MAX - 1, VALUE_BYTES_MAX];
    for kind in [TOKEN, FAMILY] {
        let key = nth(kind, 0);
        for (n, len) in (1..).zip(edges) {
            // No byte of a value has a meaning, zeros at its end included.
            let value: Vec<u8> = (0..=u8::MAX).cycle().skip(len % 251).take(len).collect();
            let zeros = vec![0; len];
            for value in [value, zeros] {
                let other = nth(kind, n);
                let row = trial.insert(other, trial.row(value.clone()))?;
                ensure!(row.value() == value, "{len} bytes are not read back as they were put");
                trial.delete(&row)?;
            }
        }
        // One key goes through all the lengths, up and down.
        let mut row = trial.insert(key, trial.row(""))?;
        for len in edges.into_iter().chain(edges.into_iter().rev()) {
            row = trial.replace(&row, trial.row(vec![7; len]))?;
            ensure!(row.value() == vec![7; len], "{len} bytes put in place are not read back");
        }
        let version = row.version();
        trial.applies(&batch(|batch| batch.delete(key, version))?)?;
        trial.absent(key)?;
    }
    Ok(())
}
