use super::{HOUR, found, issue, names, open, refused};
use grantkeep::{Code, ErrorKind, Owner, Store, Wait as _};
use grantkeep_tests::files::{copy_dir, edit, segments};
use grantkeep_tests::{samples, small_disk::SmallDisk};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

const DATA: usize = 8_192;
const COMMITS: usize = 12;

type Damage<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;

/// A store of some codes as a crash leaves it, and as an orderly close does.
struct Left {
    dir: TempDir,
    names: Vec<String>,
}

impl Left {
    fn new() -> Self {
        let (dir, names) = (tempfile::tempdir().unwrap(), names(COMMITS));
        let left = Self { dir, names };
        let store = open(&left.path("live")).unwrap();
        // With each spare that is made, `LOCK` notes a commit that is durable: once both are, it
        // says nothing of those that follow.
        let newest = format!("log {:020} ", 3);
        while !fs::read_to_string(left.path("live").join("LOCK")).unwrap().contains(&newest) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        issue(&store, &left.names);
        copy_dir(&left.path("live"), &left.path("crashed"));
        store.close().unwrap();
        copy_dir(&left.path("live"), &left.path("closed"));
        left
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy to be damaged.
    fn copy(&self, of: &str) -> PathBuf {
        let copy = self.path("copy");
        let _ = fs::remove_dir_all(&copy);
        copy_dir(&self.path(of), &copy);
        copy
    }

    /// The name of the first segment, and where its frames are.
    fn frames(&self, of: &str) -> (PathBuf, Vec<usize>) {
        let segment = segments(&self.path(of)).remove(0);
        (segment.file_name().unwrap().into(), frames(&segment))
    }
}

/// Where the frames of a segment begin, and where the last one ends.
fn frames(segment: &Path) -> Vec<usize> {
    let bytes = fs::read(segment).unwrap();
    let mut at = vec![DATA];
    loop {
        let start = *at.last().unwrap();
        let Some(header) = bytes.get(start..start + 48).filter(|h| h[..8] != [0; 8]) else {
            return at;
        };
        let payload = u32::from_le_bytes(header[8..12].try_into().unwrap());
        at.push(start + 48 + payload as usize);
    }
}

fn damage(store: &Path, segment: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    edit(&store.join("log").join(segment), change);
}

// Goal: a segment survives the loss of one of its two headers, and is refused without both. Method:
// zero, flip, and cut them.
#[test]
fn headers() {
    let left = Left::new();
    let (segment, _) = left.frames("crashed");
    for of in ["crashed", "closed"] {
        for copy_at in [0, 4_096] {
            for byte in 0..56 {
                let copy = left.copy(of);
                damage(&copy, &segment, |bytes| bytes[copy_at + byte] ^= 0x10);
                assert_eq!(found(&open(&copy).unwrap(), &left.names), COMMITS, "{byte}");
            }
        }
        let all: [fn(&mut Vec<u8>); 5] = [
            |bytes| bytes[..DATA].fill(0),
            |bytes| (bytes[20], bytes[4_096 + 20]) = (0, 0),
            |bytes| bytes.truncate(0),
            |bytes| bytes.truncate(55),
            |bytes| (bytes[0], bytes[4_096]) = (b'X', b'X'),
        ];
        for change in all {
            let copy = left.copy(of);
            damage(&copy, &segment, change);
            refused(open(&copy), ErrorKind::Corrupt, &["header of the log segment", "damaged"]);
        }
    }
}

// Goal: a segment of another store is not taken for one's own. Method: swap it in.
#[test]
fn segment_of_another_store() {
    let (left, other) = (Left::new(), Left::new());
    let copy = left.copy("closed");
    let (segment, _) = other.frames("closed");
    fs::copy(other.path("closed").join("log").join(&segment), copy.join("log").join(&segment))
        .unwrap();
    refused(open(&copy), ErrorKind::Corrupt, &["another store", "right file"]);
}

/// Gives the header at `at` another number and nonce, with a check that holds.
fn renumber(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at + 32..at + 40].copy_from_slice(&number.to_le_bytes());
    bytes[at + 40] ^= 1;
    let check = xxh3_64(&bytes[at..at + 48]);
    bytes[at + 48..at + 56].copy_from_slice(&check.to_le_bytes());
}

