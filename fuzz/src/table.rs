//! Keys and values of the table: entries removed, moved, added, and changed, with checks that hold
//! where the fuzzer wants them to. redb's own pages stay whole; damage to those is the business of
//! the `input` suite.
//!
//! While no checked entry is whole that the store did not write, a store that verifies answers
//! exactly what it held, and one that does not answers that, nothing, or an error. With forged
//! entries nothing may panic, and each row that is answered must stand in the table or in the log.

mod entries;

use crate::input::Input;
use crate::record::{self, Said};
use crate::visit::{Visit, use_forged};
use crate::written::{self, Author, State, Written};
use entries::{Entries, Part, sealed_death, sealed_tags};
use grantkeep::ErrorKind;
use grantkeep::backend::Key;
use grantkeep_tests::sim_disk::SimDisk;
use std::collections::BTreeSet;
use std::sync::LazyLock;

const EDITS_MAX: usize = 16;
/// As many keys of forged records are asked for.
const FORGED_KEYS_MAX: usize = 16;
/// Bytes of a block before the records' offsets.
const BLOCK_HEADER_BYTES: usize = 4;
/// Bytes of a row by id before its record: its window and the batch of its terms.
const FILED_HEADER_BYTES: usize = 17;
/// Bytes of the tag of a first version, and of a later one.
const TAG_BYTES: usize = 13;
const LATER_BYTES: usize = 21;

/// A store, and its table in parts.
struct Base {
    written: Written,
    entries: Entries,
    /// Every record in the table and in the log.
    said: BTreeSet<Said>,
}

static BASES: LazyLock<[Base; 2]> = LazyLock::new(|| {
    [author().killed(), author().closed()].map(|written| {
        let entries = Entries::read(&written.disk);
        let said = written.states.iter().flat_map(State::values).map(Said::by_row).collect();
        Base { written, entries, said }
    })
});

/// Rows in blocks, by id, replaced, deleted, and young.
fn author() -> Author {
    let mut author = Author::new();
    author.put(0..20, 60);
    author.put(20..30, 2_000);
    author.checkpoint();
    author.put(0..8, 90);
    author.delete(10..13);
    author.checkpoint();
    author.put(1..4, 30);
    author.put(30..36, 10);
    author.checkpoint();
    author.put(36..40, 25);
    author.delete(14..16);
    author
}

/// Opens and uses a store with the table that `data` makes of one.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let base = &BASES[input.below(BASES.len())];
    let mut entries = base.entries.clone();
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        edit(&mut entries, &mut input);
    }
    let disk = base.written.disk.kill();
    entries.write(&base.entries, &disk);
    let (mut forged, mut said, mut forged_keys) = (false, base.said.clone(), BTreeSet::new());
    for (part, key, value) in entries.changed(&base.entries) {
        match part {
            Part::Meta => forged = true,
            Part::Tags | Part::Later => forged |= sealed_tags(key, value),
            Part::Deaths => forged |= sealed_death(key, value),
            // Terms have no check: a listing tells nothing that the rows do not confirm.
            Part::Terms => {}
            Part::Blocks | Part::Rows => {
                // A whole record where the store did not put it is as good as a forged one: its
                // check says nothing of its place.
                let before = base.entries.value(part, key);
                for at in 0..value.len() {
                    let Some(record) = record::whole(&value[at..]) else { continue };
                    said.extend(Said::by(record));
                    forged |= !before.windows(record.len()).any(|held| held == record);
                    forged_keys.insert(record::key(record));
                }
            }
        }
    }
    let more = forged_keys.into_iter().filter(|key| !written::keys().contains(key));
    let keys = written::keys().into_iter().chain(more.take(FORGED_KEYS_MAX)).collect();
    if forged {
        return use_forged(&disk, keys, &said);
    }
    // A block that is gone with its tags, or a row with its death, was never there as far as the
    // table can tell, and what it replaced is. redb counts what it loses; what is removed through
    // it is not lost.
    let gone = |part| base.entries.keys(part).any(|key| entries.value(part, key).is_empty());
    let later_gone = gone(Part::Later) || gone(Part::Deaths);
    use_damaged(&disk, keys, base, (gone(Part::Tags) || later_gone, later_gone));
}

