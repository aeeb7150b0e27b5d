use super::{CHILD, commit, goes_on, holds, options, stopped};
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Digest, Disk, DiskFile, Embedded, KeySource, Keyring, OpenMode, Wait as _};
use grantkeep_tests::files::{copy_dir, segments};
use grantkeep_tests::process::Process;
use grantkeep_tests::sim_disk::SimDisk;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEEDS: u64 = 20;

fn simulated(disk: &SimDisk) -> grantkeep::Options {
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    options().keys(keys).disk(Arc::new(disk.clone()))
}

fn key() -> Key {
    Key::new(Kind::write_once(1), Digest::from_bytes([1; 32]))
}

fn put(engine: &Embedded) {
    let mut batch = Batch::new().unwrap();
    let expires_at = engine.now().saturating_add(super::HOUR);
    batch.insert(key(), NewRow { value: vec![1], expires_at, terms: Terms::NONE });
    assert_eq!(engine.commit(batch).wait().unwrap(), Outcome::Applied);
}

// Goal: P1, what is acknowledged outlives a power cut, whoever made the directory of the store, and
// so does a backup. Method: directories that are made by the open, by an open that was killed
// before it went on, and by hand; a commit and a backup; cuts under 20 seeds.
#[test]
fn a_new_directory_is_durable_whoever_made_it() {
    let (store, copy) = (Path::new("/store"), Path::new("/copy"));
    for seed in 0..SEEDS {
        for made_before in [false, true] {
            let disk = SimDisk::new();
            if made_before {
                disk.create_dir(store).unwrap();
                disk.create_dir(copy).unwrap();
            }
            let (engine, _) = simulated(&disk).open_backend(store).unwrap();
            put(&engine);
            let cut = disk.crash(seed);
            let (after, _) = simulated(&cut).create(false).open_backend(store).unwrap();
            assert!(after.get(key()).wait().unwrap().is_some(), "lost with seed {seed}");
            engine.backup(copy).wait().unwrap();
            let cut = disk.crash(seed);
            let (after, _) = simulated(&cut).restored(true).open_backend(copy).unwrap();
            assert!(after.get(key()).wait().unwrap().is_some(), "no backup with seed {seed}");
        }
    }
}

/// A disk that notes which directories are synced.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<PathBuf>>);

impl Disk for Noting {
    fn open(&self, _: &Path, _: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.lock().unwrap().push(dir.to_path_buf());
        Ok(())
    }
}

// Goal: P1, the directory above is found in every form of a path, also by disks that know paths
// alone. Method: a disk that notes what is synced, and has no method but the required ones.
#[test]
fn the_directory_above_is_found_in_every_form_of_a_path() {
    for (dir, above) in [
        ("tokens", Some(".")),
        ("./tokens", Some(".")),
        ("a/tokens/", Some("a")),
        ("/tokens", Some("/")),
        (".", Some("./..")),
        ("a/..", Some("a/../..")),
        ("/", None),
    ] {
        let disk = Noting::default();
        disk.sync_parent(Path::new(dir)).unwrap();
        let synced = disk.0.into_inner().unwrap();
        assert_eq!(synced, above.map(PathBuf::from).into_iter().collect::<Vec<_>>(), "{dir}");
    }
}

// Goal: a path that has come to lead to another directory stops the store, which says so; one that
// leads nowhere does not. Method: move the directory away, and back; move it away, and put a copy
// in its place; switch a link.
#[test]
fn a_replaced_directory_stops_the_store() {
    let place = tempfile::tempdir().unwrap();
    let (dir, moved) = (place.path().join("store"), place.path().join("moved"));
    let store = options().open(&dir).unwrap();
    commit(&store, "first").unwrap();
    fs::rename(&dir, &moved).unwrap();
    goes_on(&store);
    fs::rename(&moved, &dir).unwrap();
    goes_on(&store);
    fs::rename(&dir, &moved).unwrap();
    fs::create_dir(&dir).unwrap();
    let said = stopped(&store);
    assert!(said.contains("another directory") && said.contains(dir.to_str().unwrap()), "{said}");
    assert!(fs::read_dir(&dir).unwrap().next().is_none(), "it wrote to the other directory");
    drop(store);
    assert!(holds(&options().open(&moved).unwrap(), "first"));

    let link = place.path().join("current");
    std::os::unix::fs::symlink(&moved, &link).unwrap();
    let store = options().open(&link).unwrap();
    goes_on(&store);
    fs::remove_file(&link).unwrap();
    goes_on(&store);
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    assert!(stopped(&store).contains("another directory"));
}

