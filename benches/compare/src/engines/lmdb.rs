//! LMDB by heed, with one transaction for all that have gathered.

use crate::engine::{Contender, Reader, Setup};
use crate::grouped::{Grouped, Peer};
use crate::tables::{self, Entry, Filed, Of, SWEEP_ROWS, Tables, dead, read_entry};
use crate::workload::{Text, row};
use heed::types::{Bytes, Unit};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, RwTxn};
use std::ops::Bound;

pub(crate) const CONTENDER: Contender = Contender {
    name: "LMDB",
    open: Grouped::<Lmdb>::open,
    server: false,
    missing: || None,
    settings: "0.9 by heed 0.22; synced commits, group commit, no read-ahead",
};

/// As large as the database may become.
const MAP_BYTES: usize = 64 << 30;

struct Lmdb {
    env: Env,
    tokens: Database<Bytes, Bytes>,
    families: Database<Bytes, Bytes>,
    expiry: Database<Bytes, Unit>,
}

struct Open<'t> {
    lmdb: &'t Lmdb,
    transaction: RwTxn<'t>,
}

impl Tables for Open<'_> {
    fn family(&mut self, id: &[u8; 32]) -> Vec<u8> {
        let held = self.lmdb.families.get(&self.transaction, id).expect("LMDB reads");
        held.expect("the family is there").to_vec()
    }

    fn put(&mut self, of: Of, id: &[u8; 32], row: &[u8]) {
        self.lmdb.of(of).put(&mut self.transaction, id, row).expect("LMDB writes");
    }

    fn remove(&mut self, of: Of, id: &[u8; 32]) {
        self.lmdb.of(of).delete(&mut self.transaction, id).expect("LMDB removes");
    }

    fn enter(&mut self, entry: &Entry) {
        self.lmdb.expiry.put(&mut self.transaction, entry, &()).expect("LMDB writes");
    }

    fn strike(&mut self, entry: &[u8]) {
        self.lmdb.expiry.delete(&mut self.transaction, entry).expect("LMDB removes");
    }
}

impl Lmdb {
    fn of(&self, of: Of) -> &Database<Bytes, Bytes> {
        if of == Of::Token { &self.tokens } else { &self.families }
    }

    fn change<R>(&self, work: impl FnOnce(&mut Open<'_>) -> R) -> R {
        let transaction = self.env.write_txn().expect("LMDB begins");
        let mut open = Open { lmdb: self, transaction };
        let answer = work(&mut open);
        open.transaction.commit().expect("LMDB commits");
        answer
    }
}

impl Peer for Lmdb {
    #[allow(unsafe_code)]
    fn open(setup: &Setup) -> Self {
        let dir = setup.dir.join("lmdb");
        std::fs::create_dir_all(&dir).expect("a directory for LMDB");
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_dbs(3).max_readers(2_048);
        // SAFETY: the flag changes only how pages are read; the directory is this run's own, so
        // that nobody else writes to the map or opens it a second time.
        let env = unsafe { options.flags(EnvFlags::NO_READ_AHEAD).open(dir) };
        let env = env.expect("LMDB opens");
        let mut transaction = env.write_txn().expect("LMDB begins");
        let mut table = |name| env.create_database(&mut transaction, Some(name));
        let tokens = table("tokens").expect("LMDB makes a table");
        let families = table("families").expect("LMDB makes a table");
        let expiry = env.create_database(&mut transaction, Some("expiry"));
        let expiry = expiry.expect("LMDB makes a table");
        transaction.commit().expect("LMDB commits");
        Self { env, tokens, families, expiry }
    }

    fn apply(&self, changes: &[Filed]) {
        self.change(|open| changes.iter().for_each(|change| tables::apply(open, change)));
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self)
    }

    fn sweep_some(&self, now_ms: u64, _: &mut Entry) -> usize {
        self.change(|open| {
            let dead = dead(now_ms);
            let (start, end) = (dead.start.as_slice(), dead.end.as_slice());
            let range = (Bound::Included(start), Bound::Excluded(end));
            let found = self.expiry.range(&open.transaction, &range).expect("LMDB reads");
            let found = found.take(SWEEP_ROWS);
            let found = found.map(|entry| read_entry(entry.expect("LMDB reads").0));
            let found: Vec<Entry> = found.collect();
            tables::sweep(open, &found)
        })
    }
}

impl Reader for &Lmdb {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let read = self.env.read_txn().expect("LMDB begins");
        let held = self.tokens.get(&read, &text.digest()).expect("LMDB reads")?;
        Some(row::dies_ms(held))
    }
}
