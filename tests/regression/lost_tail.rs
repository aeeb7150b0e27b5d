use grantkeep::backend::{Budget, Outcome};
use grantkeep::{Code, ErrorKind, Options, Payload, Store, Token, Wait as _};
use grantkeep_tests::files::{copy_dir, edit, segments};
use grantkeep_tests::{manual_clock, options, samples};
use std::fs;
use std::path::Path;
use std::time::Duration;

const DATA: usize = 8_192;

fn small() -> Options {
    options(&manual_clock())
}

fn issue(store: &Store, name: &str, bytes: usize) {
    let payload = Some(Payload::Plain(vec![7; bytes]));
    let token = Token { payload, ..samples::token(name, "alice") };
    let mut change = store.change().unwrap();
    let until = store.now().saturating_add(Duration::from_secs(3_600));
    change.insert(samples::id(name), &samples::code(name, "alice"), until).unwrap();
    change.insert(samples::id(name), &token, until).unwrap();
    assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
}

fn refused(store: &Path, words: &str) {
    // Once more: a refusal must not make the next open believe what is left.
    for _ in 0..2 {
        let error = small().open(store).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(words), "{error}");
    }
}

// Goal: P1, P8, a log that lost its newest segment is refused, also after an end that was not
// orderly. Method: fill some segments; as a crash leaves it, remove, rename, and keep the newest.
#[test]
fn newest_segment_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let store = small().open(&live).unwrap();
    (0..60).for_each(|number| issue(&store, &format!("row-{number}"), 12_000));
    // Behind whatever segment is being made ready: a crash leaves one moment, a copy several.
    store.sweep(Budget::ALL).wait().unwrap();
    copy_dir(&live, &crashed);
    assert!(segments(&crashed).len() >= 3);
    // One that is ready may stand behind the one that is written to.
    for lost in 1..=2 {
        let copy = dir.path().join(format!("lost {lost}"));
        copy_dir(&crashed, &copy);
        for path in segments(&copy).iter().rev().take(lost) {
            fs::rename(path, path.with_extension("gone")).unwrap();
        }
        refused(&copy, "is missing in `log`");
        for path in segments(&crashed).iter().rev().take(lost) {
            fs::copy(path, copy.join("log").join(path.file_name().unwrap())).unwrap();
        }
        let whole = small().open(&copy).unwrap();
        assert!(whole.get::<Code>(samples::id("row-59")).wait().unwrap().is_some());
    }
}

// Goal: P1, P8, a log that lost its end is refused after an orderly close, where what is left ends
// with an earlier close as well, and it is refused again. Method: close, carry everything into
// another segment and close there, then cut that one's frames.
#[test]
fn end_behind_an_earlier_close_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    small().open(&live).unwrap().close().unwrap();
    let store = small().open(&live).unwrap();
    issue(&store, "first", 10);
    store.close().unwrap();
    let earlier = dir.path().join("earlier");
    copy_dir(&live, &earlier);
    let store = small().open(&live).unwrap();
    issue(&store, "second", 10);
    store.close().unwrap();
    // The log as it was at the earlier close, beside what was noted at the last.
    for path in segments(&earlier) {
        fs::copy(&path, live.join("log").join(path.file_name().unwrap())).unwrap();
    }
    refused(&live, "was durable");
    for path in segments(&live) {
        edit(&path, |bytes| bytes[DATA..].fill(0));
    }
    refused(&live, "was durable");
}
