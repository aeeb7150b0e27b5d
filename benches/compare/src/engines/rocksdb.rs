//! RocksDB: column families, synced write batches.

use crate::engine::{Contender, Reader, Setup};
use crate::grouped::{Grouped, Peer};
use crate::tables::{self, Entry, Filed, Of, SWEEP_ROWS, Tables, dead, read_entry};
use crate::workload::{Text, row};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    IteratorMode, Options, ReadOptions, WaitForCompactOptions, WriteBatch, WriteOptions,
};

pub(crate) const CONTENDER: Contender = Contender {
    name: "RocksDB",
    open: Grouped::<Rocks>::open,
    server: false,
    missing: || None,
    settings: "11.8; synced write batches, recycled and pipelined WAL, bloom filters of 10 bits \
               also in memory tables, block cache set, LZ4",
};

const FILTER_BITS: f64 = 10.0;
const WRITE_BUFFER_BYTES: usize = 64 << 20;

struct Rocks(DB);

struct Open<'t> {
    rocks: &'t Rocks,
    batch: WriteBatch,
}

impl Tables for Open<'_> {
    fn family(&mut self, id: &[u8; 32]) -> Vec<u8> {
        let held = self.rocks.0.get_cf(self.rocks.of(Of::Family), id).expect("RocksDB reads");
        held.expect("the family is there")
    }

    fn put(&mut self, of: Of, id: &[u8; 32], row: &[u8]) {
        self.batch.put_cf(self.rocks.of(of), id, row);
    }

    fn remove(&mut self, of: Of, id: &[u8; 32]) {
        self.batch.delete_cf(self.rocks.of(of), id);
    }

    fn enter(&mut self, entry: &Entry) {
        self.batch.put_cf(self.rocks.table("expiry"), entry, []);
    }

    fn strike(&mut self, entry: &[u8]) {
        self.batch.delete_cf(self.rocks.table("expiry"), entry);
    }
}

impl Rocks {
    fn of(&self, of: Of) -> &ColumnFamily {
        self.table(if of == Of::Token { "tokens" } else { "families" })
    }

    fn table(&self, name: &str) -> &ColumnFamily {
        self.0.cf_handle(name).expect("the table was opened")
    }

    fn change<R>(&self, work: impl FnOnce(&mut Open<'_>) -> R) -> R {
        let mut open = Open { rocks: self, batch: WriteBatch::default() };
        let answer = work(&mut open);
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        self.0.write_opt(open.batch, &synced).expect("RocksDB writes");
        answer
    }
}

impl Peer for Rocks {
    const GROUPS_BY_ITSELF: bool = true;

    fn open(setup: &Setup) -> Self {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.increase_parallelism(2);
        options.set_max_background_jobs(4);
        options.set_recycle_log_file_num(4);
        options.set_enable_pipelined_write(true);
        options.set_bytes_per_sync(1 << 20);
        let cache = Cache::new_lru_cache(setup.cache_bytes);
        let table = |name| {
            let mut blocks = BlockBasedOptions::default();
            blocks.set_block_cache(&cache);
            blocks.set_bloom_filter(FILTER_BITS, false);
            blocks.set_cache_index_and_filter_blocks(true);
            blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
            let mut options = Options::default();
            options.set_block_based_table_factory(&blocks);
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(WRITE_BUFFER_BYTES);
            options.set_max_write_buffer_number(4);
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.02);
            ColumnFamilyDescriptor::new(name, options)
        };
        let tables = ["tokens", "families", "expiry"].map(table);
        let opened = DB::open_cf_descriptors(&options, setup.dir.join("rocksdb"), tables);
        Self(opened.expect("RocksDB opens"))
    }

    fn apply(&self, changes: &[Filed]) {
        self.change(|open| changes.iter().for_each(|change| tables::apply(open, change)));
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self)
    }

    fn sweep_some(&self, now_ms: u64, from: &mut Entry) -> usize {
        let mut bounds = ReadOptions::default();
        bounds.set_iterate_range(from.as_slice()..dead(now_ms).end.as_slice());
        let found = self.0.iterator_cf_opt(self.table("expiry"), bounds, IteratorMode::Start);
        let found = found.take(SWEEP_ROWS);
        let found = found.map(|entry| read_entry(&entry.expect("RocksDB reads").0));
        let found: Vec<Entry> = found.collect();
        *from = *found.last().unwrap_or(from);
        self.change(|open| tables::sweep(open, &found))
    }

    fn settle(&self) {
        let mut wait = WaitForCompactOptions::default();
        wait.set_flush(true);
        self.0.wait_for_compact(&wait).expect("RocksDB compacts");
    }
}

impl Reader for &Rocks {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let held = self.0.get_pinned_cf(self.of(Of::Token), text.digest());
        held.expect("RocksDB reads").map(|held| row::dies_ms(&held))
    }
}
