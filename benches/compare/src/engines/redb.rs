//! redb with random keys and one transaction for all that have gathered.

use crate::engine::{Contender, Reader, Setup};
use crate::grouped::{Grouped, Peer};
use crate::tables::{self, Entry, Filed, Of, SWEEP_ROWS, Tables, dead, read_entry};
use crate::workload::{Text, row};
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition,
};

pub(crate) const CONTENDER: Contender = Contender {
    name: "redb",
    open: Grouped::<Redb>::open,
    server: false,
    missing: || None,
    settings: "4.5; durability immediate, group commit, page cache set",
};

const TOKENS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("tokens");
const FAMILIES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("families");
const EXPIRY: TableDefinition<&[u8], ()> = TableDefinition::new("expiry");

struct Redb(Database);

struct Open<'t> {
    tokens: Table<'t, &'static [u8; 32], &'static [u8]>,
    families: Table<'t, &'static [u8; 32], &'static [u8]>,
    expiry: Table<'t, &'static [u8], ()>,
}

impl Tables for Open<'_> {
    fn family(&mut self, id: &[u8; 32]) -> Vec<u8> {
        let held = self.families.get(id).expect("redb reads").expect("the family is there");
        held.value().to_vec()
    }

    fn put(&mut self, of: Of, id: &[u8; 32], row: &[u8]) {
        self.of(of).insert(id, row).expect("redb writes");
    }

    fn remove(&mut self, of: Of, id: &[u8; 32]) {
        self.of(of).remove(id).expect("redb removes");
    }

    fn enter(&mut self, entry: &Entry) {
        self.expiry.insert(entry.as_slice(), ()).expect("redb writes");
    }

    fn strike(&mut self, entry: &[u8]) {
        self.expiry.remove(entry).expect("redb removes");
    }
}

impl<'t> Open<'t> {
    fn of(&mut self, of: Of) -> &mut Table<'t, &'static [u8; 32], &'static [u8]> {
        if of == Of::Token { &mut self.tokens } else { &mut self.families }
    }
}

impl Redb {
    fn change<R>(&self, work: impl FnOnce(&mut Open<'_>) -> R) -> R {
        let mut transaction = self.0.begin_write().expect("redb begins");
        transaction.set_durability(Durability::Immediate).expect("redb syncs");
        let answer = work(&mut Open {
            tokens: transaction.open_table(TOKENS).expect("redb opens a table"),
            families: transaction.open_table(FAMILIES).expect("redb opens a table"),
            expiry: transaction.open_table(EXPIRY).expect("redb opens a table"),
        });
        transaction.commit().expect("redb commits");
        answer
    }
}

impl Peer for Redb {
    fn open(setup: &Setup) -> Self {
        let path = setup.dir.join("redb");
        let database = Database::builder().set_cache_size(setup.cache_bytes).create(path);
        let opened = Self(database.expect("redb opens"));
        opened.change(|_| {});
        opened
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
            let found = open.expiry.range(dead.start.as_slice()..dead.end.as_slice());
            let found = found.expect("redb reads").take(SWEEP_ROWS);
            let found = found.map(|entry| read_entry(entry.expect("redb reads").0.value()));
            tables::sweep(open, &found.collect::<Vec<_>>())
        })
    }
}

impl Reader for &Redb {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let read = self.0.begin_read().expect("redb begins");
        let tokens = read.open_table(TOKENS).expect("redb opens a table");
        let held = tokens.get(&text.digest()).expect("redb reads")?;
        Some(row::dies_ms(held.value()))
    }
}