// Goal: after the open nothing depends on the names of the directories above. Method: rename the
// parent of a store, and use the store in every way; the files are where it has gone.
#[test]
fn a_renamed_parent_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (place.path().join("old"), place.path().join("new"));
    fs::create_dir(&old).unwrap();
    let store = options().reserve_bytes(1 << 20).open(old.join("store")).unwrap();
    commit(&store, "first").unwrap();
    fs::rename(&old, &new).unwrap();
    for number in 0..3_000 {
        commit(&store, &format!("away-{number}")).unwrap();
    }
    store.checkpoint().wait().unwrap();
    store.rotate_keyring().wait().unwrap();
    store.backup(place.path().join("copy")).wait().unwrap();
    let inside = store.backup(new.join("store/copy")).wait().unwrap_err();
    assert!(inside.to_string().contains("within the store itself"), "{inside}");
    goes_on(&store);
    store.close().unwrap();
    assert!(!old.exists(), "something was written to the old path");
    let store = options().open(new.join("store")).unwrap();
    assert!(holds(&store, "first") && holds(&store, "away-2999"));
}

// Goal: after the open nothing depends on the working directory. Method: a process that opens by a
// relative path of one component, and does everything from another directory.
#[test]
fn a_changed_working_directory_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut child = Process::start(Command::new(CHILD).arg("wander").arg(place.path()));
    let refused = child.line().expect("see its message above");
    assert!(refused.contains("within the store itself"), "{refused}");
    assert_eq!(child.line().as_deref(), Some("[\"copy\"]"));
    assert!(child.wait().success());
    let store = options().open(place.path().join("store")).unwrap();
    assert!(["at home", "away-2999", "at last"].iter().all(|name| holds(&store, name)));
    assert_eq!(store.keyring().newest_first().count(), 2);
}

// Goal: a file of the store whose name is taken from it stops the store, which names it. Method:
// replace, rename, and remove the table, a segment, and the whole directory.
#[test]
fn files_that_lose_their_names_stop_the_store() {
    type Harm = fn(&Path);
    let harms: [(&str, &str, Harm); 5] = [
        ("table.redb", "replaced", |dir| {
            fs::copy(dir.join("table.redb"), dir.join("copy")).unwrap();
            fs::rename(dir.join("copy"), dir.join("table.redb")).unwrap();
        }),
        ("table.redb", "removed", |dir| fs::remove_file(dir.join("table.redb")).unwrap()),
        (".seg", "replaced", |dir| {
            let segment = segments(dir).remove(0);
            fs::copy(&segment, dir.join("copy")).unwrap();
            fs::rename(dir.join("copy"), &segment).unwrap();
        }),
        (".seg", "removed", |dir| {
            fs::rename(dir.join("log"), dir.join("old-log")).unwrap();
        }),
        // Whichever of its names a look between two removals misses first.
        ("", "removed", |dir| fs::remove_dir_all(dir).unwrap()),
    ];
    for (file, what, harm) in harms {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("store");
        let store = options().open(&dir).unwrap();
        goes_on(&store);
        harm(&dir);
        let said = stopped(&store);
        assert!(said.contains(file) && said.contains(what), "{said}");
        assert!(store.close().is_err(), "a store that has stopped was closed in order");
    }
}

// Goal: names that come and go beside those of the store do not matter to it. Method: foreign files
// in its directories, a copy of it elsewhere, a second name of its table, a removed reserve.
#[test]
fn other_names_do_not_matter() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().reserve_bytes(1 << 20).open(&dir).unwrap();
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    fs::create_dir(dir.join("log/mine")).unwrap();
    copy_dir(&dir, &place.path().join("copy"));
    fs::remove_file(dir.join("reserve")).unwrap();
    fs::hard_link(dir.join("table.redb"), place.path().join("link")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    goes_on(&store);
    store.close().unwrap();
}