fn use_damaged(disk: &SimDisk, keys: Vec<Key>, base: &Base, (gone, later_gone): (bool, bool)) {
    let Some(visit) = Visit::new(disk, keys) else { return };
    let answers = visit.ask();
    let clean = answers.clean && !gone;
    let held = base.written.states.last().expect("a state");
    for (key, answer) in &answers.rows {
        let due = held.get(key).map(Said::by_row);
        let lost = !clean && matches!(answer, Ok(None) | Err(ErrorKind::Corrupt));
        let is_older = |answer: &Said| later_gone && base.said.contains(answer);
        let older = answer.as_ref().is_ok_and(|answer| answer.as_ref().is_some_and(is_older));
        assert!(lost || older || *answer == Ok(due), "{key:?}: {answer:?}, {clean}");
    }
    for (number, list) in (0..).zip(&answers.lists) {
        let of = |row: &&_| -> bool {
            let row: &grantkeep::backend::Row = row;
            row.terms().iter().any(|term| term == written::term(number))
        };
        let due: Vec<Said> = held.values().filter(of).map(Said::by_row).collect();
        match list {
            Ok(rows) if clean => assert_eq!(*rows, due, "the list of term {number}"),
            Ok(rows) => {
                let said = |row| due.contains(row) || later_gone && base.said.contains(row);
                assert!(rows.iter().all(said), "{rows:?}");
            }
            Err(kind) => assert!(!answers.clean, "{kind:?} of a store that verified"),
        }
    }
    let went_on = visit.go_on();
    assert!(went_on || !answers.clean, "a store that verified does not go on");
}

fn edit(entries: &mut Entries, input: &mut Input<'_>) {
    let (kind, part) = (input.byte(), Part::ALL[input.below(Part::ALL.len())]);
    let sealed = kind & 1 == 0;
    let table = entries.table(part);
    let which = input.below(table.len());
    let Some((key, value)) = table.get(which).cloned() else { return };
    let (mut new_key, mut new_value) = (key.clone(), value);
    match kind >> 1 & 7 {
        0 => {
            table.remove(which);
            return;
        }
        1 => {
            // The entry moves, or is doubled.
            let at = input.below(new_key.len());
            new_key[at] = input.byte();
        }
        2 => new_value.truncate(input.below(new_value.len() + 1)),
        3 => {
            let other = input.below(table.len());
            new_value = table[other].1.clone();
        }
        4 => {
            let at = input.below(new_value.len());
            new_value.get_mut(at).into_iter().for_each(|byte| *byte = input.byte());
        }
        _ => change_value(part, &mut new_value, input),
    }
    if part == Part::Meta {
        new_key.clone_from(&key);
    }
    if sealed {
        entries::seal(part, &new_key, &mut new_value);
    }
    entries::fit(part, &mut new_value);
    let table = entries.table(part);
    if kind & 0x10 == 0 {
        table.remove(which);
    }
    table.retain(|(held, _)| *held != new_key);
    table.push((new_key, new_value));
}

/// Changes what a value of this table consists of.
fn change_value(part: Part, value: &mut Vec<u8>, input: &mut Input<'_>) {
    match part {
        Part::Meta | Part::Deaths => {
            let number = input.number(record::u64_at(value, 0));
            *value = number.to_le_bytes().to_vec();
        }
        Part::Tags | Part::Later => {
            let bytes = if part == Part::Tags { TAG_BYTES } else { LATER_BYTES };
            let at = input.below(value.len().saturating_sub(8) / bytes) * bytes;
            let at = at + input.below(bytes);
            value.get_mut(at).into_iter().for_each(|byte| *byte = input.byte());
        }
        Part::Rows => {
            if input.flag() && value.len() >= FILED_HEADER_BYTES {
                value[input.below(FILED_HEADER_BYTES)] = input.byte();
            } else if record::whole(value.get(FILED_HEADER_BYTES..).unwrap_or_default()).is_some() {
                let mut record = value.split_off(FILED_HEADER_BYTES);
                record::change(&mut record, input);
                value.extend(record);
            }
        }
        Part::Blocks => {
            let rows = usize::from(value.first().copied().unwrap_or(0));
            let offset = BLOCK_HEADER_BYTES + 4 * input.below(rows);
            if input.flag() {
                let at = input.below(offset + 4);
                value.get_mut(at).into_iter().for_each(|byte| *byte = input.byte());
                return;
            }
            let at = record::u64_at(value, offset) as u32 as usize;
            let record = value.get(at..).and_then(record::whole).map(<[u8]>::to_vec);
            if let Some(mut record) = record {
                record::change(&mut record, input);
                let end = (at + record.len()).min(value.len());
                value[at..end].copy_from_slice(&record[..end - at]);
            }
        }
        Part::Terms => {}
    }
}
