//! Every bad input, with the error that it deserves: its kind, its words, its cause.

mod clock;
mod directory;
mod fields;
mod header;
mod keyring;
mod log;
mod options;
mod space;
mod table;
mod verify;

use grantkeep::{Code, Error, ErrorKind, Result, Store, Wait as _};
use grantkeep_tests::{manual_clock, options, samples};
use std::error::Error as _;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// Demands that `result` is an error of this kind whose message holds all of `words`, in the form
/// that all messages have.
fn refused<T: Debug>(result: Result<T>, kind: ErrorKind, words: &[&str]) -> Error {
    let error = result.expect_err("nothing was refused");
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert!(!message.ends_with('.') && !message.starts_with(char::is_uppercase), "{message}");
    error
}

/// Demands that the error names a cause.
fn caused(error: &Error) {
    assert!(error.source().is_some(), "no cause: {error:?}");
}

/// Commits one code under each name, each in a commit of its own.
fn issue(store: &Store, names: &[String]) {
    for name in names {
        let mut change = store.change().unwrap();
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(name), &samples::code(name, "alice"), until).unwrap();
        store.commit(change).wait().unwrap();
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("code-{number}")).collect()
}

/// Opens the store in `dir` as the tests of this suite do.
fn open(dir: &Path) -> Result<Store> {
    options(&manual_clock()).open(dir)
}

/// How many of these codes are there, each with its content.
fn found(store: &Store, names: &[String]) -> usize {
    let there = |name: &&String| {
        let held = store.get::<Code>(samples::id(name)).wait().unwrap();
        held.is_some_and(|held| held.record == samples::code(name, "alice"))
    };
    names.iter().filter(there).count()
}
