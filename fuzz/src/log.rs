//! The bytes of the log's segments: frames dropped, doubled, reordered, and changed, with checks
//! that hold where the fuzzer wants them to, and raw damage over them.
//!
//! While no frame and no header is whole that the store did not write, what opens must be a prefix
//! of the commits, as it was, and work on. With forged ones nothing may panic, and each row that is
//! answered must stand in the log or in the table.

use crate::frames::{DATA, FRAME_HEADER_BYTES, Frame, Segment};
use crate::input::Input;
use crate::record::{self, Said};
use crate::visit::{Answers, Visit, use_forged};
use crate::written::{self, Author, State, Written};
use grantkeep::backend::Key;
use grantkeep::{Disk as _, OpenMode};
use grantkeep_tests::sim_disk::SimDisk;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

const EDITS_MAX: usize = 24;
/// As many keys of forged records are asked for.
const FORGED_KEYS_MAX: usize = 16;
/// A segment that is grown is at most this long.
const SEGMENT_BYTES_MAX: usize = 600_000;

/// A store, and its log in parts.
struct Base {
    written: Written,
    segments: Vec<Segment>,
    /// Every whole header and frame that the store wrote.
    parts: BTreeSet<Vec<u8>>,
    /// What its rows say, now and before.
    said: BTreeSet<Said>,
}

static BASES: LazyLock<[Base; 4]> = LazyLock::new(|| {
    [short().killed(), short().closed(), long().killed(), long().closed()].map(Base::new)
});

/// A dozen commits in one segment.
fn short() -> Author {
    let mut author = Author::new();
    author.put(0..4, 20);
    for number in 3..12 {
        author.put(number..number + 1, usize::from(number) * 9);
    }
    author.delete(1..3);
    author.put(0..2, 300);
    author
}

/// Several segments, the first of which is carried.
fn long() -> Author {
    let mut author = Author::new();
    for number in 0..30 {
        author.put(number..number + 4, if number % 3 == 0 { 9_000 } else { 50 });
        if number == 9 {
            author.checkpoint();
        }
    }
    author.delete(4..7);
    for number in 0..30 {
        author.put(number..number + 2, 4_000);
    }
    author.delete(20..21);
    author
}

impl Base {
    fn new(written: Written) -> Self {
        let files = written::log_files(&written.disk);
        let read = |name: &std::path::PathBuf| {
            let bytes = written::content(&written.disk, name);
            (Segment::read(name.clone(), &bytes), Segment::whole_parts(&bytes))
        };
        let (mut segments, parts): (Vec<_>, Vec<_>) = files.iter().map(read).unzip();
        segments.sort_by_key(Segment::number);
        let said = written.states.iter().flat_map(State::values).map(Said::by_row).collect();
        Self { segments, parts: parts.into_iter().flatten().collect(), said, written }
    }
}

/// Opens and uses a store with the log that `data` makes of one.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let base = &BASES[input.below(BASES.len())];
    let disk = base.written.disk.kill();
    let mut segments = base.segments.clone();
    let mut edits = 0;
    while edits < EDITS_MAX && !input.is_empty() && !segments.is_empty() {
        edit(&mut segments, &mut input, &disk);
        edits += 1;
    }
    let (mut forged, mut said, mut keys) = (false, base.said.clone(), BTreeSet::new());
    for name in written::log_files(&disk) {
        disk.remove(&written::dir().join(name)).expect("a file is removed");
    }
    for segment in &segments {
        let bytes = segment.encode();
        let file = written::file(&disk, &segment.name, OpenMode::Any);
        file.set_len(segment.bytes as u64).expect("room");
        file.write_at(&bytes, 0).expect("room");
        for part in Segment::whole_parts(&bytes) {
            if !base.parts.contains(&part) {
                forged = true;
                note(&part, &mut said, &mut keys);
            }
        }
    }
    let asked = written::keys().into_iter().chain(keys.into_iter().take(FORGED_KEYS_MAX)).collect();
    if forged { use_forged(&disk, asked, &said) } else { use_damaged(&disk, asked, base, edits) }
}

/// Notes what the records of a forged frame say.
fn note(part: &[u8], said: &mut BTreeSet<Said>, keys: &mut BTreeSet<Key>) {
    for at in (FRAME_HEADER_BYTES..part.len()).step_by(8) {
        if let Some(record) = record::whole(&part[at..]) {
            keys.insert(record::key(record));
            said.extend(Said::by(record));
        }
    }
}

