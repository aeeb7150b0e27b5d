use super::{caused, found, issue, names, open, refused};
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Code, ErrorKind, Store, Wait as _};
use grantkeep_tests::files::{edit, files, segments};
use grantkeep_tests::small_disk::SmallDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use xxhash_rust::xxh3::xxh3_64;

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

// Goal: a store that is not there is told from one that may be made. Method: open a missing
// directory without `create`, one whose parent is missing, and an empty one.
#[test]
fn missing_directories() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let error = refused(
        options(&manual_clock()).create(false).open(&path),
        ErrorKind::Missing,
        &["cannot open the store directory", path.to_str().unwrap(), "check the path"],
    );
    caused(&error);
    assert!(!path.exists(), "refusing made something");
    let deep = dir.path().join("not/there");
    caused(&refused(open(&deep), ErrorKind::Missing, &["create", deep.to_str().unwrap()]));
    refused(
        options(&manual_clock()).create(false).open(dir.path()),
        ErrorKind::NotAStore,
        &["holds no store", "create one"],
    );
    assert!(files(dir.path()).is_empty(), "refusing made something");
}

// Goal: what belongs to somebody else is left alone. Method: open a directory with a foreign file,
// and a plain file.
#[test]
fn directories_of_something_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    refused(open(dir.path()), ErrorKind::NotAStore, &["not a store", "another directory"]);
    assert_eq!(files(dir.path()).len(), 1, "refusing made something");
    let plain = dir.path().join("letter.txt");
    let error = refused(open(&plain), ErrorKind::NotAStore, &["letter.txt", "not a directory"]);
    caused(&error);
    assert_eq!(fs::read(&plain).unwrap(), b"dear");
}

// Goal: a store whose table is gone is damage, not an empty store. Method: remove the table.
#[test]
fn log_without_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    issue(&store, &names(3));
    store.close().unwrap();
    fs::remove_file(dir.path().join("table.redb")).unwrap();
    refused(open(dir.path()), ErrorKind::Corrupt, &["no table.redb", "backup"]);
}

// Goal: a disk that refuses writes is told as such, and nothing is harmed. Method: a disk that
// answers EROFS (root writes where permissions forbid it, so permissions prove nothing here), under
// a fresh directory and under a store, which is whole afterwards.
#[test]
fn read_only_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(u64::MAX);
    let open_on =
        |name: &str| options(&manual_clock()).disk(disk.clone()).open(dir.path().join(name));
    let store: Store = open_on("store").unwrap();
    issue(&store, &names(3));
    store.close().unwrap();
    disk.set_read_only(true);
    let error = refused(open_on("fresh"), ErrorKind::Permission, &["read and write access"]);
    caused(&error);
    caused(&refused(open_on("store"), ErrorKind::Permission, &["cannot", "access"]));
    disk.set_read_only(false);
    assert_eq!(found(&open_on("store").unwrap(), &names(3)), 3);
}

// Goal: a directory that the operating system does not let this user write to. Method: take the
// permission away, and open it in a process of a user whom that stops: root writes anywhere, so its
// child is somebody else.
#[test]
fn read_only_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Where everybody may run it, which a target directory need not be.
    let program = dir.path().join("child");
    fs::copy(env!("CARGO_BIN_EXE_child"), &program).unwrap();
    let place = dir.path().join("place");
    fs::create_dir(&place).unwrap();
    mode(&place, 0o555);
    mode(&program, 0o755);
    mode(dir.path(), 0o755);
    let mut child = Command::new(&program);
    if fs::write(place.join("probe"), "").is_ok() {
        child.uid(NOBODY).gid(NOBODY);
    }
    let keys = format!("1:{}", "7".repeat(64));
    child.arg("env").arg(place.join("store")).arg("KEYS").env("KEYS", keys);
    let Ok(output) = child.output() else {
        println!("skipped because no process of another user can be started");
        return;
    };
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.starts_with("Permission: cannot create"), "{answer}");
    assert!(answer.contains("read and write access"), "{answer}");
    assert!(!place.join("store").exists(), "refusing made something");
}

// Goal: one process at a time, and the error says which. Method: open while a child has the store,
// and again once it has ended; then twice in this process.
#[test]
fn locked_stores() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut child = Command::new(env!("CARGO_BIN_EXE_child"))
        .arg("hold")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    let pid = format!("pid {}", child.id());
    refused(Store::open(&path), ErrorKind::Locked, &["open in another process", &pid, "stop it"]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let small = || Store::options().reserve_bytes(0).log_budget_bytes(2 << 20);
    let store = small().open(&path).unwrap();
    let own = format!("pid {}", std::process::id());
    refused(small().open(&path), ErrorKind::Locked, &[&own]);
    store.close().unwrap();
    small().open(&path).unwrap();
}

// Goal: a store of another version is refused before anything is changed, and the message says
// whether it is newer or older. Method: raise and lower the format in the table, and in a segment's
// header with a valid check, and raise it in the keyring; each time put it back, and find all rows.
#[test]
fn other_formats() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let store = open(path).unwrap();
    issue(&store, &names(5));
    store.close().unwrap();

    let set_format = |format: u8| {
        let meta: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("meta");
        let database = redb::Database::open(path.join("table.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(meta).unwrap().insert("format", u64::from(format)).unwrap();
        transaction.commit().unwrap();
    };
    let others = [(5, "upgrade"), (3, "open it with that one"), (1, "or begin a new store")];
    for (format, way_out) in others {
        set_format(format);
        let words = [&format!("format {format}"), "reads 4", way_out];
        refused(open(path), ErrorKind::Format, &words);
    }
    set_format(4);

    for segment in segments(path) {
        let good = fs::read(&segment).unwrap();
        for (format, way_out) in others {
            edit(&segment, |bytes| {
                for copy in [0, 4_096] {
                    bytes[copy + 8] = format;
                    let check = xxh3_64(&bytes[copy..copy + 48]).to_le_bytes();
                    bytes[copy + 48..copy + 56].copy_from_slice(&check);
                }
            });
            let words = ["log segment", &format!("format {format}"), way_out];
            refused(open(path), ErrorKind::Format, &words);
        }
        fs::write(&segment, good).unwrap();
    }

    let keyring = fs::read_to_string(path.join("keyring")).unwrap();
    fs::write(path.join("keyring"), keyring.replace("keyring 1", "keyring 2")).unwrap();
    refused(open(path), ErrorKind::Format, &["keyring", "newer"]);
    fs::write(path.join("keyring"), keyring).unwrap();
    assert_eq!(found(&open(path).unwrap(), &names(5)), 5);
}

// Goal: a value of another version is told from damage. Method: put values of formats 5 and 3, of
// no format, and cut short, under a code's key.
#[test]
fn values_that_do_not_decode() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let values: [(&[u8], ErrorKind); 4] = [
        (&[5, 0, 0], ErrorKind::Format),
        (&[3, 0, 0], ErrorKind::Format),
        (&[], ErrorKind::Corrupt),
        (&[4, 0, 8, b'c'], ErrorKind::Corrupt),
    ];
    for (at, (value, kind)) in values.into_iter().enumerate() {
        let id = samples::id(&at.to_string());
        let mut batch = Batch::new().unwrap();
        let expires_at = store.now().saturating_add(super::HOUR);
        let row = NewRow { value: value.to_vec(), expires_at, terms: Terms::NONE };
        batch.insert(Key::new(Kind::write_once(1), id), row);
        assert_eq!(store.backend().commit(batch).wait().unwrap(), Outcome::Applied);
        refused(store.get::<Code>(id).wait(), kind, &["stored code"]);
    }
}
