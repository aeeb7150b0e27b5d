//! Processes that are in each other's way: many that open, one that starts another, one that forks.

use fork::Fork;
use grantkeep::backend::Budget;
use grantkeep::{KeySource, Options, Result, Store, Wait as _};
use grantkeep_tests::samples;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn options() -> Options {
    Store::options().reserve_bytes(0).log_budget_bytes(2 << 20)
}

/// Has a store open until standard input ends.
pub fn hold(dir: &Path) {
    let store = options().open(dir).unwrap();
    println!("open");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    store.close().unwrap();
}

/// Looks at a store until standard input ends.
pub fn look(dir: &Path) {
    let store = options().read_only(true).open(dir).unwrap();
    println!("open");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    store.close().unwrap();
}

/// Opens a store with the keyring of an environment variable, and tells what came of it.
pub fn open_by_environment(dir: &Path, name: &str) {
    match options().keys(KeySource::Env(name.to_owned())).open(dir) {
        Ok(store) => println!("open {:?}", store.keyring()),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}

/// Opens a store as a program that is built with `panic = "abort"` does, and tells what came of it.
pub fn open_strictly(dir: &Path) {
    std::panic::set_hook(Box::new(|what| {
        println!("aborted: {what}");
        std::process::abort();
    }));
    match options().create(false).open(dir) {
        Ok(_) => println!("open"),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}

/// Commits a code that is named after `pid`.
fn commit(store: &Store, pid: u32) -> Result<()> {
    let name = format!("opened-by-{pid}");
    let mut change = store.change()?;
    let at = store.now().saturating_add(DAY);
    change.insert(samples::id(&name), &samples::code(&name, "alice"), at)?;
    store.commit(change).wait().map(|_| ())
}

/// Tries to open the store for each line on standard input, tells what came of it, and keeps it.
pub fn open_when_told(dir: &Path) {
    let mut held = None;
    for _ in std::io::stdin().lines() {
        match options().open(dir) {
            Ok(store) => {
                commit(&store, std::process::id()).unwrap();
                held = Some(store);
                println!("open");
            }
            Err(error) => println!("{:?}: {error}", error.kind()),
        }
    }
    drop(held);
}

/// Starts a program while the store is open, and goes on until it is killed.
pub fn spawn(dir: &Path) {
    let store = options().open(dir).unwrap();
    commit(&store, std::process::id()).unwrap();
    let mut command = Command::new("sleep");
    let started = command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut started = started.unwrap();
    println!("{}", started.id());
    started.wait().unwrap();
}

/// Forks while the store is open; the fork does all that it should not. Goes on until standard
/// input ends.
pub fn fork(dir: &Path) {
    let store = options().open(dir).unwrap();
    match fork::fork().unwrap() {
        Fork::Child => {
            let tried = [
                ("commit", commit(&store, 0)),
                ("checkpoint", store.checkpoint().wait()),
                ("verify", store.verify(|_| {}).wait().map(|_| ())),
                ("sweep", store.sweep(Budget::ALL).wait().map(|_| ())),
                ("close", store.close()),
            ];
            for (what, done) in tried {
                match done {
                    Ok(()) => println!("{what}: done"),
                    Err(error) => println!("{what}: {:?}: {error}", error.kind()),
                }
            }
            drop(store);
            std::process::exit(0);
        }
        Fork::Parent(pid) => {
            let status = fork::waitpid(pid).unwrap();
            println!("fork ended with {status}");
        }
    }
    commit(&store, std::process::id()).unwrap();
    println!("forked");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    store.close().unwrap();
}

/// Forks while the store is open; the fork goes on until standard input ends.
pub fn fork_on(dir: &Path) {
    let store = options().open(dir).unwrap();
    commit(&store, std::process::id()).unwrap();
    if let Fork::Parent(_) = fork::fork().unwrap() {
        println!("forked");
        std::io::stdout().flush().unwrap();
        loop {
            std::thread::park();
        }
    }
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    std::process::exit(0);
}
