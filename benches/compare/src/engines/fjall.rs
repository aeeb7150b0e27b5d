//! fjall, with one synced batch for all that have gathered.

use crate::engine::{Contender, Reader, Setup};
use crate::grouped::{Grouped, Peer};
use crate::tables::{self, Entry, Filed, Of, SWEEP_ROWS, Tables, dead, read_entry};
use crate::workload::{Text, row};
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use std::time::Duration;

pub(crate) const CONTENDER: Contender = Contender {
    name: "fjall",
    open: Grouped::<Fjall>::open,
    server: false,
    missing: || None,
    settings: "3.1; synced batches, group commit, bloom filters of 10 bits, cache set",
};

const FILTER_BITS: f32 = 10.0;

struct Fjall {
    database: Database,
    tokens: Keyspace,
    families: Keyspace,
    expiry: Keyspace,
}

struct Open<'t> {
    fjall: &'t Fjall,
    batch: OwnedWriteBatch,
}

impl Tables for Open<'_> {
    fn family(&mut self, id: &[u8; 32]) -> Vec<u8> {
        let held = self.fjall.families.get(id).expect("fjall reads");
        held.expect("the family is there").to_vec()
    }

    fn put(&mut self, of: Of, id: &[u8; 32], row: &[u8]) {
        self.batch.insert(self.fjall.of(of), id.as_slice(), row);
    }

    fn remove(&mut self, of: Of, id: &[u8; 32]) {
        self.batch.remove(self.fjall.of(of), id.as_slice());
    }

    fn enter(&mut self, entry: &Entry) {
        self.batch.insert(&self.fjall.expiry, entry.as_slice(), []);
    }

    fn strike(&mut self, entry: &[u8]) {
        self.batch.remove(&self.fjall.expiry, entry);
    }
}

impl Fjall {
    fn of(&self, of: Of) -> &Keyspace {
        if of == Of::Token { &self.tokens } else { &self.families }
    }

    fn change<R>(&self, work: impl FnOnce(&mut Open<'_>) -> R) -> R {
        let batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut open = Open { fjall: self, batch };
        let answer = work(&mut open);
        open.batch.commit().expect("fjall commits");
        answer
    }
}

impl Peer for Fjall {
    fn open(setup: &Setup) -> Self {
        let builder = Database::builder(setup.dir.join("fjall"));
        let database = builder.cache_size(setup.cache_bytes as u64).open().expect("fjall opens");
        let filter = BloomConstructionPolicy::BitsPerKey(FILTER_BITS);
        let options = || {
            let filters = FilterPolicy::all(FilterPolicyEntry::Bloom(filter));
            KeyspaceCreateOptions::default().filter_policy(filters)
        };
        let table = |name| database.keyspace(name, options).expect("fjall makes a table");
        let (tokens, families, expiry) = (table("tokens"), table("families"), table("expiry"));
        Self { tokens, families, expiry, database }
    }

    fn apply(&self, changes: &[Filed]) {
        self.change(|open| changes.iter().for_each(|change| tables::apply(open, change)));
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self)
    }

    fn sweep_some(&self, now_ms: u64, from: &mut Entry) -> usize {
        let found = self.expiry.range(*from..dead(now_ms).end).take(SWEEP_ROWS);
        let found: Vec<Entry> =
            found.map(|entry| read_entry(&entry.key().expect("fjall reads"))).collect();
        *from = *found.last().unwrap_or(from);
        self.change(|open| tables::sweep(open, &found))
    }

    fn settle(&self) {
        let tables = [&self.tokens, &self.families, &self.expiry];
        tables.into_iter().for_each(|table| {
            table.rotate_memtable_and_wait().expect("fjall flushes");
        });
        while self.database.active_compactions() > 0 || self.database.outstanding_flushes() > 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Reader for &Fjall {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let held = self.tokens.get(text.digest()).expect("fjall reads")?;
        Some(row::dies_ms(&held))
    }
}
