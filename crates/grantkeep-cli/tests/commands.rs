//! The commands as a shell runs them: what they refuse, what they leave alone, what they say, and
//! what they take away when they are interrupted.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use grantkeep::backend::Budget;
use grantkeep::{Embedded, ErrorKind, ManualClock, Options, Store, SystemClock, Wait as _};
use grantkeep_grants::{Creation, Grants, Introspection, NewClient, NewPersonal, Policy};
use grantkeep_tests::files::{copy_dir, files};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PROGRAM: &str = env!("CARGO_BIN_EXE_grantkeep");
/// Longer than anything that a test waits for takes.
const DEADLINE: Duration = Duration::from_secs(120);
const TRAPPED: i32 = 130;

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command prints that succeeds.
fn prints(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What a command says that fails, having printed nothing.
fn says(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    text(&output.stderr)
}

fn options() -> Options {
    Store::options().reserve_bytes(0).log_budget_bytes(2 << 20)
}

fn grants(store: Store) -> Grants<Embedded> {
    Grants::new(store, Policy::default()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A store with a client and a personal token, whose text is answered.
fn made(dir: &Path) -> String {
    let grants = grants(options().open(dir).unwrap());
    let created = grants.create_client(NewClient::confidential("client-1")).wait().unwrap();
    assert!(matches!(created, Creation::Created(_)));
    let token = grants.create_personal(NewPersonal::new("alice", "laptop")).wait().unwrap().token;
    grants.store().close().unwrap();
    token.expose().to_owned()
}

/// Whether the token is in force, and the client enabled.
fn standing(dir: &Path, token: &str) -> (bool, bool) {
    let grants = grants(options().open(dir).unwrap());
    let answer = grants.introspect(token).wait().unwrap();
    let client = grants.client("client-1").wait().unwrap().unwrap();
    grants.store().close().unwrap();
    (matches!(answer, Introspection::Active(_)), client.is_enabled())
}

/// Every file and what it holds, by name.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// When each file and directory was changed.
fn changed_at(dir: &Path) -> Vec<SystemTime> {
    let within = files(dir);
    let paths = within.iter().flat_map(|path| [path.as_path(), path.parent().unwrap()]);
    paths.chain([dir]).map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect()
}

// Goal: no command writes to a directory that it has not made for that purpose. Method: `demo`,
// its victim, and `backup`, into a store, an empty directory, one of something else, and a file.
#[test]
fn no_command_writes_to_a_directory_that_was_there() {
    let place = tempfile::tempdir().unwrap();
    let (store, to) = (place.path().join("store"), place.path().join("to"));
    let token = made(&store);
    let before = content(&store);
    for arguments in [&["demo", "--count", "10", "--dir"][..], &["backup", path(&store)]] {
        let with = |dir| says(&[arguments, &[path(dir)]].concat());
        if arguments[0] == "demo" {
            assert!(with(&store).contains("not there yet"));
            assert!(content(&store) == before, "the store was written to");
        }
        fs::create_dir(&to).unwrap();
        assert!(with(&to).contains("not there yet"));
        fs::write(to.join("letter.txt"), "dear").unwrap();
        assert!(with(&to).contains("not there yet"));
        assert_eq!(content(&to).len(), 1);
        fs::remove_dir_all(&to).unwrap();
        fs::write(&to, "dear").unwrap();
        assert!(with(&to).contains("not there yet"));
        fs::remove_file(&to).unwrap();
        assert!(with(&place.path().join("none/to")).contains("not there yet"));
    }
    assert!(says(&["victim", path(&store), "0"]).contains("not made for a demonstration"));
    assert_eq!(standing(&store, &token), (true, true));
}

// Goal: a look at a store sweeps nothing. Method: a store with a row that has died; look at it, and
// find the row to be swept still.
#[test]
fn stats_sweep_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = place.path().join("store");
    made(&store);
    let grants = grants(options().by_itself(false).open(&store).unwrap());
    let short = NewPersonal::new("bob", "x").lifetime(Duration::from_secs(1));
    grants.create_personal(short).wait().unwrap();
    // Its window ends up to a second later; the time is kept with the last commit.
    std::thread::sleep(Duration::from_secs(3));
    grants.create_personal(NewPersonal::new("bob", "y")).wait().unwrap();
    grants.store().close().unwrap();
    for _ in 0..2 {
        let said = prints(&["stats", path(&store)]);
        let line = said.lines().find(|line| line.starts_with("of them to be swept")).unwrap();
        assert!(!line.ends_with(" 0"), "it was swept: {said}");
    }
    let store = options().by_itself(false).open(&store).unwrap();
    assert!(store.sweep(Budget::ALL).wait().unwrap().rows >= 1, "it was swept");
}

// Goal: the commands that look change nothing of a store, not a byte or a time, need no key where
// none is asked for, and are refused while a server has it. Method: a store as a close and as a
// kill leave it, and a backup, with the keyring and without; what each command says.
#[test]
fn commands_that_look_change_nothing() {
    let place = tempfile::tempdir().unwrap();
    let [store, killed, copy] = ["store", "killed", "copy"].map(|name| place.path().join(name));
    made(&store);
    let running = options().open(&store).unwrap();
    running.checkpoint().wait().unwrap();
    running.backup(&copy).wait().unwrap();
    copy_dir(&store, &killed);
    for command in [&["stats"][..], &["verify"], &["keys", "list"]] {
        assert!(says(&[command, &[path(&store)]].concat()).contains("open in another process"));
    }
    running.close().unwrap();
    for (dir, has_keys) in [(&store, true), (&killed, true), (&copy, false), (&store, false)] {
        if !has_keys && dir.join("keyring").exists() {
            fs::remove_file(dir.join("keyring")).unwrap();
        }
        let before = (content(dir), changed_at(dir));
        let stats = prints(&["stats", path(dir)]);
        let is_one = |line: &str| line.starts_with("personal tokens") && line.ends_with(" 1");
        assert!(stats.lines().any(is_one), "{stats}");
        let verified = prints(&["verify", path(dir)]);
        let is_none = |line: &str| line.starts_with("damages") && line.ends_with(" 0");
        assert!(verified.lines().any(is_none), "{verified}");
        if has_keys {
            assert_eq!(prints(&["keys", "list", path(dir)]), "key 1: active: it issues\n");
        } else {
            assert!(says(&["keys", "list", path(dir)]).contains("cannot open the keyring"));
        }
        assert!((content(dir), changed_at(dir)) == before, "{} was changed", dir.display());
    }
}

// Goal: what is restored is a backup, and once: anything else is refused and unchanged, unless it
// is insisted on. Method: a live store, a backup, the same one again; each with and without
// --force, and what is said before and after.
#[test]
fn only_a_backup_is_restored_and_only_once() {
    let place = tempfile::tempdir().unwrap();
    let (store, copy) = (place.path().join("store"), place.path().join("copy"));
    let token = made(&store);
    let said = says(&["restore", path(&store)]);
    assert!(said.contains("no backup that is still to be restored"), "{said}");
    assert!(said.contains("nothing of it was changed") && said.contains("--force"), "{said}");
    assert_eq!(standing(&store, &token), (true, true));

    assert!(prints(&["backup", path(&store), path(&copy)]).contains("into an empty directory"));
    let backed_up = content(&copy);
    fs::copy(store.join("keyring"), copy.join("keyring")).unwrap();
    assert!(!backed_up.is_empty());
    let said = prints(&["restore", path(&copy)]);
    let (before, after) = said.split_once("Done: ").expect(&said);
    assert!(before.contains("will") && before.contains("every client wait"), "{before}");
    assert!(after.contains("before: 1") && after.contains("Grants::enable_client"), "{after}");
    assert_eq!(standing(&copy, &token), (false, false));
    let enabled = grants(options().open(&copy).unwrap());
    enabled.enable_client("client-1").wait().unwrap().unwrap();
    enabled.store().close().unwrap();

    assert!(says(&["restore", path(&copy)]).contains("no backup that is still to be restored"));
    assert_eq!(standing(&copy, &token), (false, true));
    assert!(prints(&["restore", "--force", path(&store)]).contains("--force"));
    assert_eq!(standing(&store, &token), (false, false));
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(!run(&["restore", "--force", path(&empty)]).status.success());
    assert!(content(&empty).is_empty(), "refusing made something");
}

// Goal: a store that does not believe the clock is made to by a command, which its error names, and
// which says what it accepts. Method: a store that was made in 1970; issuing, the command, issuing;
// the command again, which has nothing to do.
#[test]
fn a_clock_is_accepted_by_a_command() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(100)));
    let old = grants(options().clock(clock).open(&dir).unwrap());
    old.create_personal(NewPersonal::new("alice", "old")).wait().unwrap();
    old.store().close().unwrap();
    drop(old);
    let today = || grants(options().clock(Arc::new(SystemClock::new())).open(&dir).unwrap());
    let refusing = today();
    let refused = refusing.create_personal(NewPersonal::new("alice", "new")).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Clock);
    assert!(refused.to_string().contains("grantkeep accept-clock"), "{refused}");
    assert!(says(&["accept-clock", path(&dir)]).contains("open in another process"));
    refusing.store().close().unwrap();
    drop(refusing);

    let said = prints(&["accept-clock", path(&dir)]);
    let (before, after) = said.split_once("Done: ").expect(&said);
    assert!(before.contains("days") && before.contains("end at least"), "{before}");
    assert!(after.contains("goes by the clock"), "{after}");
    assert!(prints(&["accept-clock", path(&dir)]).contains("nothing was changed"));
    today().create_personal(NewPersonal::new("alice", "new")).wait().unwrap();
}

