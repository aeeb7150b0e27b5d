use super::looking::image;
use super::{HOUR, commit, holds, options};
use grantkeep::{ErrorKind, KeySource, Keyring, Payload, Result, Store, Wait as _};
use grantkeep_tests::files::{copy_dir, edit, segments};
use grantkeep_tests::samples;
use std::fs;
use std::path::{Path, PathBuf};

const ADVICE: &str = "restore the store from a backup into an empty directory";

fn open(dir: &Path) -> Result<Store> {
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    options().keys(keys).by_itself(false).open(dir)
}

fn restore(dir: &Path) -> Result<Store> {
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    options().keys(keys).by_itself(false).restored(true).open(dir)
}

fn said(opened: Result<Store>, words: &[&str]) {
    let error = opened.expect_err("nothing was refused");
    let message = error.to_string();
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} not in: {message}");
}

/// Commits some segments of rows.
fn fill(store: &Store, segments: usize) {
    for number in 0..segments * 22 {
        let name = format!("row-{number}-{}", store.stats().commits);
        let mut token = samples::token(&name, "alice");
        token.payload = Some(Payload::Plain(vec![7; 12_000]));
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(&name), &token, until).unwrap();
        store.commit(change).wait().unwrap();
    }
}

/// A store of several segments that was not closed.
fn crashed(place: &Path) -> PathBuf {
    let (live, crashed) = (place.join("live"), place.join("crashed"));
    let store = open(&live).unwrap();
    fill(&store, 4);
    copy_dir(&live, &crashed);
    store.close().unwrap();
    crashed
}

// Goal: a segment that is missing is said to be missing, by its number, and the one behind it is
// not called damaged; of one that is cut, it is the one that is named. Method: remove, cut, and
// blank each segment that a later one proves; the first as well, without one before it.
#[test]
fn what_is_missing_of_the_log_is_named() {
    let place = tempfile::tempdir().unwrap();
    let crashed = crashed(place.path());
    let copy = place.path().join("copy");
    let used = segments(&crashed);
    for (at, harmed) in used[..3].iter().enumerate() {
        let name = harmed.file_name().unwrap().to_str().unwrap();
        let number = u64::from_le_bytes(fs::read(harmed).unwrap()[32..40].try_into().unwrap());
        let harmed = copy.join("log").join(name);
        let afresh = || {
            let _ = fs::remove_dir_all(&copy);
            copy_dir(&crashed, &copy);
        };
        afresh();
        fs::remove_file(&harmed).unwrap();
        let missing = match at {
            0 => "the log segment before".to_owned(),
            _ => format!("the log segment with number {number} is missing"),
        };
        said(open(&copy), &[&missing, "missing", ADVICE]);
        afresh();
        edit(&harmed, |bytes| bytes.truncate(150_000));
        said(open(&copy), &["log segment", name, "damaged", ADVICE]);
    }
}

// Goal: a table that is an older copy is named as one. Method: the table of before a checkpoint
// beside the log of after it.
#[test]
fn an_older_table_is_named() {
    let place = tempfile::tempdir().unwrap();
    let (dir, old) = (place.path().join("store"), place.path().join("table"));
    let store = open(&dir).unwrap();
    commit(&store, "first").unwrap();
    store.close().unwrap();
    fs::copy(dir.join("table.redb"), &old).unwrap();
    for _ in 0..3 {
        let store = open(&dir).unwrap();
        fill(&store, 2);
        store.checkpoint().wait().unwrap();
        store.close().unwrap();
    }
    let store = open(&dir).unwrap();
    commit(&store, "last").unwrap();
    store.close().unwrap();
    fs::copy(&old, dir.join("table.redb")).unwrap();
    said(open(&dir), &["table.redb is an older copy", "right file", ADVICE]);
}

