//! The table's file by its header: cut short, and of other formats.

use super::{open, refused};
use grantkeep::{ErrorKind, Result, Store, Wait as _};
use grantkeep_tests::files::{copy_dir, edit, files, segments};
use grantkeep_tests::process::Process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xxhash_rust::xxh3::xxh3_64;

const PAGE: usize = 4_096;

/// A store with a table of some size, closed in order, and one as a kill leaves it.
fn stores(place: &Path) -> [PathBuf; 2] {
    let (live, crashed) = (place.join("live"), place.join("crashed"));
    let store = open(&live).unwrap();
    for part in 0..12 {
        super::issue(&store, &(0..50).map(|at| format!("{part}-{at}")).collect::<Vec<_>>());
        store.checkpoint().wait().unwrap();
    }
    copy_dir(&live, &crashed);
    store.close().unwrap();
    [live, crashed]
}

/// What a program that does not survive a panic says of a store.
fn strictly(dir: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_child"));
    let mut child = Process::start(command.arg("strict").arg(dir));
    child.line().unwrap_or_else(|| "nothing".to_owned())
}

/// A changed copy of a store, one after the other.
struct Copies(PathBuf);

impl Copies {
    fn of(&self, from: &Path, change: impl FnOnce(&mut Vec<u8>)) -> &Path {
        let _ = fs::remove_dir_all(&self.0);
        copy_dir(from, &self.0);
        edit(&self.0.join("table.redb"), change);
        &self.0
    }
}

// Goal: a table that was cut short is a typed error also for a program that is built with
// `panic = "abort"`, after a close and after a kill. Method: cut by one page, by many, and within a
// page; open in a process whose panics abort it.
#[test]
fn tables_that_are_cut_short_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let copies = Copies(place.path().join("copy"));
    let mut refusals = 0;
    for store in stores(place.path()) {
        let length = fs::read(store.join("table.redb")).unwrap().len();
        let by_pages = (1..4).chain((4..length / PAGE).step_by(23)).map(|pages| pages * PAGE);
        for cut in by_pages.chain([1, PAGE - 1, length - 100, length]) {
            let copy = copies.of(&store, |bytes| bytes.truncate(length - cut));
            let said = strictly(copy);
            if said == "open" && store.ends_with("crashed") && cut <= 3 * PAGE {
                // Free pages, which a power cut might have taken back as well.
                let found = open(copy).unwrap().verify(|_| {}).wait().unwrap();
                assert_eq!(found.damages, 0, "cut by {cut} of {length}");
                continue;
            }
            assert!(said.starts_with("Corrupt: "), "cut by {cut} of {length}: {said}");
            assert!(said.contains("table.redb") && said.contains("empty directory"), "{said}");
            refusals += 1;
        }
        let longer = strictly(copies.of(&store, |bytes| bytes.extend([0; 2 * PAGE])));
        assert_eq!(longer, "open", "a table that is longer has lost nothing");
    }
    println!("{refusals} cuts, all refused");
}

// Goal: no flipped bit of the header makes redb panic. Method: each bit, after a close and after a
// kill, in a process whose panics abort it.
#[test]
fn damaged_headers_are_refused_or_harmless() {
    let place = tempfile::tempdir().unwrap();
    let copies = Copies(place.path().join("copy"));
    for store in stores(place.path()) {
        for byte in (0..32).chain([64, 65, 66, 192, 193, 194, 319]) {
            for bit in 0..8 {
                let said = strictly(copies.of(&store, |bytes| bytes[byte] ^= 1 << bit));
                let right = ["open", "Corrupt: ", "Format: "];
                assert!(right.iter().any(|start| said.starts_with(start)), "{byte}.{bit}: {said}");
            }
        }
    }
}

/// Demands a refusal for a format, which leaves every file as it is.
fn refused_untouched(dir: &Path, words: &[&str], opened: impl FnOnce() -> Result<Store>) {
    let content = || {
        let names = files(dir).into_iter().filter(|path| !path.ends_with("LOCK"));
        names.map(|path| (path.clone(), fs::read(path).unwrap())).collect::<Vec<_>>()
    };
    let before = content();
    refused(opened(), ErrorKind::Format, words);
    assert!(content() == before, "a store of another format was written to");
}

// Goal: a file format of redb that this build does not know is told as that, and not as damage.
// Method: older and newer ones, in either commit of the header and both.
#[test]
fn file_formats_of_redb_are_told_from_damage() {
    let place = tempfile::tempdir().unwrap();
    let copies = Copies(place.path().join("copy"));
    for store in stores(place.path()) {
        for format in [1, 2, 4, 9] {
            for commits in [&[64][..], &[192], &[64, 192]] {
                let change =
                    |bytes: &mut Vec<u8>| commits.iter().for_each(|at| bytes[*at] = format);
                let copy = copies.of(&store, change);
                let words = ["file format version that this build cannot read", "table.redb"];
                refused_untouched(copy, &words, || open(copy));
            }
        }
    }
}

// Goal: the store's own format is read before anything of it is repaired, cut, or removed. Method:
// a table of a newer format that needs a repair, and a newer segment beside one that was being
// made, of stores that were closed and that were not.
#[test]
fn newer_formats_are_read_before_anything_is_repaired() {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    for store in stores(place.path()) {
        let afresh = || {
            let _ = fs::remove_dir_all(&copy);
            copy_dir(&store, &copy);
            fs::write(copy.join("log/000000000900.new"), "half").unwrap();
        };
        afresh();
        let (path, unclean) = (copy.join("table.redb"), copy.join("unclean"));
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("meta");
        transaction.open_table(meta).unwrap().insert("format", 5).unwrap();
        transaction.commit().unwrap();
        fs::copy(&path, &unclean).unwrap();
        drop(database);
        fs::rename(&unclean, &path).unwrap();
        assert_ne!(fs::read(&path).unwrap()[9] & 2, 0, "it needs no repair");
        refused_untouched(&copy, &["format 5", "upgrade"], || open(&copy));

        afresh();
        edit(&segments(&copy)[0], |bytes| {
            for at in [0, PAGE] {
                bytes[at + 8] = 5;
                let check = xxh3_64(&bytes[at..at + 48]).to_le_bytes();
                bytes[at + 48..at + 56].copy_from_slice(&check);
            }
        });
        refused_untouched(&copy, &["log segment", "format 5", "upgrade"], || open(&copy));
    }
}
