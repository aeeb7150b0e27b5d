//! What is done to the files: to a region of one, or to whole ones.

use grantkeep::{Disk as _, OpenMode};
use grantkeep_tests::sim_disk::SimDisk;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

const PIECE: usize = 4_096;

/// What becomes of the bytes of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One bit of it, of this number.
    Flip(usize),
    Zero,
    Ones,
    /// They lie this much further back.
    Shift(usize),
    /// They are those of an earlier copy of the file.
    Older(usize),
}

/// One harm.
#[derive(Debug, Clone)]
pub enum Harm {
    Region {
        path: PathBuf,
        range: Range<usize>,
        kind: Kind,
    },
    Cut {
        path: PathBuf,
        len: usize,
    },
    Grow {
        path: PathBuf,
        by: usize,
        with: u8,
    },
    Remove(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Swap(PathBuf, PathBuf),
    /// Some files, or directories of them, as they were.
    Older {
        parts: Vec<PathBuf>,
        copy: usize,
    },
}

/// What of a file has become different, as the bytes before and after tell.
#[derive(Debug, Clone)]
pub struct Changed {
    pub path: PathBuf,
    pub range: Range<usize>,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Any).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

/// Every file under `dir`, in the order of their paths.
pub fn files(disk: &SimDisk, dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in disk.list(dir).unwrap() {
        let path = dir.join(name);
        match disk.list(&path) {
            Ok(_) => found.extend(files(disk, &path)),
            Err(_) => found.push(path),
        }
    }
    found
}

impl Harm {
    /// Does it; answers what has changed.
    pub fn apply(&self, disk: &SimDisk, earlier: &[SimDisk]) -> Vec<Changed> {
        if let Self::Region { path, range, kind } = self {
            return harm_region(disk, path, range, *kind, earlier).into_iter().collect();
        }
        let before: Vec<(PathBuf, Vec<u8>)> = self
            .touches(disk, earlier)
            .into_iter()
            .map(|path| (path.clone(), disk.content(&path).unwrap_or_default()))
            .collect();
        self.act(disk, earlier);
        let changed = before.into_iter().filter_map(|(path, before)| {
            let after = disk.content(&path).unwrap_or_default();
            let range = difference(&before, &after)?;
            Some(Changed { path, range })
        });
        changed.collect()
    }

    fn touches(&self, disk: &SimDisk, earlier: &[SimDisk]) -> Vec<PathBuf> {
        match self {
            Self::Region { path, .. }
            | Self::Cut { path, .. }
            | Self::Grow { path, .. }
            | Self::Remove(path) => vec![path.clone()],
            Self::Rename { from, to } | Self::Swap(from, to) => vec![from.clone(), to.clone()],
            Self::Older { parts, copy } => {
                let mut paths: Vec<_> = parts.iter().flat_map(|part| below(disk, part)).collect();
                paths.extend(parts.iter().flat_map(|part| below(&earlier[*copy], part)));
                paths.sort();
                paths.dedup();
                paths
            }
        }
    }

    fn act(&self, disk: &SimDisk, earlier: &[SimDisk]) {
        match self {
            Self::Region { .. } => unreachable!("done in place"),
            Self::Cut { path, len } => {
                let file = disk.open(path, OpenMode::Existing).unwrap();
                file.set_len(*len as u64).unwrap();
                file.sync_data().unwrap();
            }
            Self::Grow { path, by, with } => {
                let mut bytes = disk.content(path).unwrap();
                bytes.resize(bytes.len() + by, *with);
                write(disk, path, &bytes);
            }
            Self::Remove(path) => remove(disk, path),
            Self::Rename { from, to } => {
                disk.rename(from, to).unwrap();
                disk.sync_dir(to.parent().unwrap()).unwrap();
            }
            Self::Swap(one, other) => {
                let (first, second) = (disk.content(one).unwrap(), disk.content(other).unwrap());
                write(disk, one, &second);
                write(disk, other, &first);
            }
            Self::Older { parts, copy } => {
                for part in parts {
                    below(disk, part).iter().for_each(|path| remove(disk, path));
                    for path in below(&earlier[*copy], part) {
                        write(disk, &path, &earlier[*copy].content(&path).unwrap());
                    }
                }
            }
        }
    }
}

fn remove(disk: &SimDisk, path: &Path) {
    disk.remove(path).unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

/// The file itself, or the files in a directory.
fn below(disk: &SimDisk, path: &Path) -> Vec<PathBuf> {
    match disk.list(path) {
        Ok(_) => files(disk, path),
        Err(_) => disk.content(path).map(|_| path.to_path_buf()).into_iter().collect(),
    }
}

/// Harms a region in place, and what it is shifted over; answers what has changed.
fn harm_region(
    disk: &SimDisk,
    path: &Path,
    range: &Range<usize>,
    kind: Kind,
    earlier: &[SimDisk],
) -> Option<Changed> {
    let file = disk.open(path, OpenMode::Existing).unwrap();
    let length = usize::try_from(file.len().unwrap()).unwrap();
    let end = match kind {
        Kind::Shift(by) => (range.end + by).min(length),
        _ => range.end,
    };
    let mut before = vec![0; end - range.start];
    file.read_at(&mut before, range.start as u64).unwrap();
    let mut after = before.clone();
    match kind {
        Kind::Flip(bit) => {
            let bit = bit % (8 * after.len());
            after[bit / 8] ^= 1 << (bit % 8);
        }
        Kind::Zero => after.fill(0),
        Kind::Ones => after.fill(0xff),
        Kind::Shift(by) => {
            let by = by.min(after.len());
            after[by..].copy_from_slice(&before[..before.len() - by]);
        }
        Kind::Older(copy) => after = piece(&earlier[copy], path, range),
    }
    let changed = difference(&before, &after)?;
    file.write_at(&after, range.start as u64).unwrap();
    file.sync_data().unwrap();
    let range = range.start + changed.start..range.start + changed.end;
    Some(Changed { path: path.to_path_buf(), range })
}

/// A region of a file, zeros where there is none.
fn piece(disk: &SimDisk, path: &Path, range: &Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; range.len()];
    if let Ok(file) = disk.open(path, OpenMode::Existing) {
        let length = usize::try_from(file.len().unwrap()).unwrap();
        let there = range.end.min(length).saturating_sub(range.start);
        file.read_at(&mut bytes[..there], range.start as u64).unwrap_or_default();
    }
    bytes
}

/// From the first byte that differs to behind the last; a length that differs goes to the end.
fn difference(before: &[u8], after: &[u8]) -> Option<Range<usize>> {
    // Pieces first: most files are equal almost everywhere.
    let mut pieces = before.chunks(PIECE).zip(after.chunks(PIECE)).enumerate();
    let first = pieces.find(|(_, (one, other))| one != other).and_then(|(at, (one, other))| {
        let within = one.iter().zip(other).position(|(one, other)| one != other);
        within.map(|within| at * PIECE + within)
    });
    let shorter = before.len().min(after.len());
    if before.len() != after.len() {
        return Some(first.unwrap_or(shorter)..usize::MAX);
    }
    let mut pieces = before.chunks(PIECE).zip(after.chunks(PIECE)).enumerate();
    let (at, (one, other)) = pieces.rfind(|(_, (one, other))| one != other)?;
    let last = one.iter().zip(other).rposition(|(one, other)| one != other)?;
    Some(first?..at * PIECE + last + 1)
}
