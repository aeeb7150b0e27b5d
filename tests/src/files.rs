//! Directories of a store as plain files: copied, listed, damaged.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Every file under `dir`, in the order of their paths.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a store directory: what its next open would find. A file that the store removes meanwhile
/// is one that it does not need. `LOCK` comes first: it says which segments there are at least, and
/// the store may make another meanwhile.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut paths: Vec<_> =
        fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort_by_key(|path| !path.ends_with("LOCK"));
    for path in paths {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            match fs::copy(&path, &target) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}

/// The log's segments in the order of their numbers (the name of a file used again is older than
/// its number, so the header tells).
pub fn segments(store: &Path) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|name| name == "seg");
    let mut segments: Vec<_> = files(&store.join("log")).into_iter().filter(is_segment).collect();
    segments.sort_by_key(|path| {
        let bytes = fs::read(path).unwrap();
        u64::from_le_bytes(bytes[32..40].try_into().unwrap())
    });
    segments
}

/// Changes the bytes of a file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}
