use super::locks::{opener, refusal};
use super::{HOUR, commit, holds, options};
use grantkeep::backend::{Backend, Budget, Kind, Scan};
use grantkeep::{
    Code, Disk, DiskFile, Embedded, ErrorKind, FileId, Health, KeySource, Keyring, ManualClock,
    OpenMode, Options, OsDisk, Owner, Result, Store, Wait as _,
};
use grantkeep_tests::files::{copy_dir, edit, files, segments};
use grantkeep_tests::samples;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_secs(60);

fn keyed() -> Options {
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    options().keys(keys).by_itself(false)
}

/// Everything that a directory is: names, contents, and when each was changed.
pub(super) fn image(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime, u32)> {
    let mut image = BTreeMap::new();
    let mut note = |path: &Path, content| {
        let found = fs::metadata(path).unwrap();
        image.insert(path.to_path_buf(), (content, found.modified().unwrap(), found.mode()));
    };
    for path in files(dir) {
        note(&path, fs::read(&path).unwrap());
        note(path.parent().unwrap(), Vec::new());
    }
    note(dir, Vec::new());
    image
}

/// Looks for something that takes a look as it is meant: it must leave the directory alone.
fn unchanged<T>(dir: &Path, look: impl FnOnce() -> T) -> T {
    let before = image(dir);
    let seen = look();
    let after = image(dir);
    let names = |image: &BTreeMap<PathBuf, _>| image.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    for (path, was) in before {
        assert!(after[&path] == was, "{} was changed", path.display());
    }
    seen
}

/// What is seen in a store in every way that there is, by key.
fn ask(backend: &Embedded) -> BTreeMap<(Kind, Vec<u8>), (SystemTime, Vec<u8>)> {
    let found = backend.verify(|_| {}).wait().unwrap();
    assert_eq!((found.damages, &found.named), (0, &Vec::new()));
    let (mut scan, mut seen) = (Scan::new(), BTreeMap::new());
    while !scan.is_done() {
        for row in backend.scan(&mut scan).wait().unwrap() {
            let got = backend.get(row.key()).wait().unwrap().unwrap();
            assert_eq!((got.version(), got.value()), (row.version(), row.value()));
            for term in row.terms().iter() {
                let (mut after, mut listed) = (None, false);
                loop {
                    let page = backend.list(term, after, 100).wait().unwrap();
                    listed |= page.rows.iter().any(|other| other.key() == row.key());
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert!(listed, "{:?} is not listed", row.key());
            }
            let id = (row.key().kind, row.key().to_bytes().to_vec());
            let value = row.value().to_vec();
            assert!(seen.insert(id, (row.expires_at().into(), value)).is_none());
        }
    }
    let stats = backend.stats();
    assert_eq!(stats.health, Health::ReadOnly);
    assert_eq!((stats.commits, stats.swept_rows, stats.carried_rows), (0, 0, 0));
    seen
}

/// Commits rows of all kinds of places: in blocks, by id, revised in the log, and young.
fn fill(store: &Store) {
    for round in 0..3 {
        for number in 0..40 {
            let name = format!("row {round} {number}");
            let mut change = store.change().unwrap();
            let until = store.now().saturating_add(HOUR * (1 + number % 3));
            change.insert(samples::id(&name), &samples::code(&name, "alice"), until).unwrap();
            change.insert(samples::id(&name), &samples::family(&name, "bob"), until).unwrap();
            store.commit(change).wait().unwrap();
            if number % 4 == 0 {
                let held = store.get::<Code>(samples::id(&name)).wait().unwrap().unwrap();
                let mut change = store.change().unwrap();
                change.replace(&held, &held.record, held.expires_at).unwrap();
                store.commit(change).wait().unwrap();
            }
        }
        store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
        if round < 2 {
            store.checkpoint().wait().unwrap();
        }
    }
}

/// A store that was closed, what a kill left of it, a backup of it, and one without the directory
/// of its log.
fn kinds(place: &Path) -> Vec<PathBuf> {
    let [closed, killed, backup, bare] =
        ["closed", "killed", "backup", "bare"].map(|name| place.join(name));
    let store = keyed().open(&closed).unwrap();
    fill(&store);
    store.backup(&bare).wait().unwrap();
    commit(&store, "young").unwrap();
    store.backup(&backup).wait().unwrap();
    copy_dir(&closed, &killed);
    store.close().unwrap();
    // What is left of a segment and of a table that were being made.
    fs::write(killed.join("log/000000000099.new"), [0; 4_096]).unwrap();
    fs::write(killed.join("table.redb.new"), [0; 4_096]).unwrap();
    fs::remove_dir_all(bare.join("log")).unwrap();
    let unnoted = place.join("unnoted");
    copy_dir(&killed, &unnoted);
    fs::remove_file(unnoted.join("LOCK")).unwrap();
    vec![closed, killed, unnoted, backup, bare]
}

// Goal: a look changes nothing of what it looks at, not a byte, a name, or a time, and sees what an
// open does; without keys as well. Method: stores as a close and as a kill leave them, without
// `LOCK`, and backups; statistics, a verification, each row by a scan, a look-up, and its listings,
// compared with what an open of a copy finds.
#[test]
fn a_look_changes_nothing_of_what_it_looks_at() {
    let place = tempfile::tempdir().unwrap();
    for dir in kinds(place.path()) {
        let seen = unchanged(&dir, || {
            let look = keyed().read_only(true).open(&dir).unwrap();
            let seen = ask(look.backend());
            look.close().unwrap();
            look.close().unwrap();
            seen
        });
        let without = || options().open_without_keys(&dir).unwrap();
        assert!(unchanged(&dir, || ask(&without())) == seen, "{}", dir.display());
        let copy = dir.with_extension("copy");
        copy_dir(&dir, &copy);
        let is_backup = copy.join("BACKUP").exists();
        let opened = keyed().restored(is_backup).open(&copy).unwrap();
        for (kind, name) in seen.keys().filter(|_| !is_backup).cloned() {
            let key = samples_key(kind, &name);
            let row = opened.backend().get(key).wait().unwrap().unwrap();
            let (until, value) = &seen[&(kind, name)];
            assert!(row.value() == value && SystemTime::from(row.expires_at()) == *until);
        }
        let rows = opened.stats().rows_total() - u64::from(is_backup);
        assert_eq!(seen.len() as u64, rows, "{}", dir.display());
    }
}

fn samples_key(kind: Kind, bytes: &[u8]) -> grantkeep::backend::Key {
    let key = grantkeep::backend::Key::from_bytes(bytes.try_into().unwrap());
    assert_eq!(key.kind, kind);
    key
}

/// A disk that can only be read, as one that is mounted for that: it syncs nothing, either.
#[derive(Debug, Clone, Default)]
struct Mounted(Arc<AtomicU64>);

impl Mounted {
    fn refuse<T>(&self) -> io::Result<T> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(MountedFile { file, disk: self.clone() })
    }
}

