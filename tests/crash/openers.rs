use super::CHILD;
use grantkeep::{Code, ErrorKind, Store, Wait as _};
use grantkeep_tests::lives::options;
use grantkeep_tests::process::Process;
use grantkeep_tests::samples;
use grantkeep_tests::setting;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RACERS: usize = 8;
const RACES: u64 = 3;
/// Opens while programs are being started.
const OPENS: u64 = 60;

/// A process that tries to open the store whenever it is told to.
struct Opener {
    process: Process,
    orders: ChildStdin,
}

impl Opener {
    fn start(store: &Path) -> Self {
        let mut command = Command::new(CHILD);
        let mut process = Process::start(command.arg("open").arg(store).stdin(Stdio::piped()));
        let orders = process.stdin().unwrap();
        Self { process, orders }
    }

    fn order(&mut self) {
        self.orders.write_all(b"open\n").unwrap();
    }

    /// Whether it has the store; and the refusal if it has not.
    fn answer(&mut self) -> Result<(), String> {
        let line = self.process.line().expect("see its message above");
        if line == "open" {
            return Ok(());
        }
        let refusal = line.strip_prefix("Locked: ").unwrap_or_else(|| panic!("{line}"));
        Err(refusal.to_owned())
    }
}

fn name_of(pid: u32) -> String {
    format!("opened-by-{pid}")
}

fn holds(store: &Store, pid: u32) -> bool {
    store.get::<Code>(samples::id(&name_of(pid))).wait().unwrap().is_some()
}

// Goal: P2, one process at a time: of many that open a store at once exactly one gets it, all
// others are told that it is locked, and by whom; when the holder is killed, the next gets it,
// with all that was acknowledged. Method: processes open on a sign; the holder commits a code and
// is killed; the rest open again, until one is left.
#[test]
fn one_of_many_openers_gets_the_store() {
    let (mut holders, mut refused, mut at_once) = (0, 0, 0);
    for _ in 0..setting("GRANTKEEP_OPEN_RACES", RACES) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        options().create(true).open(&path).unwrap().close().unwrap();
        let mut openers: Vec<Opener> = (0..RACERS).map(|_| Opener::start(&path)).collect();
        let mut pids = Vec::new();
        while !openers.is_empty() {
            openers.iter_mut().for_each(Opener::order);
            let answers: Vec<_> = openers.iter_mut().map(Opener::answer).collect();
            let winners: Vec<_> = (0..answers.len()).filter(|at| answers[*at].is_ok()).collect();
            assert_eq!(winners.len(), 1, "{answers:?}");
            let mut winner = openers.swap_remove(winners[0]);
            let named = format!("(pid {})", winner.process.id());
            at_once += answers
                .iter()
                .flat_map(|answer| answer.as_ref().err())
                .filter(|refusal| refusal.contains(&named))
                .count();
            // At the very moment of the change a refusal may not know the holder; from then on it
            // does.
            openers.iter_mut().for_each(Opener::order);
            for opener in &mut openers {
                let refusal = opener.answer().expect_err("two have it");
                assert!(refusal.contains(&named), "not {named}: {refusal}");
                refused += 1;
            }
            pids.push(winner.process.id());
            holders += 1;
            winner.process.kill();
        }
        let store = options().open(&path).unwrap();
        assert!(pids.into_iter().all(|pid| holds(&store, pid)));
    }
    println!(
        "{holders} holders killed, one at a time; {refused} openers refused with the holder's pid, \
         {at_once} of them also in the race itself"
    );
}

/// The files of a store that a process has open.
fn open_files(pid: u32, store: &Path) -> Vec<PathBuf> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(store)).collect()
}

