//! System calls of a process, counted and tampered with by strace.

use super::CHILD;
use grantkeep_tests::lives::Lives;
use grantkeep_tests::process::tool;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a process does under strace: as many operations on one thread, so that runs are alike.
const OPERATIONS: u64 = 60;
const SEED: u64 = 7;
/// Segments of the log that a run can have.
const SEGMENTS: u64 = 99;

/// The calls that change a disk, by all their names.
pub(super) const CHANGES: [(&str, &str); 6] = [
    ("pwrite64", "pwrite64"),
    ("fdatasync", "fdatasync"),
    ("fsync", "fsync"),
    ("ftruncate", "ftruncate"),
    ("rename", "?rename,?renameat,?renameat2"),
    ("unlink", "?unlink,?unlinkat"),
];
pub(super) const READ: (&str, &str) = ("pread64", "pread64");

/// A system call on one of the parts of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    pub(super) call: &'static str,
    pub(super) part: &'static str,
}

/// The files of a part of the store in `dir`.
fn paths(dir: &Path, part: &str) -> Vec<PathBuf> {
    let log = dir.join("log");
    let names: &[&str] = match part {
        "table" => &["table.redb", "table.redb.new"],
        "keyring" => &["keyring", "keyring.new"],
        "lock" => &["LOCK"],
        "reserve" => &["reserve"],
        "directory" => return vec![dir.to_path_buf(), log],
        "log" => {
            let numbers = 1..=SEGMENTS;
            let both = |number| ["seg", "new"].map(|end| log.join(format!("{number:012}.{end}")));
            return numbers.flat_map(both).collect();
        }
        other => panic!("no part {other}"),
    };
    names.iter().map(|name| dir.join(name)).collect()
}

const PARTS: [&str; 6] = ["table", "log", "lock", "reserve", "keyring", "directory"];

// Without `--seccomp-bpf`, which is faster, and delivers no signal.

/// Why nothing can be traced here, if that is so.
pub(super) fn missing() -> Option<String> {
    let probe = ["-f", "-qq", "-e", "trace=fsync", "-e"];
    let done = tool(Command::new("strace").args(probe).args(["inject=fsync:error=EIO", "true"]));
    done.err().map(|why| format!("processes cannot be traced here: {why}"))
}

fn strace(trace: &Path, calls: &str) -> Vec<String> {
    let fixed = ["strace", "-f", "-qq", "-y", "-o"].map(str::to_owned);
    let traced = [trace.to_str().unwrap().to_owned(), "-e".to_owned(), format!("trace={calls}")];
    fixed.into_iter().chain(traced).collect()
}

/// A store of its own, and the lives on it.
pub(super) struct Traced {
    dir: tempfile::TempDir,
    pub(super) lives: Lives,
}

impl Traced {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lives = Lives::new(CHILD, dir.path().join("store"), dir.path().join("notes"));
        Self { dir, lives }
    }

    fn trace(&self) -> PathBuf {
        self.dir.path().join("trace")
    }

    /// Runs a life to its end, and counts its calls by where they go: those of the thread that has
    /// the most there, since strace counts the calls of each thread apart.
    pub(super) fn count(&mut self) -> BTreeMap<Site, u64> {
        let calls: Vec<&str> = CHANGES.iter().chain([&READ]).map(|(_, names)| *names).collect();
        let mut child =
            self.lives.next(&strace(&self.trace(), &calls.join(",")), SEED, 1, OPERATIONS);
        assert!(child.wait().success(), "without a fault, see its message above");
        let parts: BTreeMap<PathBuf, &str> = PARTS
            .iter()
            .flat_map(|part| {
                paths(&self.lives.store, part).into_iter().map(move |path| (path, *part))
            })
            .collect();
        let mut by_thread: BTreeMap<(Site, String), u64> = BTreeMap::new();
        for line in std::fs::read_to_string(self.trace()).unwrap().lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            let named = |(_, names): &&(&str, &str)| {
                let mut names = names.split(',').map(|name| name.trim_start_matches('?'));
                names.any(|name| call.starts_with(&format!("{name}(")))
            };
            let Some((call_name, _)) = CHANGES.iter().chain([&READ]).find(named) else { continue };
            // A path stands in <> behind a number, or in quotes.
            let found = call.split(['<', '>', '"']).find_map(|word| parts.get(Path::new(word)));
            if let Some(part) = found {
                let site = Site { call: call_name, part };
                *by_thread.entry((site, thread.to_owned())).or_default() += 1;
            }
        }
        let mut most: BTreeMap<Site, u64> = BTreeMap::new();
        for ((site, _), count) in by_thread {
            let held = most.entry(site).or_default();
            *held = count.max(*held);
        }
        most
    }

    /// Runs a life in which calls of a site are tampered with as `how` says (`error=EIO:when=3`);
    /// answers how it ended, and how many calls were.
    pub(super) fn tamper(&mut self, site: Site, how: &str) -> (std::process::ExitStatus, usize) {
        let calls = CHANGES.iter().chain([&READ]).find(|(call, _)| *call == site.call).unwrap().1;
        let mut before = strace(&self.trace(), calls);
        before.extend(["-e".to_owned(), format!("inject={calls}:{how}")]);
        for path in paths(&self.lives.store, site.part) {
            before.extend(["-P".to_owned(), path.to_str().unwrap().to_owned()]);
        }
        let mut child = self.lives.next(&before, SEED + self.lives.round, 1, OPERATIONS);
        let ended = child.wait();
        let trace = std::fs::read_to_string(self.trace()).unwrap();
        (ended, trace.matches("(INJECTED)").count())
    }
}

/// At most `points` numbers from 1 to `count`, spread evenly, with the first and the last.
pub(super) fn spread(count: u64, points: u64) -> Vec<u64> {
    let points = points.min(count);
    let at = |point| if points < 2 { 1 } else { 1 + point * (count - 1) / (points - 1) };
    (0..points).map(at).collect()
}