impl Disk for Mounted {
    fn open(&self, _: &Path, _: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.refuse()
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsDisk.open_read(path).map(|file| self.file(file))
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        Ok(OsDisk.open_dir(dir)?.map(|dir| self.file(dir)))
    }
}

#[derive(Debug)]
struct MountedFile {
    file: Arc<dyn DiskFile>,
    disk: Mounted,
}

impl DiskFile for MountedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        self.disk.refuse()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.refuse()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        self.disk.refuse()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.disk.refuse()
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        self.file.try_lock_shared()
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.file.id()
    }
}

/// Gives each file and directory these permissions.
fn permit(dir: &Path, file_mode: u32, dir_mode: u32) {
    for path in files(dir) {
        fs::set_permissions(&path, fs::Permissions::from_mode(file_mode)).unwrap();
    }
    for path in [dir.join("log"), dir.to_path_buf()].iter().filter(|path| path.exists()) {
        fs::set_permissions(path, fs::Permissions::from_mode(dir_mode)).unwrap();
    }
}

// Goal: a look needs no more than to read: it tries no change, and syncs nothing. Method: each kind
// of store on a disk that refuses and counts every other call, and with permissions to read alone.
#[test]
fn a_look_works_on_what_can_only_be_read() {
    let place = tempfile::tempdir().unwrap();
    for dir in kinds(place.path()) {
        permit(&dir, 0o400, 0o500);
        let mounted = Mounted::default();
        unchanged(&dir, || {
            let disk = Arc::new(mounted.clone());
            let look = keyed().disk(disk).read_only(true).open(&dir).unwrap();
            let seen = ask(look.backend());
            look.close().unwrap();
            let without = options().open_without_keys(&dir).unwrap();
            assert!(ask(&without) == seen);
            without.close().unwrap();
        });
        assert_eq!(mounted.0.load(Ordering::Relaxed), 0, "{} was to be changed", dir.display());
        permit(&dir, 0o600, 0o700);
    }
}