// Goal: a log that is an older copy is named as one, and so are a table and a log that are both
// gone while `LOCK` knows of them; nothing is made in their place. Method: put the log of before
// back; remove both.
#[test]
fn an_older_log_is_named() {
    let place = tempfile::tempdir().unwrap();
    let (dir, old) = (place.path().join("store"), place.path().join("log"));
    let store = open(&dir).unwrap();
    commit(&store, "first").unwrap();
    store.close().unwrap();
    copy_dir(&dir.join("log"), &old);
    let store = open(&dir).unwrap();
    commit(&store, "last").unwrap();
    store.close().unwrap();
    fs::remove_dir_all(dir.join("log")).unwrap();
    copy_dir(&old, &dir.join("log"));
    said(open(&dir), &["the log", "an older copy", ADVICE]);

    fs::remove_file(dir.join("table.redb")).unwrap();
    said(open(&dir), &["has a log and no table.redb", "put it back", ADVICE]);
    fs::remove_dir_all(dir.join("log")).unwrap();
    for _ in 0..2 {
        said(open(&dir), &["neither table.redb nor a log", "LOCK", ADVICE]);
        assert!(!dir.join("table.redb").exists(), "a new store was made");
    }
}

// Goal: a backup that is copied over the directory of a store is told as that, where the two do not
// fit, and the advice is an empty directory. Method: as much issued after the backup as makes the
// log's beginning a later one; after a close and a crash; into an empty directory it restores, also
// where the copy has left out the empty directory of the log.
#[test]
fn a_backup_copied_over_a_store_is_told_as_that() {
    let place = tempfile::tempdir().unwrap();
    let (dir, copy) = (place.path().join("store"), place.path().join("copy"));
    let store = open(&dir).unwrap();
    commit(&store, "first").unwrap();
    store.backup(&copy).wait().unwrap();
    for _ in 0..3 {
        fill(&store, 2);
        store.checkpoint().wait().unwrap();
    }
    commit(&store, "last").unwrap();
    let crashed = place.path().join("crashed");
    copy_dir(&dir, &crashed);
    store.close().unwrap();
    for dir in [dir, crashed] {
        copy_dir(&copy, &dir);
        said(open(&dir), &["is a backup"]);
        for _ in 0..2 {
            said(restore(&dir), &["a backup among the files of a store", "empty directory"]);
        }
    }
    let empty = place.path().join("empty");
    copy_dir(&copy, &empty);
    fs::remove_dir(empty.join("log")).unwrap();
    let error = open(&empty).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
    assert!(holds(&restore(&empty).unwrap(), "first"));
}

// Goal: P4, P8, a backup that was damaged on its way is refused before anything of it is changed,
// wherever the damage is, and the same copy without it is restored. Method: zeros over 4 KiB that
// hold a row in the middle of the table; over each other page of it in turn; what opens has
// everything.
#[test]
fn a_damaged_backup_is_not_restored() {
    let place = tempfile::tempdir().unwrap();
    let (dir, backup) = (place.path().join("store"), place.path().join("backup"));
    let store = open(&dir).unwrap();
    fill(&store, 3);
    store.backup(&backup).wait().unwrap();
    let rows = store.stats().rows_total();
    store.close().unwrap();
    let whole = fs::read(backup.join("table.redb")).unwrap();
    // The payload of a row, and nothing else, is nothing but sevens.
    let page = |at: usize| whole[at..at + 4_096].iter().filter(|byte| **byte == 7).count();
    let pages: Vec<usize> = (0..whole.len() / 4_096).map(|page| page * 4_096).collect();
    let in_a_row = pages.iter().copied().filter(|at| page(*at) > 4_000).nth(5).unwrap();
    let copy = place.path().join("copy");
    let (mut refused, mut harmless) = (0, 0);
    for at in [in_a_row].into_iter().chain(pages.iter().copied().step_by(17)) {
        let _ = fs::remove_dir_all(&copy);
        copy_dir(&backup, &copy);
        edit(&copy.join("table.redb"), |bytes| bytes[at..at + 4_096].fill(0));
        let before = image(&copy);
        match restore(&copy) {
            Ok(store) => {
                assert!(at != in_a_row, "a row without its bytes");
                assert!(store.stats().rows_total() >= rows, "rows are gone, page at {at}");
                assert_eq!(store.verify(|_| {}).wait().unwrap().damages, 0);
                store.close().unwrap();
                harmless += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert!(before == image(&copy), "changed: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 5, "{refused} refused, {harmless} harmless");
    println!("a backup with zeros: {refused} refused, {harmless} without a row in them");
    let store = restore(&backup).unwrap();
    assert!(store.stats().rows_total() >= rows);
    store.close().unwrap();
}
