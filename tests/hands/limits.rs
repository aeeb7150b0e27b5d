use super::{CHILD, holds, options};
use grantkeep_tests::process::Process;
use std::path::Path;
use std::process::Command;

/// Longer than any file of a small store.
const ENOUGH: u64 = 1 << 30;

/// The lines of a process that opens a store under one limit and goes on under another, and whether
/// it ended by itself.
fn limited(dir: &Path, before: u64, after: u64) -> (Vec<String>, bool) {
    let mut command = Command::new(CHILD);
    let command = command.arg("limited").arg(dir);
    let mut child = Process::start(command.arg(before.to_string()).arg(after.to_string()));
    let mut lines = Vec::new();
    while let Some(line) = child.line() {
        lines.push(line);
    }
    (lines, child.wait().success())
}

// Goal: a limit on file sizes that is too small for the store is a typed error of the open, before
// anything is written, and no signal. Method: limits below the reserve, below a segment, and below
// the table of a store that is there.
#[test]
fn an_open_refuses_a_limit_that_is_too_small() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    for before in [0, 4_096, 8 << 20, (64 << 20) - 1] {
        let (lines, ended) = limited(&dir, before, before);
        assert!(ended, "a signal ended it under a limit of {before}");
        let said = lines.join(" ");
        let words = ["Limit: ", &format!("limited to {before} bytes"), "67108864", "ulimit -f"];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        let left = std::fs::read_dir(&dir).unwrap().count();
        assert!(left <= 1, "more than `LOCK` was made under a limit of {before}");
    }
    options().open(&dir).unwrap();
}

// Goal: a limit that is reached while the store is open is an error of what reaches it, and no
// signal; what was acknowledged is there. Method: lower the limit of a process at work.
#[test]
fn a_limit_that_is_reached_is_an_error() {
    for after in [0, 4_096, 1 << 20] {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("store");
        let (lines, ended) = limited(&dir, ENOUGH, after);
        assert!(ended, "a signal ended it under a limit of {after}: {lines:?}");
        assert_eq!((lines.len(), lines[0].as_str()), (2, "open"));
        assert!(["Unknown", "Full", "Unavailable"].contains(&lines[1].as_str()), "{lines:?}");
        assert!(holds(&options().open(&dir).unwrap(), "before"));
    }
}
