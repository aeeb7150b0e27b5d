//! What a server says of itself, to whom, and where nobody listens.

use super::PROGRAM;
use super::connection::Connection;
use super::server::{Place, RESOURCE};
use grantkeep_server::KnownUsers;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

const ARGUMENTS: [&str; 6] =
    ["serve", "--profile", "hourfleet", "--demo-users", "--listen", "127.0.0.1:0"];

// Goal: a server serves on where nobody reads what it prints any more, as below `| head -1`.
// Method: read its first line, hang up, ask it for something, and tell it to end.
#[test]
fn a_server_outlives_whoever_reads_what_it_prints() {
    let mut command = Command::new(PROGRAM);
    let mut server = command.args(ARGUMENTS).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let (_, address) = first.split_once("http://").expect(&first);
    let address = address.split(',').next().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let mut connection = Connection::open(address).await.unwrap();
        connection.post(RESOURCE, &[]).await.unwrap().status
    });
    assert_eq!(status, 405);
    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(server.wait().unwrap().success());
}

// Goal: what cannot be printed for another reason is an error with a message, as the secrets that
// were to be shown are lost. Method: a device that is always full in the place of the output.
#[test]
fn a_server_whose_output_is_full_says_so() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(PROGRAM).args(ARGUMENTS).stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to standard output"), "{said}");
}

// Goal: a server that ends in order has nothing to warn of. Method: start one, tell it to end, and
// read what it logged.
#[test]
fn an_orderly_end_warns_of_nothing() {
    let place = Place::new();
    place.start(&[]).stop();
    let logged = std::fs::read_to_string(place.path("stderr")).unwrap();
    let own = |line: &&str| !line.starts_with("stopping: ");
    assert_eq!(logged.lines().find(own), None, "{logged}");
}

/// What `hash-password` answers to a line.
fn hashed(line: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    let command = command.arg("hash-password").stdin(Stdio::piped());
    let mut hashing = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    hashing.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    hashing.wait_with_output().unwrap()
}

// Goal: a file of people can be written with what the program itself prints; no password is taken
// that a page would refuse. Method: hash one, have it read as a person's; one that is too short.
#[test]
fn a_password_is_hashed_for_a_file_of_people() {
    let made = hashed("a password of some length\n");
    assert!(made.status.success(), "{made:?}");
    let hash = String::from_utf8(made.stdout).unwrap();
    KnownUsers::new().unwrap().add("alice", hash.trim_end(), false).unwrap();
    let refused = hashed("too short\n");
    assert!(!refused.status.success() && refused.stdout.is_empty());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("has 9 characters: take one of 15 to"), "{said}");
}
