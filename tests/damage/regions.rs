//! Which bytes of a store's files are harmed, and how: every header and frame of the log, every
//! page of the table that is in use, and the small files byte by byte.

use crate::harm::{Harm, Kind, files};
use crate::world::{DIR, Left};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::sim_disk::SimDisk;
use std::ops::Range;
use std::path::{Path, PathBuf};

const PAGE: usize = 4_096;
const SECTOR: usize = 512;
const DATA: usize = 8_192;
const FRAME_HEADER: usize = 48;
const RECORD_HEADER: usize = 48;

/// A frame of a segment: where it lies, and the sequence number and the base that it names.
#[derive(Debug, Clone)]
pub struct Frame {
    pub range: Range<usize>,
    pub sequence: u64,
    pub base: u64,
}

/// The frames from the start of a segment on, without a look at their checks.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut frames, mut at) = (Vec::<Frame>::new(), DATA);
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    while at + FRAME_HEADER <= bytes.len() && number(at) != 0 {
        let payload = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        let end = at + FRAME_HEADER + payload as usize;
        let (sequence, base) = (number(at + 16), number(at + 24));
        let follows = frames.last().is_none_or(|last| last.sequence + 1 == sequence);
        if end > bytes.len() || !follows {
            // What an earlier use of the file has left.
            break;
        }
        frames.push(Frame { range: at..end, sequence, base });
        at = end;
    }
    frames
}

pub fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|own| own == "seg")
}

/// The segment with the largest number: the one that is, or would be, written to last.
pub fn newest_with_frames(disk: &SimDisk) -> PathBuf {
    let segments = files(disk, &Path::new(DIR).join("log"));
    let newest = |path: &PathBuf| {
        let frames = frames(&disk.content(path).unwrap());
        frames.last().map_or(0, |frame| frame.sequence)
    };
    segments.into_iter().filter(|path| is_segment(path)).max_by_key(newest).unwrap()
}

/// The harms of regions, `density` kinds to each small one.
pub fn region_harms(left: &Left, earlier: usize, density: usize) -> Vec<Harm> {
    let mut harms = Vec::new();
    for path in files(&left.disk, Path::new(DIR)) {
        let bytes = left.disk.content(&path).unwrap();
        let (fine, coarse) = match path.file_name().unwrap().to_str().unwrap() {
            "table.redb" => table_regions(&bytes, left.closed, density),
            name if name.ends_with(".seg") => segment_regions(&bytes),
            "reserve" => (Vec::new(), pieces(0..bytes.len(), bytes.len().div_ceil(4))),
            _ => (pieces(0..bytes.len(), 8), pieces(0..bytes.len(), 64)),
        };
        let mut dice = Pseudorandom::new(bytes.len() as u64);
        let region = |range: &Range<usize>, kind| Harm::Region {
            path: path.clone(),
            range: range.clone(),
            kind,
        };
        for range in &fine {
            let first = dice.number() as usize;
            let kinds = all_kinds(dice.number() as usize, earlier);
            let chosen = (0..density.min(kinds.len())).map(|at| kinds[(first + at) % kinds.len()]);
            harms.extend(chosen.map(|kind| region(range, kind)));
        }
        for range in &coarse {
            let kinds = all_kinds(dice.number() as usize, earlier);
            harms.extend(kinds.into_iter().map(|kind| region(range, kind)));
        }
    }
    harms
}

/// Every kind of harm to a region; half of them are earlier copies and bits.
fn all_kinds(bit: usize, earlier: usize) -> Vec<Kind> {
    let mut kinds =
        vec![Kind::Flip(bit), Kind::Zero, Kind::Ones, Kind::Shift(8), Kind::Shift(SECTOR)];
    kinds.extend((0..earlier).map(Kind::Older));
    kinds
}

fn pieces(range: Range<usize>, len: usize) -> Vec<Range<usize>> {
    let starts = range.clone().step_by(len.max(1));
    starts.map(|at| at..(at + len).min(range.end)).collect()
}

/// Of the table each page in use: some bytes at a time, and as a whole. It is the same after a
/// close and without one, but for redb's header.
fn table_regions(
    bytes: &[u8],
    closed: bool,
    density: usize,
) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let pages = pieces(0..bytes.len(), PAGE).into_iter();
    let used: Vec<_> = pages.filter(|page| bytes[page.clone()].iter().any(|b| *b != 0)).collect();
    // redb's own header is short, and every byte of it counts.
    let mut fine = pieces(0..320, 8);
    let of_page = |page: &Range<usize>| {
        pieces(page.clone(), (256 / density).max(16))
            .into_iter()
            .filter(|part| bytes[part.clone()].iter().any(|b| *b != 0))
    };
    if closed {
        fine.extend(used.iter().flat_map(of_page));
    }
    (fine, used)
}

