use super::{caused, found, issue, names, open, refused};
use grantkeep::{ErrorKind, KeySource, Keyring, Store, Wait as _};
use grantkeep_tests::{manual_clock, options};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Longer than any open takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn store_with_rows(path: &Path) -> Keyring {
    let store = open(path).unwrap();
    issue(&store, &names(3));
    let keyring = (*store.keyring()).clone();
    store.close().unwrap();
    keyring
}

fn open_with(path: &Path, keys: Keyring) -> grantkeep::Result<Store> {
    options(&manual_clock()).keys(KeySource::Given(keys)).open(path)
}

/// Opens a store elsewhere, so that one that hangs is told and not waited for.
fn open_in_time(path: &Path) -> grantkeep::Result<()> {
    let (send, answer) = std::sync::mpsc::channel();
    let path = path.to_path_buf();
    std::thread::spawn(move || send.send(open(&path).map(drop)));
    answer.recv_timeout(DEADLINE).expect("the open hangs")
}

// Goal: a file of the store is read as one only where it is one: nothing is waited for, and no
// memory is taken for what has no end. Method: a FIFO, a link to `/dev/zero`, and a directory in
// the place of the keyring, of `LOCK`, and of the table; a keyring of 1 TiB; then the files again.
#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let place = tempfile::tempdir().unwrap();
    let (dir, aside) = (place.path().join("store"), place.path().join("aside"));
    store_with_rows(&dir);
    let fifo = |path: &Path| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    let zeros = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let folder = |path: &Path| fs::create_dir(path).unwrap();
    let put: [&dyn Fn(&Path); 3] = [&fifo, &zeros, &folder];
    for name in ["keyring", "LOCK", "table.redb"] {
        let path = dir.join(name);
        for (number, put) in put.iter().enumerate() {
            fs::rename(&path, &aside).unwrap();
            put(&path);
            let error = open_in_time(&dir).expect_err(name);
            assert!(error.to_string().contains(name), "{name} {number}: {error}");
            if number == 2 { fs::remove_dir(&path) } else { fs::remove_file(&path) }.unwrap();
            fs::rename(&aside, &path).unwrap();
        }
    }
    let path = dir.join("keyring");
    fs::rename(&path, &aside).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    refused(open_in_time(&dir), ErrorKind::Keyring, &["damaged", "restore"]);
    fs::rename(&aside, &path).unwrap();
    assert_eq!(found(&open(&dir).unwrap(), &names(3)), 3);

    // A store that is to be made does not replace it either.
    let fresh = place.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    fifo(&fresh.join("keyring"));
    open_in_time(&fresh).unwrap_err();
    assert!(fs::symlink_metadata(fresh.join("keyring")).unwrap().file_type().is_fifo());
}

// Goal: only the keys of a store open it. Method: another keyring, and another under the same ids
// with the right one among them; then the right one.
#[test]
fn keyring_of_another_store() {
    let dir = tempfile::tempdir().unwrap();
    let right = store_with_rows(dir.path());
    let words = ["does not belong to this store", "created with"];
    let other = Keyring::generate().unwrap();
    refused(open_with(dir.path(), other), ErrorKind::Keyring, &words);
    let other = Keyring::from_keys([(7, [7; 32])]).unwrap();
    refused(open_with(dir.path(), other), ErrorKind::Keyring, &words);
    assert_eq!(found(&open_with(dir.path(), right).unwrap(), &names(3)), 3);
}