fn use_damaged(disk: &SimDisk, keys: Vec<Key>, base: &Base, edits: usize) {
    let Some(visit) = Visit::new(disk, keys.clone()) else {
        assert!(edits > 0, "a store that nobody changed does not open");
        return;
    };
    let answers = visit.ask();
    assert_prefix(&answers, base);
    assert!(visit.go_on(), "a store that opened whole does not go on");
    let again = Visit::new(disk, keys).expect("a store that was closed in order opens");
    let later = again.ask();
    assert_prefix(&later, base);
    assert_eq!(later.rows, answers.rows, "other answers after a close");
}

/// Demands that the answers are those after one of the commits, and without damage.
fn assert_prefix(answers: &Answers, base: &Base) {
    assert!(answers.clean, "{answers:?}");
    let told: BTreeSet<&Said> =
        answers.rows.values().flat_map(|row| row.as_ref().expect("an answer")).collect();
    let is_it = |state: &&State| {
        let rows: BTreeSet<Said> = state.values().map(Said::by_row).collect();
        told.iter().copied().eq(rows.iter())
    };
    let state = base.written.states.iter().find(is_it);
    let state = state.unwrap_or_else(|| panic!("no prefix of the commits: {told:?}"));
    for (number, list) in (0..).zip(&answers.lists) {
        let due =
            state.values().filter(|row| row.terms().iter().any(|t| t == written::term(number)));
        let due: Vec<Said> = due.map(Said::by_row).collect();
        assert_eq!(list.as_ref(), Ok(&due), "the list of term {number}");
    }
}

fn edit(segments: &mut Vec<Segment>, input: &mut Input<'_>, disk: &SimDisk) {
    let (kind, which) = (input.byte() % 16, input.below(segments.len()));
    let segment = &mut segments[which];
    match kind {
        0 => {
            let at = DATA + input.below(segment.bytes.saturating_sub(DATA + 16));
            segment.patches.push((at, input.bytes(16).to_vec()));
        }
        1 => {
            let bytes = segment.encode();
            let at = input.below(bytes.len());
            let flipped = bytes.get(at).map(|byte| byte ^ 1 << (input.byte() % 8));
            segment.patches.extend(flipped.map(|byte| (at, vec![byte])));
        }
        2 => {
            let at = input.below(segment.encode().len());
            segment.patches.push((at, vec![0; input.below(4_096)]));
        }
        3 => segment.bytes = input.below(segment.encode().len() + 1),
        4 => segment.bytes = (segment.bytes + input.below(70_000)).min(SEGMENT_BYTES_MAX),
        5 => segment.change_header(input),
        6 => drop(segments.remove(which)),
        7 => {
            let mut copy = segment.clone();
            copy.name = format!("log/{:012}.seg", 500 + input.below(100)).into();
            segments.push(copy);
        }
        8 => {
            let marks: [&[u8]; 4] = [b"closed\n", b"open 1\n", b"", b"closed"];
            let lock = written::file(disk, Path::new("LOCK"), OpenMode::Any);
            lock.set_len(0).expect("room");
            lock.write_at(marks[input.below(marks.len())], 0).expect("room");
        }
        _ => edit_frames(&mut segment.frames, kind, input),
    }
}

fn edit_frames(frames: &mut Vec<Frame>, kind: u8, input: &mut Input<'_>) {
    if frames.is_empty() {
        return;
    }
    let (at, other) = (input.below(frames.len()), input.below(frames.len()));
    match kind {
        9 => drop(frames.remove(at)),
        10 => frames.insert(other, frames[at].clone()),
        11 => frames.swap(at, other),
        12 => frames[at].change_header(input),
        13 => {
            let count = frames[at].records.len();
            if let Some(record) = frames[at].records.get_mut(input.below(count)) {
                record::change(record, input);
                frames[at].recount();
            }
        }
        14 => {
            let copied = frames[other].records.first().cloned();
            if frames[at].records.len() < 8 {
                frames[at].records.extend(copied);
            }
            frames[at].recount();
        }
        _ => {
            frames[at].records.pop();
            frames[at].recount();
        }
    }
}
