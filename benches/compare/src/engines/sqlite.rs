//! SQLite in WAL mode with full syncs, and one transaction for all that have gathered.

use crate::engine::{Contender, Reader, Setup};
use crate::grouped::{Grouped, Peer};
use crate::tables::{self, Entry, Filed, Of, Tables};
use crate::workload::{Text, row};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::PathBuf;

pub(crate) const CONTENDER: Contender = Contender {
    name: "SQLite",
    open: Grouped::<Sqlite>::open,
    server: false,
    missing: || None,
    settings: "WAL, synchronous=FULL, group commit, prepared statements, page cache and mmap set",
};

/// Two tables and their indices by expiry. The key is an index of its own, since rows are longer
/// than what a tree without row numbers is good for.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS token (id BLOB NOT NULL PRIMARY KEY, dies INTEGER, row BLOB);
    CREATE TABLE IF NOT EXISTS family (id BLOB NOT NULL PRIMARY KEY, dies INTEGER, row BLOB);
    CREATE INDEX IF NOT EXISTS token_dies ON token (dies);
    CREATE INDEX IF NOT EXISTS family_dies ON family (dies);";

/// Rows that one transaction of a sweep removes from each table.
const SWEEP_ROWS: usize = tables::SWEEP_ROWS / 2;

struct Sqlite {
    writer: Mutex<Connection>,
    path: PathBuf,
    cache_bytes: usize,
}

struct Open<'t>(&'t Connection);

impl Tables for Open<'_> {
    fn family(&mut self, id: &[u8; 32]) -> Vec<u8> {
        let mut select = self.0.prepare_cached("SELECT row FROM family WHERE id = ?1");
        let select = select.as_mut().expect("SQLite prepares");
        select.query_row([id], |found| found.get(0)).expect("the family is there")
    }

    fn put(&mut self, of: Of, id: &[u8; 32], row: &[u8]) {
        let put = match of {
            Of::Token => "INSERT OR REPLACE INTO token VALUES (?1, ?2, ?3)",
            Of::Family => {
                "INSERT INTO family VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET dies = ?2, row = ?3"
            }
        };
        let mut put = self.0.prepare_cached(put).expect("SQLite prepares");
        put.execute(params![id, signed(row::dies_ms(row)), row]).expect("SQLite writes");
    }

    // Whole ranges are removed by statements of their own, and the indices follow the rows.
    fn remove(&mut self, _: Of, _: &[u8; 32]) {}
    fn enter(&mut self, _: &Entry) {}
    fn strike(&mut self, _: &[u8]) {}
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Sqlite {
    fn connect(&self) -> Connection {
        connect(&self.path, self.cache_bytes)
    }
}

fn connect(path: &PathBuf, cache_bytes: usize) -> Connection {
    let connection = Connection::open(path).expect("SQLite opens");
    let pragmas = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;
         PRAGMA cache_size = -{}; PRAGMA mmap_size = {}; PRAGMA wal_autocheckpoint = 10000;",
        cache_bytes >> 10,
        64_u64 << 30,
    );
    connection.execute_batch(&pragmas).expect("SQLite is set up");
    connection
}

impl Peer for Sqlite {
    fn open(setup: &Setup) -> Self {
        let path = setup.dir.join("sqlite");
        let writer = connect(&path, setup.cache_bytes);
        writer.execute_batch(SCHEMA).expect("SQLite makes tables");
        Self { writer: Mutex::new(writer), path, cache_bytes: setup.cache_bytes }
    }

    fn apply(&self, changes: &[Filed]) {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction().expect("SQLite begins");
        changes.iter().for_each(|change| tables::apply(&mut Open(&transaction), change));
        transaction.commit().expect("SQLite commits");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self.connect())
    }

    fn sweep_some(&self, now_ms: u64, _: &mut Entry) -> usize {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction().expect("SQLite begins");
        let remove = |table| {
            let delete = format!(
                "DELETE FROM {table} WHERE rowid IN
                 (SELECT rowid FROM {table} WHERE dies < ?1 LIMIT {SWEEP_ROWS})"
            );
            let mut delete = transaction.prepare_cached(&delete).expect("SQLite prepares");
            delete.execute([signed(now_ms)]).expect("SQLite removes")
        };
        let rows = ["token", "family"].into_iter().map(remove).sum();
        transaction.commit().expect("SQLite commits");
        rows
    }
}

impl Reader for Connection {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let mut select = self.prepare_cached("SELECT row FROM token WHERE id = ?1");
        let select = select.as_mut().expect("SQLite prepares");
        let found = select.query_row([text.digest()], |found| {
            Ok(row::dies_ms(found.get_ref(0)?.as_blob().expect("a row is a blob")))
        });
        found.optional().expect("SQLite reads")
    }
}