// Goal: a number that no segment has is damage: no overflow, and no checkpoint without an end.
// Method: zero, the largest, and the first past the limit, in both headers, with checks that hold.
#[test]
fn segment_numbers_out_of_range() {
    let left = Left::new();
    let (segment, _) = left.frames("crashed");
    for number in [0, u64::MAX, (1 << 62) + 1] {
        let copy = left.copy("crashed");
        damage(&copy, &segment, |bytes| {
            [0, 4_096].into_iter().for_each(|at| renumber(bytes, at, number));
        });
        refused(open(&copy), ErrorKind::Corrupt, &["header of the log segment", "damaged"]);
    }
}

// Goal: P1, of two headers that are whole the one of the later use counts, whichever it is. Method:
// an earlier use in either.
#[test]
fn header_of_an_earlier_use() {
    let left = Left::new();
    let (segment, _) = left.frames("crashed");
    for at in [0, 4_096] {
        let copy = left.copy("crashed");
        damage(&copy, &segment, |bytes| renumber(bytes, at, 0));
        assert_eq!(found(&open(&copy).unwrap(), &left.names), COMMITS, "{at}");
    }
}

// Goal: P7, a segment that is there twice is refused, since neither would be whole once the other
// is gone on with. Method: copy it under the name of the next, after a crash and after a close.
#[test]
fn segment_that_is_there_twice() {
    let left = Left::new();
    for of in ["crashed", "closed"] {
        let copy = left.copy(of);
        let (segment, _) = left.frames(of);
        let log = copy.join("log");
        fs::copy(log.join(&segment), log.join("000000000500.seg")).unwrap();
        refused(open(&copy), ErrorKind::Corrupt, &["000000000500.seg", "the same", "copy"]);
    }
}

// Goal: P1, damage in the middle of the log is refused, never skipped. Method: one flipped bit,
// zeros, and old bytes, in every frame that a later commit proves.
#[test]
fn damage_that_a_later_commit_proves() {
    let left = Left::new();
    let (segment, frames) = left.frames("crashed");
    assert!(frames.len() > COMMITS);
    let mut refusals = 0;
    for pair in frames.windows(2).take(COMMITS - 2) {
        let (start, end) = (pair[0], pair[1]);
        let changes: [Damage<'_>; 5] = [
            Box::new(|bytes| bytes[start] ^= 1),
            Box::new(|bytes| bytes[start + 8] ^= 4),
            Box::new(|bytes| bytes[start + 30] ^= 0x80),
            Box::new(|bytes| bytes[end - 9] ^= 0x20),
            Box::new(|bytes| bytes[start..end].fill(0)),
        ];
        for change in changes {
            let copy = left.copy("crashed");
            damage(&copy, &segment, change);
            let words = ["log segment", "damaged", "missing before", "backup"];
            refused(open(&copy), ErrorKind::Corrupt, &words);
            refusals += 1;
        }
    }
    println!("{refusals} damages in the middle, all refused");
}