fn is<T>(done: Result<T>, kind: ErrorKind) {
    let error = done.map(drop).expect_err("nothing was refused");
    assert_eq!(error.kind(), kind, "{error}");
    if kind == ErrorKind::ReadOnly {
        assert!(error.to_string().contains("`read_only`"), "no way out: {error}");
    }
}

// Goal: whatever would change a store that is looked at is refused with a typed error and the way
// out, a close is one, and a look restores nothing. Method: every operation that changes, of the
// store and of the engine, on a closed store, under a keyring of its own and a given one; after the
// close.
#[test]
fn what_would_change_a_look_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().open(&dir).unwrap();
    commit(&store, "kept").unwrap();
    store.rotate_keyring().wait().unwrap();
    store.close().unwrap();
    let elsewhere = place.path().join("elsewhere");
    unchanged(&dir, || {
        let look = options().read_only(true).open(&dir).unwrap();
        let held = look.get::<Code>(samples::id("kept")).wait().unwrap().unwrap();
        is(commit(&look, "new"), ErrorKind::ReadOnly);
        let mut change = look.change().unwrap();
        change.delete(&held);
        is(look.commit(change).wait(), ErrorKind::ReadOnly);
        is(look.begin_epoch(Owner::Subject("alice")).wait(), ErrorKind::ReadOnly);
        is(look.checkpoint().wait(), ErrorKind::ReadOnly);
        is(look.sweep(Budget::ALL).wait(), ErrorKind::ReadOnly);
        is(look.backup(&elsewhere).wait(), ErrorKind::ReadOnly);
        is(look.rotate_keyring().wait(), ErrorKind::ReadOnly);
        is(look.retire_key(1).wait(), ErrorKind::ReadOnly);
        assert_eq!((look.health(), look.health().word()), (Health::ReadOnly, "read-only"));
        assert!(!look.health().is_open() && holds(&look, "kept"));
        look.close().unwrap();
        assert_eq!(look.health(), Health::Closed);
        is(commit(&look, "new"), ErrorKind::Unavailable);
        is(look.get::<Code>(samples::id("kept")).wait(), ErrorKind::Unavailable);
        is(look.verify(|_| {}).wait(), ErrorKind::Unavailable);
        is(options().read_only(true).restored(true).open(&dir), ErrorKind::ReadOnly);
        let given = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
        is(options().keys(given).read_only(true).open(&dir), ErrorKind::Keyring);
    });
    assert!(!elsewhere.exists(), "a backup was begun");
    let none = place.path().join("none");
    is(options().read_only(true).open(&none), ErrorKind::Missing);
    fs::create_dir(&none).unwrap();
    is(options().read_only(true).open(&none), ErrorKind::NotAStore);
    assert!(fs::read_dir(&none).unwrap().next().is_none(), "something was made");
}

// Goal: P2, a store that somebody has open to write is not looked at, its owner is named, and is
// not disturbed; a look waits for it as long as it is told to. Method: an owner in this process and
// in another; with and without keys; the owner goes on.
#[test]
fn a_running_owner_is_not_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().open(&dir).unwrap();
    let look = || options().read_only(true).open(&dir);
    for round in 0..3 {
        assert!(refusal(look()).contains("already open in this process"));
        is(options().open_without_keys(&dir), ErrorKind::Locked);
        commit(&store, &format!("beside {round}")).unwrap();
    }
    store.close().unwrap();
    assert!(holds(&look().unwrap(), "beside 2"));

    let (mut child, input) = opener("hold", &dir);
    let named = format!("another process (pid {})", child.id());
    assert!(refusal(look()).contains(&named), "{}", refusal(look()));
    assert!(child.runs());
    drop(input);
    let look = options().read_only(true).lock_patience(PATIENCE).open(&dir).unwrap();
    assert!(child.wait().success(), "it was disturbed");
    assert!(holds(&look, "beside 2"));
}

