use crate::keys;
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Digest, Disk, DiskFile, Embedded, OpenMode, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

/// What is done before the next read of the log.
type Meeting = Box<dyn FnOnce() + Send>;

/// A disk on which whoever reads the log next meets something.
#[derive(Clone)]
struct MeetingDisk {
    disk: SimDisk,
    next: Arc<Mutex<Option<Meeting>>>,
}

struct MeetingFile {
    file: Arc<dyn DiskFile>,
    next: Arc<Mutex<Option<Meeting>>>,
}

impl MeetingDisk {
    fn new() -> Self {
        Self { disk: SimDisk::new(), next: Arc::default() }
    }

    fn meet(&self, what: impl FnOnce() + Send + 'static) {
        *self.next.lock().unwrap() = Some(Box::new(what));
    }

    fn has_met(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

impl fmt::Debug for MeetingDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MeetingDisk").field(&self.disk).finish()
    }
}

impl fmt::Debug for MeetingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MeetingFile").field(&self.file).finish()
    }
}

impl Disk for MeetingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        let of_log = path.parent().is_some_and(|folder| folder.ends_with("log"));
        let next = Arc::clone(&self.next);
        Ok(if of_log { Arc::new(MeetingFile { file, next }) } else { file })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl DiskFile for MeetingFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let met = self.next.lock().unwrap().take();
        if let Some(meeting) = met {
            // Not the keeper's own doing.
            std::thread::spawn(meeting).join().unwrap();
        }
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

fn put(engine: &Embedded, rows: &[Key], turn: u8) {
    let mut batch = Batch::new().unwrap();
    for key in rows {
        let expires_at = engine.now().saturating_add(Duration::from_secs(3_600));
        let new = NewRow { value: vec![turn], expires_at, terms: Terms::NONE };
        match engine.get(*key).wait().unwrap() {
            Some(held) => batch.replace(*key, held.version(), new),
            None => batch.insert(*key, new),
        };
    }
    assert_eq!(engine.commit(batch).wait().unwrap(), Outcome::Applied);
}

// Goal: P7, what is replaced while the checkpoint of a backup carries it is in the backup, whole
// batches of it, and no older than when the backup was asked for. Method: rows in a block, by id,
// and in the log alone; as the keeper reads the log for the checkpoint, one batch replaces all of
// them, and deletes another row. The copy is opened, verified, carried, and opened once more.
#[test]
fn what_is_replaced_meanwhile_is_in_the_backup() {
    let key = |kind, number| Key::new(kind, Digest::from_bytes([number; 32]));
    let (in_block, by_id) = (key(Kind::write_once(100), 1), key(Kind::revised(101), 2));
    let (young, fresh) = (key(Kind::write_once(100), 3), key(Kind::write_once(100), 4));
    let (first, gone) = (key(Kind::revised(101), 5), key(Kind::revised(101), 6));
    let (disk, clock) = (MeetingDisk::new(), manual_clock());
    let open = |dir: &str, restored: bool| {
        let options = options(&clock).disk(Arc::new(disk.clone())).keys(keys());
        options.restored(restored).open_backend(Path::new(dir)).unwrap().0
    };
    let engine = Arc::new(open("/live", false));
    put(&engine, &[in_block, by_id, first, gone], 0);
    engine.checkpoint().wait().unwrap();
    put(&engine, &[by_id], 1);
    engine.checkpoint().wait().unwrap();
    // What is acknowledged before the backup is asked for.
    put(&engine, &[by_id, young], 2);
    let all = [in_block, by_id, young, first, fresh];
    let own = Arc::clone(&engine);
    disk.meet(move || {
        put(&own, &all, 3);
        let mut batch = Batch::new().unwrap();
        batch.delete(gone, own.get(gone).wait().unwrap().unwrap().version());
        assert_eq!(own.commit(batch).wait().unwrap(), Outcome::Applied);
    });
    engine.backup(Path::new("/copy")).wait().unwrap();
    assert!(disk.has_met(), "the checkpoint reads the log");
    for _ in 0..2 {
        let copy = open("/copy", true);
        for key in all {
            let held = copy.get(key).wait().unwrap().map(|row| row.value().to_vec());
            assert_eq!(held, Some(vec![3]), "{key:?}");
        }
        assert!(copy.get(gone).wait().unwrap().is_none());
        let verified = copy.verify(|_| {}).wait().unwrap();
        assert_eq!(verified.damages, 0, "{:?}", verified.named);
        copy.checkpoint().wait().unwrap();
        // What the table has beside the log is counted twice until then.
        assert_eq!(copy.stats().rows_total(), all.len() as u64);
        copy.close().unwrap();
    }
}

// Goal: the backup of an idle store has no log. Method: back up what nobody changes meanwhile.
#[test]
fn a_backup_of_an_idle_store_is_a_table_alone() {
    let (disk, clock) = (MeetingDisk::new(), manual_clock());
    let options = options(&clock).disk(Arc::new(disk.clone())).keys(keys());
    let (engine, _) = options.open_backend(Path::new("/live")).unwrap();
    put(&engine, &[Key::new(Kind::revised(101), Digest::from_bytes([1; 32]))], 1);
    engine.backup(Path::new("/copy")).wait().unwrap();
    assert_eq!(disk.list(Path::new("/copy/log")).unwrap(), Vec::<String>::new());
}