// Goal: P1, P8, a torn last write is cut in silence, and takes nothing else along. Method: cut and
// zero the end of the log at every eighth byte of the last frame with a row, after a crash.
#[test]
fn torn_tail_after_a_crash() {
    let left = Left::new();
    let (segment, frames) = left.frames("crashed");
    // Frames without rows may stand between and behind: the store notes when it comes to rest.
    let bytes = fs::read(left.path("crashed").join("log").join(&segment)).unwrap();
    let with_rows = |pair: &&[usize]| bytes[pair[0] + 12] > 0;
    let last = frames.windows(2).rfind(with_rows).unwrap();
    let (start, end) = (last[0], last[1]);
    // The last bytes may be zeros anyway.
    for at in (start..end - 16).step_by(8) {
        for zeroed in [true, false] {
            let copy = left.copy("crashed");
            damage(&copy, &segment, |bytes| match zeroed {
                true => bytes[at..].fill(0),
                false => bytes.truncate(at),
            });
            let store = open(&copy).unwrap();
            assert_eq!(found(&store, &left.names[..COMMITS - 1]), COMMITS - 1, "cut at {at}");
            let last = samples::id(&left.names[COMMITS - 1]);
            assert!(store.get::<Code>(last).wait().unwrap().is_none(), "cut at {at}");
            issue(&store, &["after".to_owned()]);
            store.close().unwrap();
            assert_eq!(found(&open(&copy).unwrap(), &["after".to_owned()]), 1);
        }
    }
}

// Goal: P8, after an orderly close the log is whole, so a log that ends early is refused. Method:
// cut, zero, and flip at every eighth byte of its last frames.
#[test]
fn any_tail_after_a_close() {
    let left = Left::new();
    let (segment, frames) = left.frames("closed");
    let end = *frames.last().unwrap();
    for at in (frames[frames.len() - 3]..end).step_by(8) {
        for kind in 0..3 {
            let copy = left.copy("closed");
            damage(&copy, &segment, |bytes| match kind {
                0 => bytes.truncate(at),
                // The last frame ends with its lead, which is zero anyhow.
                1 => bytes[at.min(end - 16)..].fill(0),
                _ => bytes[at] ^= 2,
            });
            refused(open(&copy), ErrorKind::Corrupt, &["log", "backup"]);
        }
    }
    let copy = left.copy("closed");
    fs::remove_file(copy.join("log").join(&segment)).unwrap();
    refused(open(&copy), ErrorKind::Corrupt, &["log", "backup"]);
}

/// Commits a token with a payload of 12,000 bytes.
fn issue_long(store: &Store, number: usize) {
    let name = format!("token-{number}");
    let mut token = samples::token(&name, "alice");
    token.payload = Some(grantkeep::Payload::Plain(vec![7; 12_000]));
    let mut change = store.change().unwrap();
    let until = store.now().saturating_add(super::HOUR);
    change.insert(samples::id(&name), &token, until).unwrap();
    store.commit(change).wait().unwrap();
}

// Goal: P1, damage is refused however far behind it the frame lies that proves it. Method: a few
// long frames in one segment, the last but one of which is damaged at its start.
#[test]
fn damage_that_a_distant_commit_proves() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let store = open(&live).unwrap();
    (0..4).for_each(|number| issue_long(&store, number));
    copy_dir(&live, &crashed);
    let segment = segments(&crashed).remove(0);
    let bytes = fs::read(&segment).unwrap();
    let length = |at: usize| u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
    let mut frames = vec![DATA];
    while bytes[*frames.last().unwrap()..][..8] != [0; 8] {
        let at = *frames.last().unwrap();
        frames.push(at + 48 + length(at) as usize);
    }
    let long: Vec<usize> = frames.into_iter().filter(|at| length(*at) > 12_000).collect();
    assert_eq!(long.len(), 4);
    edit(&segment, |bytes| bytes[long[2]] ^= 1);
    refused(open(&crashed), ErrorKind::Corrupt, &["damaged", "missing before", "backup"]);
}

// Goal: P1, a log that is gone as a whole is refused after a kill as well, before anything is made
// in its place. Method: a store that was not closed, without its log's directory, opened twice.
#[test]
fn log_that_is_gone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let store = open(&live).unwrap();
    issue_long(&store, 1);
    copy_dir(&live, &crashed);
    fs::remove_dir_all(crashed.join("log")).unwrap();
    for _ in 0..2 {
        refused(open(&crashed), ErrorKind::Missing, &["log directory", "check the path"]);
    }
}