// Goal: a keyring that is missing or damaged is told as such, and a new one is never made for an
// old store. Method: remove the file, then damage it.
#[test]
fn keyring_files() {
    let dir = tempfile::tempdir().unwrap();
    store_with_rows(dir.path());
    let path = dir.path().join("keyring");
    let good = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    fs::remove_file(&path).unwrap();
    let error = refused(open(dir.path()), ErrorKind::Keyring, &["cannot open", "put it back"]);
    caused(&error);
    assert!(!path.exists(), "a keyring was made for a store that has rows");
    let digit = if good.contains('a') { ('a', "b") } else { ('1', "2") };
    let damaged = [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replacen(digit.0, digit.1, 1),
        "something else\n".to_owned(),
    ];
    for text in damaged {
        fs::write(&path, &text).unwrap();
        let error = refused(open(dir.path()), ErrorKind::Keyring, &["damaged", "restore"]);
        let hex = good.lines().nth(1).unwrap().split_once(':').unwrap().1;
        assert!(!format!("{error:?}").contains(&hex[..12]), "a key is in an error");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(found(&open(dir.path()).unwrap(), &names(3)), 3);
}

// Goal: P9, texts that are no keyring are refused without being repeated, and so are keyrings out
// of their limits. Method: one of each.
#[test]
fn keyring_texts() {
    let secret = "00112233445566778899aabbccddeeff";
    for text in [
        "".to_owned(),
        secret.to_owned(),
        format!("1:{secret}"),
        format!("one:{secret}{secret}"),
        format!("1:{secret}{secret},"),
        format!("1:{secret}{secret}00"),
    ] {
        let error = refused(Keyring::from_text(&text), ErrorKind::Keyring, &["64 hex digits"]);
        assert!(!format!("{error:?}").contains("00112233"), "{error:?}");
    }
    refused(Keyring::from_keys([]), ErrorKind::Keyring, &["1 to 16 keys"]);
    let many = (0..17).map(|id| (id, [1; 32]));
    refused(Keyring::from_keys(many), ErrorKind::Keyring, &["1 to 16 keys", "17"]);
    let twice = Keyring::from_keys([(3, [1; 32]), (3, [2; 32])]);
    refused(twice, ErrorKind::Keyring, &["key id 3", "twice"]);
    let mut full = Keyring::from_keys((0..16).map(|id| (id, [1; 32]))).unwrap();
    refused(full.rotate(), ErrorKind::Limit, &["keyring", "17 keys", "16"]);
}

// Goal: a keyring that is not the store's own file is rotated where it is kept. Method: rotate
// under a given one; the store goes on under the old one, and opens with what its keeper rotated.
#[test]
fn rotation_of_a_given_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = Keyring::from_keys([(1, [9; 32])]).unwrap();
    let store = open_with(dir.path(), keys.clone()).unwrap();
    refused(store.rotate_keyring().wait(), ErrorKind::Keyring, &["where it is kept"]);
    assert_eq!(store.keyring().to_text(), keys.to_text());
    assert!(!dir.path().join("keyring").exists());
    store.close().unwrap();
    drop(store);
    keys.rotate().unwrap();
    assert_eq!(open_with(dir.path(), keys.clone()).unwrap().keyring().to_text(), keys.to_text());
}

// Goal: a rotation that could not be saved is nothing that later ones trip over. Method: a file in
// its way once; rotate again, reopen, and rotate once more.
#[test]
fn rotation_that_fails_once() {
    let dir = tempfile::tempdir().unwrap();
    let open = || options(&manual_clock()).open(dir.path().join("store")).unwrap();
    let store = open();
    let in_the_way = dir.path().join("store/keyring.new");
    std::fs::create_dir(&in_the_way).unwrap();
    store.rotate_keyring().wait().unwrap_err();
    std::fs::remove_dir(&in_the_way).unwrap();
    store.rotate_keyring().wait().unwrap();
    store.close().unwrap();
    drop(store);
    let store = open();
    store.rotate_keyring().wait().unwrap();
    assert_eq!(store.keyring().newest_first().count(), 3);
}

// Goal: a keyring from an environment variable, and every way to get that wrong. Method: a child
// of each environment opens one store.
#[test]
fn keyring_of_the_environment() {
    const NAME: &str = "GRANTKEEP_TEST_KEYRING";
    let dir = tempfile::tempdir().unwrap();
    let open = |value: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_child"));
        command.arg("env").arg(dir.path()).arg(NAME);
        value.map(|value| command.env(NAME, value));
        let output = command.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let [right, wrong] = ["1", "2"].map(|digit| format!("5:{}", digit.repeat(64)));
    assert_eq!(open(Some(&right)), "open [RootKey(5)]\n");
    assert!(!dir.path().join("keyring").exists());
    assert!(open(None).starts_with(&format!("Keyring: the environment variable {NAME}")));
    assert!(open(Some("5:nonsense")).starts_with("Keyring: a keyring is `id:64 hex digits`"));
    assert!(open(Some(&wrong)).starts_with("Keyring: the keyring does not belong"));
    assert_eq!(open(Some(&right)), "open [RootKey(5)]\n");
}
