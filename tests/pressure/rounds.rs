use grantkeep_tests::file_system::FileSystem;
use grantkeep_tests::process::Process;
use grantkeep_tests::{fresh_seed, setting};
use std::process::Command;

const CHILD: &str = env!("CARGO_BIN_EXE_child");
/// How long the rounds take, in memory and on a file system together.
const SECONDS: u64 = 60;
/// The size of the file system: what a round may use is less.
const MIB: u64 = 256;

/// Has a child play rounds for half of the time, and prints what it said of them.
fn play(what: &str, place: Option<&FileSystem>) {
    let seconds = setting("GRANTKEEP_PRESSURE_SECONDS", SECONDS) / 2;
    let seed = fresh_seed("GRANTKEEP_PRESSURE_SEED");
    println!("{what}, seed {seed}");
    let mut command = Command::new(CHILD);
    command.args(["pressed", &seconds.to_string(), &seed.to_string()]);
    if let Some(file_system) = place {
        command.arg(file_system.path()).arg(MIB.to_string());
    }
    let mut child = Process::start(&mut command);
    let mut said = Vec::new();
    // It says something every second; with none for a minute it hangs.
    while let Some(line) = child.line() {
        said.push(line);
    }
    let ended = child.wait();
    let told: Vec<_> = said.iter().filter(|line| line.starts_with("pressure: ")).collect();
    assert!(ended.success() && told.len() == 1, "{what}, seed {seed}: {ended}, {said:#?}");
    println!("{}", told[0]);
}

// Goal: P1 to P8 under pressure: more load than fits, long jobs all the time, two operators at
// once, while room, descriptors, the table, the right time, and the store itself are taken away and
// given back. Nothing acknowledged is lost, nothing that has ended validates, every refusal has a
// reason, every call ends, and the store recovers by itself. Method: rounds of a drawn room, log
// budget, and reserve in a child process; each answer is held against a book of the ones before;
// here in memory.
#[test]
fn pressed_in_memory() {
    let _alone = super::alone();
    play("in memory", None);
}

// Goal: the same on a real file system that is filled by another program's file. Method: a small
// tmpfs.
#[test]
fn pressed_on_a_tmpfs() {
    let _alone = super::alone();
    match FileSystem::tmpfs(MIB) {
        Ok(file_system) => play("a tmpfs", Some(&file_system)),
        Err(why) => println!("skipped because {why}"),
    }
}
