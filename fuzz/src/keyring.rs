//! Keyrings, as text and as files: what is accepted is exactly what was written, and no refusal
//! repeats a key.

use crate::input::Input;
use grantkeep::{
    Disk as _, Error, ErrorKind, KEYRING_FILE, KEYS_MAX, KeySource, Keyring, OpenMode, RootKey,
};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

const DIR: &str = "/store";
/// As many characters of a key in a row are a leak.
const LEAK_CHARS: usize = 12;

/// Reads a keyring as the first byte says: as text, as a file, or as a file whose check holds.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => as_text(input.rest()),
        1 => as_file(input.rest()),
        2 => as_file(&sealed(input.rest())),
        _ => {
            let keys = keys(&mut input);
            as_text(keys.as_bytes());
            as_file(&sealed(keys.as_bytes()));
        }
    }
}

/// Keys in any order and number, spelled in any way.
fn keys(input: &mut Input<'_>) -> String {
    let mut keys = Vec::new();
    while !input.is_empty() && keys.len() < KEYS_MAX + 2 {
        let choices = input.byte();
        let id =
            if choices & 1 == 1 { u64::from(input.byte()) } else { input.number(u32::MAX.into()) };
        let digit = char::from(b"0123456789abcdefABCDEF"[input.below(22)]);
        let digits = if choices & 6 == 6 { input.below(130) } else { 64 };
        let space = if choices & 8 == 8 { " " } else { "" };
        keys.push(format!("{space}{id}:{}", digit.to_string().repeat(digits)));
    }
    keys.join(",")
}

/// The file that holds `keys`, whatever they are.
fn sealed(keys: &[u8]) -> Vec<u8> {
    let check = format!("\ncheck {:016x}\n", xxh3_64(keys));
    [b"grantkeep keyring 1\n", keys, check.as_bytes()].concat()
}

fn as_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Keyring::from_text(text) {
        Ok(keyring) => check(&keyring),
        Err(error) => refused(&error, text),
    }
}

fn as_file(bytes: &[u8]) {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).expect("a directory");
    let path = Path::new(DIR).join(KEYRING_FILE);
    let file = disk.open(&path, OpenMode::New).expect("a file");
    file.write_at(bytes, 0).expect("room");
    let options = options(&manual_clock()).disk(Arc::new(disk)).keys(KeySource::File);
    match options.open_backend(Path::new(DIR)) {
        Ok((_, keyring)) => {
            check(&keyring);
            let text = std::str::from_utf8(bytes).expect("a keyring is text");
            let keys = text.lines().nth(1).expect("a line of keys");
            assert_eq!(bytes, sealed(keys.as_bytes()), "a file that nobody wrote is believed");
            let named = Keyring::from_text(keys).expect("keys that were believed");
            assert_eq!(*named.to_text(), *keyring.to_text());
        }
        Err(error) => refused(&error, &String::from_utf8_lossy(bytes)),
    }
}

fn check(keyring: &Keyring) {
    let mut ids: Vec<u32> = keyring.newest_first().map(RootKey::id).collect();
    assert_eq!(keyring.active().map(RootKey::id), ids.first().copied());
    assert!((1..=KEYS_MAX).contains(&ids.len()), "{ids:?}");
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    let again = Keyring::from_text(&keyring.to_text()).expect("what was written is read");
    assert_eq!(*again.to_text(), *keyring.to_text());
    tells_nothing(&format!("{keyring:?}"), &keyring.to_text());
}

fn refused(error: &Error, text: &str) {
    assert!(matches!(error.kind(), ErrorKind::Keyring | ErrorKind::Format), "{error:?}");
    tells_nothing(&format!("{error} {error:?} {:?}", error.source()), text);
}

fn tells_nothing(told: &str, text: &str) {
    for part in text.split(|c: char| !c.is_ascii_hexdigit()).filter(|p| p.len() >= LEAK_CHARS) {
        for at in 0..=part.len() - LEAK_CHARS {
            assert!(!told.contains(&part[at..at + LEAK_CHARS]), "a piece of a key is told");
        }
    }
}