// Goal: P2, any number look at a time, and nobody writes meanwhile: who wants to is told that
// somebody looks, and who. Method: looks of this process and of another; a writer, at once and with
// patience, which takes over once the last of them has ended.
#[test]
fn who_looks_keeps_writers_out() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().open(&dir).unwrap();
    commit(&store, "first").unwrap();
    store.close().unwrap();
    let look = || options().read_only(true).open(&dir).unwrap();
    let looks = [look(), look()];
    let said = refusal(options().open(&dir));
    let own = format!("in this process (pid {})", std::process::id());
    assert!(said.contains("for reading only") && said.contains(&own), "{said}");
    let (mut child, input) = opener("look", &dir);
    assert!(looks.iter().all(|look| holds(look, "first")));
    drop(looks);
    let said = refusal(options().open(&dir));
    assert!(said.contains("for reading only in another process"), "{said}");
    if cfg!(target_os = "linux") {
        assert!(said.contains(&format!("(pid {})", child.id())), "{said}");
    }
    let started = Instant::now();
    let short = Duration::from_millis(120);
    refusal(options().lock_patience(short).open(&dir));
    assert!(started.elapsed() >= short && child.runs());
    drop(input);
    let store = options().lock_patience(PATIENCE).open(&dir).unwrap();
    commit(&store, "second").unwrap();
    assert!(child.wait().success());
    assert!(refusal(options().read_only(true).open(&dir)).contains("clone its `Store`"));
}

// Goal: P5, a look judges expiry by the clock as an open does, sweeps nothing, and notes no time.
// Method: rows that have ended by a clock that is far ahead; a look under that clock, which is
// accepted, while nothing is swept; an open by the clock as it was, for which they have not ended.
#[test]
fn a_look_sweeps_nothing_and_notes_no_time() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let at = |ahead: Duration| {
        Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000) + ahead))
    };
    let store = options().clock(at(Duration::ZERO)).open(&dir).unwrap();
    fill(&store);
    // An open counts a row twice that was replaced since it was carried, until it is carried again.
    store.checkpoint().wait().unwrap();
    commit(&store, "young").unwrap();
    let (rows, made_at) = (store.stats().rows_total(), store.now());
    let until = store.get::<Code>(samples::id("young")).wait().unwrap().unwrap().expires_at;
    store.close().unwrap();
    unchanged(&dir, || {
        let clock = at(HOUR * 24 * 365);
        let look = options().clock(Arc::clone(&clock) as _).read_only(true).open(&dir).unwrap();
        look.accept_clock();
        for _ in 0..3 {
            clock.advance(HOUR * 24);
            assert!(look.now() > until, "it has not ended");
            assert_eq!(look.stats().rows_total(), rows, "something was swept");
            assert!(look.rows_ended_by(look.now().into()) > 100);
            assert!(look.stats().sweep_lag > HOUR);
            assert!(holds(&look, "young"), "what has ended is answered until it is swept");
            std::thread::sleep(Duration::from_millis(150));
        }
        look.close().unwrap();
    });
    let store = options().clock(at(Duration::ZERO)).open(&dir).unwrap();
    assert!(store.now() < until && store.now().since(made_at) < HOUR, "the time went on");
    assert_eq!(store.stats().rows_total(), rows);
}

// Goal: P7, damage is refused or told by a look as by an open, and left as it is. Method: a row of
// the log that is damaged behind a look that is open; a log without its end, a table that is cut,
// one that is none, a keyring that is none.
#[test]
fn damage_is_told_by_a_look_and_left() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let store = options().open(&dir).unwrap();
    fill(&store);
    store.close().unwrap();
    let look = || options().read_only(true).open(&dir);
    let open = look().unwrap();
    let used = segments(&dir).into_iter().next().unwrap();
    let whole = fs::read(&used).unwrap();
    edit(&used, |bytes| bytes[9_000..20_000].fill(0xA5));
    let found = unchanged(&dir, || open.verify(|_| {}).wait().unwrap());
    assert!(found.damages > 0 && !found.named.is_empty(), "{found:?}");
    open.close().unwrap();
    unchanged(&dir, || is(look(), ErrorKind::Corrupt));
    fs::write(&used, whole).unwrap();
    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm, ErrorKind); 3] = [
        ("table.redb", |bytes| bytes.truncate(8_192), ErrorKind::Corrupt),
        ("table.redb", |bytes| bytes.fill(7), ErrorKind::Corrupt),
        ("keyring", |bytes| bytes.truncate(30), ErrorKind::Keyring),
    ];
    for (name, harm, kind) in harms {
        let path = dir.join(name);
        let whole = fs::read(&path).unwrap();
        edit(&path, harm);
        unchanged(&dir, || is(look(), kind));
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(look().unwrap().verify(|_| {}).wait().unwrap().damages, 0);
}