// Goal: P1 over several segments: one that is missing, empty, or cut is refused, where a later one
// proves it. Method: fill three segments, and harm the first and the second.
#[test]
fn segments_that_a_later_one_proves() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let store: Store = open(&live).unwrap();
    (0..60).for_each(|number| issue_long(&store, number));
    let crashed = dir.path().join("crashed");
    copy_dir(&live, &crashed);
    let used = segments(&crashed);
    assert!(used.len() >= 3);
    for harmed in &used[..2] {
        for kind in 0..3 {
            let copy = dir.path().join("copy");
            let _ = fs::remove_dir_all(&copy);
            copy_dir(&crashed, &copy);
            let path = copy.join("log").join(harmed.file_name().unwrap());
            match kind {
                0 => fs::remove_file(&path).unwrap(),
                1 => edit(&path, |bytes| bytes.truncate(100_000)),
                _ => edit(&path, |bytes| bytes[DATA..].fill(0)),
            }
            // By its number where it was written to last, as far as `LOCK` knows, else by what the
            // later ones say: which it is depends on how fast the disk is.
            let words = ["log segment", "missing", "restore the store from a backup"];
            refused(open(&copy), ErrorKind::Corrupt, &words);
        }
    }
}

// Goal: a log directory that is gone is not an empty log. Method: remove it, after a close.
#[test]
fn log_directory_that_is_gone() {
    let left = Left::new();
    let copy = left.copy("closed");
    fs::remove_dir_all(copy.join("log")).unwrap();
    let error = refused(open(&copy), ErrorKind::Missing, &["log"]);
    super::caused(&error);
    // The disk that counts its files says the same.
    let clock = grantkeep_tests::manual_clock();
    let on_disk = grantkeep_tests::options(&clock).disk(SmallDisk::new(u64::MAX)).open(&copy);
    refused(on_disk, ErrorKind::Missing, &["log"]);
}

// Goal: what is no segment by its name is neither read nor removed. Method: files of such names in
// the log's directory, with something else in them; a crash and a close.
#[test]
fn files_of_other_names_are_left_alone() {
    let left = Left::new();
    let others = ["12.txt", "12", ".seg", "x.seg", "1x.new", "12.seg.old", "seg"];
    for of in ["crashed", "closed"] {
        let copy = left.copy(of);
        let path = |name: &&str| copy.join("log").join(name);
        others.iter().for_each(|name| fs::write(path(name), "not a segment").unwrap());
        assert_eq!(found(&open(&copy).unwrap(), &left.names), COMMITS);
        assert!(others.iter().all(|name| fs::read(path(name)).unwrap() == b"not a segment"));
    }
}

// Goal: P1, P2, P7, what is behind a damaged frame is not lost with its segment when that is
// carried; nothing is issued into a store that an open would refuse, and revoking goes on. Method:
// damage each frame behind an open store, carry, issue, revoke; an open refuses the log; with the
// byte put back everything is there, the revocation too.
#[test]
fn damage_behind_an_open_store_is_not_carried_over() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(COMMITS));
    let path = dir.path().join("store");
    for number in 0..COMMITS {
        let _ = fs::remove_dir_all(&path);
        let store = open(&path).unwrap();
        issue(&store, &names);
        let segment = segments(&path).remove(0);
        let start = frames(&segment)[number];
        let flip = || edit(&segment, |bytes| bytes[start + 20] ^= 1);
        flip();
        let words = ["the log segment", "damaged at offset", "backup"];
        refused(store.checkpoint().wait(), ErrorKind::Corrupt, &words);
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id("more"), &samples::token("more", "alice"), until).unwrap();
        refused(store.commit(change).wait(), ErrorKind::Corrupt, &words);
        assert_eq!(store.health().word(), "failing");
        store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
        drop(store);
        refused(Store::open(&path), ErrorKind::Corrupt, &["is damaged"]);
        flip();
        let store = open(&path).unwrap();
        assert_eq!(found(&store, &names), COMMITS, "frame {number}");
        let epoch = store.epoch(Owner::Subject("alice")).wait().unwrap();
        assert!(epoch.held().is_some(), "frame {number}");
    }
}
