use super::{CHILD, commit, goes_on, holds, options};
use grantkeep::{ErrorKind, Result, Store};
use grantkeep_tests::process::Process;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a refused open says.
pub(super) fn refusal(opened: Result<Store>) -> String {
    let error = opened.expect_err("two have it");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    error.to_string()
}

/// A process that has the store open, until its standard input ends.
fn holder(dir: &Path) -> (Process, ChildStdin) {
    opener("hold", dir)
}

/// A process that opens the store as the child of this name does, until its standard input ends.
pub(super) fn opener(name: &str, dir: &Path) -> (Process, ChildStdin) {
    let mut command = Command::new(CHILD);
    let mut child = Process::start(command.arg(name).arg(dir).stdin(Stdio::piped()));
    let input = child.stdin().unwrap();
    assert_eq!(child.line().as_deref(), Some("open"));
    (child, input)
}

// Goal: P2, a removed `LOCK` lets nobody in, in this process or another, and is there again with
// the holder's name. Method: remove it, and put another file in its place, while the store is open;
// open it from both.
#[test]
fn a_removed_lock_file_lets_nobody_in() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let lock = dir.join("LOCK");
    let store = options().open(&dir).unwrap();
    let own = format!("(pid {})", std::process::id());
    let harms: [fn(&Path); 2] = [
        |lock| fs::remove_file(lock).unwrap(),
        |lock| {
            fs::write(lock.with_extension("copy"), "closed\n").unwrap();
            fs::rename(lock.with_extension("copy"), lock).unwrap();
        },
    ];
    for harm in harms {
        harm(&lock);
        let mut child = Process::start(Command::new(CHILD).arg("open").arg(&dir).stdin({
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(b"open\n").unwrap();
            reader
        }));
        let line = child.line().expect("see its message above");
        assert!(line.starts_with("Locked: ") && line.contains("another process"), "{line}");
        assert!(refusal(options().open(&dir)).contains("already open in this process"));
        goes_on(&store);
        let noted = fs::read_to_string(&lock).unwrap();
        assert!(noted.starts_with(&format!("open {}\n", std::process::id())), "{noted}");
        assert!(refusal(options().open(&dir)).contains(&own));
    }
    commit(&store, "last").unwrap();
    fs::remove_file(&lock).unwrap();
    store.close().unwrap();
    assert!(fs::read_to_string(&lock).unwrap().starts_with("closed\n"));
    assert!(holds(&options().open(&dir).unwrap(), "last"));
}

// Goal: a refusal says whether the store is open in this process or another. Method: two opens
// here, by different paths; a child; one after a close.
#[test]
fn a_refusal_says_whose_store_it_is() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().open(&dir).unwrap();
    std::os::unix::fs::symlink(&dir, place.path().join("link")).unwrap();
    for path in [dir.clone(), place.path().join("link"), dir.join("../store")] {
        let said = refusal(options().open(path));
        assert!(said.contains("already open in this process") && said.contains("clone"), "{said}");
    }
    store.close().unwrap();
    let (child, input) = holder(&dir);
    let said = refusal(options().open(&dir));
    let named = format!("another process (pid {})", child.id());
    assert!(said.contains(&named) && said.contains("stop it"), "{said}");
    drop(input);
    options().lock_patience(PATIENCE).open(&dir).unwrap();
}

// Goal: an open waits for the lock as long as it is told to, and no longer. Method: a holder in
// this process and in another that closes meanwhile, and one that does not.
#[test]
fn an_open_waits_for_its_predecessor() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().open(&dir).unwrap();
    let short = Duration::from_millis(120);
    let started = Instant::now();
    refusal(options().lock_patience(short).open(&dir));
    assert!((short..PATIENCE).contains(&started.elapsed()));

    let closing = std::thread::spawn(move || {
        std::thread::sleep(short);
        commit(&store, "by the one before").unwrap();
        store.close().unwrap();
    });
    let next = options().lock_patience(PATIENCE).open(&dir).unwrap();
    assert!(holds(&next, "by the one before"));
    closing.join().unwrap();
    next.close().unwrap();

    let (mut child, input) = holder(&dir);
    let ending = std::thread::spawn(move || {
        std::thread::sleep(short);
        drop(input);
    });
    options().lock_patience(PATIENCE).open(&dir).unwrap();
    ending.join().unwrap();
    assert!(child.wait().success());
}

// Goal: whoever waits for a store that is being made finds it made, and does not make another.
// Method: many opens at once of a directory that is not there.
#[test]
fn whoever_waits_finds_the_store_of_the_one_before() {
    for _ in 0..5 {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("store");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let dir = &dir;
                scope.spawn(move || {
                    let store = options().lock_patience(PATIENCE).open(dir).unwrap();
                    commit(&store, &format!("by-{number}")).unwrap();
                    store.close().unwrap();
                });
            }
        });
        let store = options().open(&dir).unwrap();
        assert!((0..4).all(|number| holds(&store, &format!("by-{number}"))));
    }
}
