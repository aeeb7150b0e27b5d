use super::{HOUR, open, refused};
use grantkeep::{Code, ErrorKind, Family, Owner, Result, Store, Wait as _};
use grantkeep_tests::files::{copy_dir, edit};
use grantkeep_tests::samples;
use redb::ReadableTable as _;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const ROWS: usize = 300;

/// A store whose rows are all in the table, closed in order.
fn carried(path: &Path) {
    let store = open(path).unwrap();
    for part in 0..ROWS / 20 {
        let mut change = store.change().unwrap();
        for number in part * 20..part * 20 + 20 {
            let name = format!("row-{number}");
            let until = store.now().saturating_add(HOUR);
            if number % 2 == 0 {
                change.insert(samples::id(&name), &samples::code(&name, "alice"), until).unwrap();
            } else {
                let family = samples::family(&name, "alice");
                change.insert(samples::id(&name), &family, until).unwrap();
            }
        }
        store.commit(change).wait().unwrap();
    }
    store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
    store.checkpoint().wait().unwrap();
    store.close().unwrap();
}

/// What came of one damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Harmless,
    /// Index terms carry no check: a damaged one leaves its row out of a listing, by which nothing
    /// is decided (subjects and clients are revoked by their epochs). A verification finds it.
    ListedShort,
    Corrupt,
    /// Something was refused, or left out, that a verification had found whole.
    Unverified,
    Wrong,
}

/// Uses a store in every way; an error is allowed, a wrong answer is not.
fn use_all(path: &Path) -> Result<Seen> {
    let store: Store = open(path)?;
    let verified = store.verify(|_| {}).wait();
    let clean = verified.is_ok_and(|found| found.damages == 0);
    let mut seen = Seen::Harmless;
    let mut note = |right: Result<bool>| match right {
        Ok(true) => {}
        Ok(false) => seen = Seen::Wrong,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io), "{error:?}");
            seen = seen.max(Seen::Corrupt);
        }
    };
    for number in 0..ROWS {
        let name = format!("row-{number}");
        let id = samples::id(&name);
        note(if number % 2 == 0 {
            let code = store.get::<Code>(id).wait();
            code.map(|held| held.is_some_and(|h| h.record == samples::code(&name, "alice")))
        } else {
            let family = store.get::<Family>(id).wait();
            family.map(|held| held.is_some_and(|h| h.record == samples::family(&name, "alice")))
        });
    }
    let epochs = store.epochs("alice", "client-1").wait();
    note(epochs.map(|standing| standing.epochs().subject.is_some()));
    let listed = store.list::<Family>(Owner::Subject("alice"), None, 1_000).wait();
    if seen == Seen::Harmless && !listed.is_ok_and(|page| page.records.len() == ROWS / 2) {
        seen = Seen::ListedShort;
    }
    if clean && matches!(seen, Seen::ListedShort | Seen::Corrupt) {
        seen = Seen::Unverified;
    }
    // What writes to the table may fail, and poison the store: that is a refusal as well.
    let _ = store.checkpoint().wait();
    let _ = store.close();
    Ok(seen)
}

/// Damages a copy of the store, uses it, and counts what came of it.
fn trial(
    from: &Path,
    copy: &Path,
    change: &dyn Fn(&mut Vec<u8>),
    counts: &mut BTreeMap<Seen, u64>,
) -> Seen {
    let _ = fs::remove_dir_all(copy);
    copy_dir(from, copy);
    edit(&copy.join("table.redb"), change);
    let used = catch_unwind(AssertUnwindSafe(|| use_all(copy))).expect("a caller saw a panic");
    let seen = used.unwrap_or_else(|error| {
        let allowed = [ErrorKind::Corrupt, ErrorKind::Io, ErrorKind::Format, ErrorKind::Keyring];
        assert!(allowed.contains(&error.kind()), "{error:?}");
        Seen::Corrupt
    });
    *counts.entry(seen).or_default() += 1;
    seen
}

// Goal: P4, P7, damage of the table is refused, or changes nothing: no wrong answer, and no panic
// where a caller sees it; a verification finds whatever is refused, and whatever is left out.
// Method: flip a bit, zero a page, and cut, all over the file; verify, then use.
#[test]
fn damage_all_over_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let (from, copy) = (dir.path().join("store"), dir.path().join("copy"));
    carried(&from);
    let bytes = fs::read(from.join("table.redb")).unwrap();
    let used: Vec<usize> = (0..bytes.len() / 512)
        .filter(|sector| bytes[sector * 512..sector * 512 + 512].iter().any(|byte| *byte != 0))
        .collect();
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    let mut damage = |what: &'static str, at: usize, change: &dyn Fn(&mut Vec<u8>)| {
        if trial(&from, &copy, change, &mut counts) >= Seen::Unverified {
            wrong.push((what, at));
        }
    };
    for (turn, sector) in used.iter().enumerate() {
        let at = sector * 512 + turn * 37 % 512;
        damage("flipped", at, &|bytes| bytes[at] ^= 1 << (turn % 8));
        if sector % 8 == 0 {
            damage("zeroed", sector * 512, &|bytes| bytes[sector * 512..][..4_096].fill(0));
        }
    }
    for part in 0..8 {
        let at = bytes.len() * part / 8;
        damage("cut", at, &|bytes| bytes.truncate(at));
        damage("zeroed to the end", at, &|bytes| bytes[at..].fill(0));
    }
    println!("{} sectors in use: {counts:?}", used.len());
    assert!(wrong.is_empty(), "wrong answers after {wrong:?}");
    assert!(counts.contains_key(&Seen::Corrupt), "no damage was seen");
}

/// Makes the check of the table's own numbers hold.
fn seal(meta: &mut redb::Table<'_, &str, u64>) {
    let mut check = 0;
    for entry in meta.iter().unwrap() {
        let (name, number) = entry.unwrap();
        if name.value() != "check" {
            let seed = check ^ xxh3_64(name.value().as_bytes());
            check = xxh3_64_with_seed(&number.value().to_le_bytes(), seed);
        }
    }
    assert!(meta.insert("check", check).unwrap().is_some());
}

// Goal: a number of commits that no store comes to is damage, and no overflow. Method: the largest,
// and the first one past the limit, written into the table's own numbers.
#[test]
fn carried_number_out_of_range() {
    const META: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let dir = tempfile::tempdir().unwrap();
    let (from, copy) = (dir.path().join("store"), dir.path().join("copy"));
    carried(&from);
    for number in [u64::MAX, (1 << 62) + 1] {
        let _ = fs::remove_dir_all(&copy);
        copy_dir(&from, &copy);
        let table = redb::Database::open(copy.join("table.redb")).unwrap();
        let transaction = table.begin_write().unwrap();
        let name = "carried through sequence number";
        let mut meta = transaction.open_table(META).unwrap();
        assert!(meta.insert(name, number).unwrap().is_some());
        seal(&mut meta);
        drop(meta);
        transaction.commit().unwrap();
        drop(table);
        refused(open(&copy), ErrorKind::Corrupt, &[name, "table.redb", "damaged"]);
    }
}