/// Of a segment its headers, each frame's header, records, and end, and some of the zeros.
fn segment_regions(bytes: &[u8]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let mut fine = pieces(0..64, 8);
    fine.extend(pieces(PAGE..PAGE + 64, 8));
    let mut coarse = vec![0..SECTOR, PAGE..PAGE + SECTOR, 0..PAGE, PAGE..DATA, SECTOR..PAGE];
    let mut end = DATA;
    for Frame { range, .. } in frames(bytes) {
        end = range.end;
        let header = range.start + FRAME_HEADER;
        let record = (header + RECORD_HEADER).min(range.end);
        fine.extend([range.start..header, header..record]);
        fine.extend(pieces(record..range.end, 64.max((range.end - record) / 4)));
    }
    coarse.extend(pieces(DATA..end, 64 << 10));
    fine.retain(|part| !part.is_empty());
    coarse.extend(pieces(end..bytes.len(), ((bytes.len() - end) / 2).max(1)));
    (fine, coarse)
}

/// The harms of whole files.
pub fn file_harms(left: &Left, earlier: usize, density: usize) -> Vec<Harm> {
    let dir = Path::new(DIR);
    let paths = files(&left.disk, dir);
    let mut harms = Vec::new();
    for path in &paths {
        let bytes = left.disk.content(path).unwrap();
        harms.extend(cuts(&bytes, density).map(|len| Harm::Cut { path: path.clone(), len }));
        for (by, with) in [(1, 0), (1, 0xff), (PAGE, 0), (PAGE, 0xff), (1 << 20, 0)] {
            harms.push(Harm::Grow { path: path.clone(), by, with });
        }
        harms.push(Harm::Remove(path.clone()));
        for to in ["lost", "000000000777.seg", "table.redb.new", "000000000001.new"] {
            let to = path.with_file_name(to);
            harms.push(Harm::Rename { from: path.clone(), to });
        }
        for other in paths.iter().filter(|other| *other > path) {
            harms.push(Harm::Swap(path.clone(), other.clone()));
            if path.parent() == other.parent() {
                let (from, to) = (path.clone(), other.clone());
                harms.push(Harm::Rename { from: from.clone(), to: to.clone() });
                harms.push(Harm::Rename { from: to, to: from });
            }
        }
        let parts = vec![path.clone()];
        harms.extend((0..earlier).map(|copy| Harm::Older { parts: parts.clone(), copy }));
    }
    let parts = ["LOCK", "keyring", "log", "reserve", "table.redb"].map(|name| dir.join(name));
    for chosen in 1..1 << parts.len() {
        let chosen = (0..parts.len()).filter(|at| chosen & 1 << at != 0);
        let parts: Vec<PathBuf> = chosen.map(|at| parts[at].clone()).collect();
        harms.extend((0..earlier).map(|copy| Harm::Older { parts: parts.clone(), copy }));
    }
    harms
}

/// Lengths to cut a file to: each edge of what is in it, and a few in between.
fn cuts(bytes: &[u8], density: usize) -> impl Iterator<Item = usize> {
    let mut cuts = vec![0, 1, bytes.len().saturating_sub(1), bytes.len() / 2];
    cuts.extend((0..bytes.len()).step_by((bytes.len() / (16 * density)).max(1)));
    if bytes.starts_with(b"GKLOG") {
        for Frame { range, .. } in frames(bytes) {
            cuts.extend([range.start, range.start + FRAME_HEADER, range.end - 1]);
        }
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts.retain(|cut| *cut < bytes.len());
    cuts.into_iter()
}

/// Every bit of the numbers that the table knows of the store, wherever a copy of them lies: they
/// follow the last of their names.
pub fn number_harms(left: &Left) -> Vec<Harm> {
    const LAST_NAME: &[u8] = b"store id, low half";
    let path = Path::new(DIR).join("table.redb");
    let bytes = left.disk.content(&path).unwrap();
    let names = bytes.windows(LAST_NAME.len()).enumerate();
    let behind = names.filter(|(_, name)| *name == LAST_NAME).map(|(at, _)| at + LAST_NAME.len());
    let bits = behind.flat_map(|from| (0..6 * 64).map(move |bit| (from..from + 6 * 8, bit)));
    let harm = |(range, bit)| Harm::Region { path: path.clone(), range, kind: Kind::Flip(bit) };
    bits.map(harm).collect()
}
