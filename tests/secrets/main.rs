//! What a thief finds in the files of a store.

mod printing;

use grantkeep::{Code, Keyring, Payload, Store, Token, Wait as _};
use grantkeep_tests::files::files;
use grantkeep_tests::pieces::{PIECE, Pieces};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::samples;
use std::path::Path;
use std::time::Duration;

const TOKENS: usize = 10_000;

/// The pieces of the files, and how many bytes were looked through.
fn pieces(dir: &Path, except: &str) -> (Pieces, u64) {
    let (mut pieces, mut bytes_scanned) = (Pieces::default(), 0);
    for path in files(dir).iter().filter(|path| !path.ends_with(except)) {
        let bytes = match std::fs::read(path) {
            // An open store finishes and removes files of its log meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        bytes_scanned += bytes.len() as u64;
        pieces.add(&bytes);
    }
    (pieces, bytes_scanned)
}

fn found(pieces: &Pieces, tokens: &[String]) -> usize {
    pieces.found(tokens.iter().map(String::as_str))
}

fn issue(store: &Store, tokens: &[String]) {
    for (part, tokens) in tokens.chunks(20).enumerate() {
        let mut change = store.change().unwrap();
        for (at, text) in tokens.iter().enumerate() {
            let id = store.id(text.as_bytes()).unwrap();
            let until = store.now().saturating_add(Duration::from_secs(60 << (at % 12)));
            let name = format!("{part}/{at}");
            if at % 2 == 0 {
                change.insert(id, &samples::code(&name, "alice"), until).unwrap();
                continue;
            }
            // The payload is sealed under the token, which is what it takes to open it.
            let keyring = store.keyring();
            let payload = Payload::seal(&keyring, text.as_bytes(), name.as_bytes()).unwrap();
            let token = Token { payload: Some(payload), ..samples::token(&name, "alice") };
            change.insert(id, &token, until).unwrap();
        }
        store.commit(change).wait().unwrap();
    }
}

// Goal: P9, no token and no piece of one is on disk. Method: issue 10,000 of 43 to 1,200
// characters; while they are in the log, and again in the table, look for every piece of 12
// bytes of every token in every file. A token planted in a file is found.
#[test]
fn no_piece_of_a_token_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store: Store =
        Store::options().log_budget_bytes(2 << 20).reserve_bytes(0).open(&path).unwrap();
    let mut random = Pseudorandom::new(7);
    let tokens: Vec<String> = (0..TOKENS)
        .map(|_| {
            let len = 43 + random.below(1_200 - 43 + 1);
            random.text(usize::try_from(len).unwrap())
        })
        .collect();
    issue(&store, &tokens);
    let (in_log, _) = pieces(&path, "keyring");
    assert_eq!(found(&in_log, &tokens), 0, "before the checkpoint");
    store.checkpoint().wait().unwrap();
    let held = store.find::<Code>(tokens[0].as_bytes()).wait().unwrap();
    assert_eq!(held.unwrap().record, samples::code("0/0", "alice"));
    store.close().unwrap();

    let (stored, bytes) = pieces(&path, "keyring");
    assert_eq!(found(&stored, &tokens), 0, "after the close");
    println!("{TOKENS} tokens, {bytes} bytes scanned, {} pieces compared", stored.count());

    std::fs::write(path.join("planted"), format!("\0{}\0", &tokens[9_999][5..5 + PIECE])).unwrap();
    let (planted, _) = pieces(&path, "keyring");
    assert_eq!(found(&planted, &tokens), 1, "a planted piece is not found");
}

// Goal: P9, the root keys are in the keyring and nowhere else, also after a rotation. Method: look
// for both keys, as bytes and as hex, in every file.
#[test]
fn root_keys_are_in_the_keyring_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store: Store =
        Store::options().log_budget_bytes(2 << 20).reserve_bytes(0).open(&path).unwrap();
    issue(&store, &["a token of more than 16 bytes".to_owned()]);
    store.rotate_keyring().wait().unwrap();
    issue(&store, &["another token of more bytes".to_owned()]);
    store.checkpoint().wait().unwrap();
    let keyring: Keyring = (*store.keyring()).clone();
    store.close().unwrap();

    let text = keyring.to_text();
    let keys: Vec<&str> = text.split(',').map(|key| key.split_once(':').unwrap().1).collect();
    assert_eq!(keys.len(), 2);
    for hex in keys {
        let raw = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        for file in files(&path) {
            let bytes = std::fs::read(&file).unwrap();
            let has = |piece: &[u8]| bytes.windows(piece.len()).any(|window| window == piece);
            let expected = file.ends_with("keyring");
            assert_eq!(has(&hex.as_bytes()[..24]), expected, "{}", file.display());
            assert!(!has(&raw[..PIECE]) && !has(&raw[20..]), "{}", file.display());
        }
    }
}