// Goal: a program that is started while the store is open inherits nothing of it, and keeps no
// lock when it outlives who started it. Method: a child starts `sleep`, and is killed; the store
// opens at once while `sleep` goes on.
#[test]
fn started_programs_inherit_nothing() {
    if !Path::new("/proc/self/fd").exists() {
        println!("skipped because there is no /proc to look for open files in");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child = Process::start(Command::new(CHILD).arg("spawn").arg(&path));
    let started: u32 = child.line().unwrap().parse().unwrap();
    assert!(!open_files(child.id(), &path).is_empty(), "the holder has the store's files open");
    assert_eq!(open_files(started, &path), Vec::<PathBuf>::new());
    let pid = child.id();
    child.kill();
    assert!(Path::new(&format!("/proc/{started}")).exists());
    let store = options().open(&path).unwrap();
    assert!(holds(&store, pid));
    child.kill_group();
    println!("1 program started by a killed holder kept no file of the store");
}

// Goal: P2, P8, a fork of the process that has the store open can neither release nor harm it: it
// is refused in words, and its end changes nothing. Method: a child forks; the fork writes,
// carries, closes, and drops the store, and ends; then the child commits, while another process is
// refused.
#[test]
fn a_fork_cannot_harm_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child =
        Process::start(Command::new(CHILD).arg("fork").arg(&path).stdin(Stdio::piped()));
    let mut lines = Vec::new();
    while let Some(line) = child.line() {
        let last = line == "forked";
        lines.push(line);
        if last {
            break;
        }
    }
    for what in ["commit", "checkpoint", "verify", "sweep", "close"] {
        let told = format!("{what}: Unavailable");
        assert!(lines.iter().any(|line| line.starts_with(&told)), "{what} in a fork: {lines:?}");
    }
    assert!(lines.contains(&"fork ended with 0".to_owned()), "{lines:?}");
    let error = options().open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(error.to_string().contains(&format!("(pid {})", child.id())), "{error}");
    drop(child.stdin());
    assert!(child.wait().success());
    let store = options().open(&path).unwrap();
    assert!(holds(&store, child.id()), "committed by the parent after the fork");
    assert!(!holds(&store, 0), "committed by the fork");
    assert_eq!(store.verify(|_| {}).wait().unwrap().damages, 0);
    println!("1 fork refused in {} ways, and its end released nothing", lines.len() - 2);
}

// Goal: one process at a time also means a fork that outlives its parent: as long as it runs, it
// keeps the lock, and the store is not opened beside it; when it ends, the lock ends. Method: a
// child forks and is killed; the fork waits to be ended.
#[test]
fn a_fork_that_outlives_its_parent_keeps_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child =
        Process::start(Command::new(CHILD).arg("fork-on").arg(&path).stdin(Stdio::piped()));
    let orders = child.stdin().unwrap();
    assert_eq!(child.line().as_deref(), Some("forked"));
    child.kill();
    let error = options().open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    // The fork ends when its standard input does.
    drop(orders);
    let started = Instant::now();
    let store = loop {
        match options().open(&path) {
            Err(error) if error.kind() == ErrorKind::Locked => {
                assert!(started.elapsed() < Duration::from_secs(20), "{error}");
                std::thread::yield_now();
            }
            opened => break opened.unwrap(),
        }
    };
    assert!(holds(&store, child.id()));
    println!("1 fork kept the lock of its killed parent until it ended");
}

// Goal: a store that was closed can be opened, though programs are being started meanwhile, which
// have its files for an instant. Method: start programs all the time; open and close in turns.
#[test]
fn a_close_gives_the_lock_back_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let over = AtomicBool::new(false);
    let (mut opens, mut started) = (0, 0);
    std::thread::scope(|scope| {
        let starters = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut started = 0;
                while !over.load(Ordering::Relaxed) {
                    // In another directory: then the program has all files for longer.
                    let done = Command::new("true").current_dir("/").status();
                    assert!(done.unwrap().success());
                    started += 1;
                }
                started
            })
        });
        while opens < OPENS {
            let store = Store::options().reserve_bytes(0).log_budget_bytes(2 << 20);
            let store = store.by_itself(false).open(dir.path().join("store"));
            let closed = store.and_then(|store| store.close());
            if let Err(error) = closed {
                over.store(true, Ordering::Relaxed);
                panic!("after {opens} opens: {error:?}");
            }
            opens += 1;
        }
        over.store(true, Ordering::Relaxed);
        started = starters.map(|starter| starter.join().unwrap()).iter().sum();
    });
    println!("{opens} opens right after a close, while {started} programs were started");
}