/// Tells a process to end, as Ctrl-C does.
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The processes of the demonstration that work on a directory.
fn victims(dir: &Path) -> usize {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let lines = processes.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let lines = lines.map(|line| text(&line));
    lines.filter(|line| line.contains("victim\0") && line.contains(path(dir))).count()
}

/// Waits until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

// Goal: an interrupted demonstration leaves nothing: no directory, named or temporary, and no
// process. Method: interrupt it early, and while its victim works.
#[test]
fn an_interrupted_demonstration_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let named = place.path().join("named");
    let start = |count: &str, dir: Option<&Path>| {
        let mut command = Command::new(PROGRAM);
        command.args(["demo", "--count", count]).env("TMPDIR", place.path());
        if let Some(dir) = dir {
            command.arg("--dir").arg(dir);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let is_empty = || fs::read_dir(place.path()).unwrap().next().is_none();
    for dir in [None, Some(&*named)] {
        let mut child = start("1000000", dir);
        until("a store", || {
            let made = fs::read_dir(place.path()).unwrap().next();
            made.is_some_and(|made| made.unwrap().path().join("table.redb").exists())
        });
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(TRAPPED));
        assert!(is_empty(), "something is left");
    }
    if !Path::new("/proc/self/cmdline").exists() {
        println!("skipped because there is no /proc to look for processes in");
        return;
    }
    let mut child = start("10", Some(&named));
    until("a victim", || victims(&named) == 1);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(TRAPPED));
    assert!(is_empty(), "something is left");
    until("its end", || victims(&named) == 0);
}
