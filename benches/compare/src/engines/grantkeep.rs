//! The store, by its backend's interface: rows as they are, like the peers', with the conditions
//! that the peers go without (a token and a family that are put must not be there; a generation
//! follows the one that was read).

use crate::engine::{Contender, Engine, Reader, Setup, Written};
use crate::workload::{Change, Family, Text, row};
use futures_util::{StreamExt as _, stream};
use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Digest, Store, Timestamp, Wait as _};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const CONTENDER: Contender = Contender {
    name: "grantkeep",
    open: |setup| Box::new(Embedded(open(setup))),
    server: false,
    missing: || None,
    settings: "defaults of the store: durable on return, carrying and sweeping by itself",
};

const TOKEN: Kind = Kind::write_once(0x70);
const FAMILY: Kind = Kind::revised(0x71);

/// Pairs of one batch while loading.
const BATCH_PAIRS: usize = 30;
/// Batches that are on their way while loading.
const BATCHES: usize = 64;

struct Embedded(Store);

fn open(setup: &Setup) -> Store {
    let all = grantkeep::ROW_CACHE_BYTES + grantkeep::TABLE_CACHE_BYTES;
    let share = |bytes: usize| bytes * setup.cache_bytes / all;
    let options = Store::options()
        .log_budget_bytes(setup.log_budget_bytes)
        .row_cache_bytes(share(grantkeep::ROW_CACHE_BYTES))
        .table_cache_bytes(share(grantkeep::TABLE_CACHE_BYTES))
        .by_itself(setup.by_itself);
    let options = match &setup.clock {
        Some(clock) => options.clock(Arc::clone(clock)),
        None => options,
    };
    options.open(setup.dir.join("store")).expect("the store opens")
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

impl Embedded {
    fn token_key(&self, text: &Text) -> Key {
        Key::new(TOKEN, self.0.id(&text.0).expect("a text is within its limits"))
    }

    fn add(&self, batch: &mut Batch, change: Change) -> Option<(Key, u64)> {
        let token = change.token;
        let row = |value, dies_ms| NewRow { value, expires_at: at(dies_ms), terms: Terms::NONE };
        batch.insert(self.token_key(&token.text), row(token.row, token.dies_ms));
        let key = Key::new(FAMILY, Digest::from_bytes(change.family));
        match change.what {
            Family::Opened(opened) => {
                batch.insert(key, row(opened, change.family_dies_ms));
                None
            }
            Family::Rotated => Some((key, change.family_dies_ms)),
        }
    }

    async fn commit(&self, changes: Vec<Change>) {
        let mut batch = Batch::new().expect("a batch");
        for change in changes {
            let Some((key, dies_ms)) = self.add(&mut batch, change) else { continue };
            let held = self.0.backend().get(key).await.expect("the family is read");
            let held = held.expect("the family is there");
            let value = row::next(held.value(), dies_ms);
            let next = NewRow { value, expires_at: at(dies_ms), terms: Terms::NONE };
            batch.replace(key, held.version(), next);
        }
        let outcome = self.0.backend().commit(batch).await.expect("the store writes");
        assert_eq!(outcome, Outcome::Applied, "a pair met another of the same ids");
    }
}

impl Engine for Embedded {
    fn write(&self, change: Change) {
        self.commit(vec![change]).wait();
    }

    fn write_async(&self, change: Change) -> Written<'_> {
        Box::pin(self.commit(vec![change]))
    }

    fn load(&self, changes: Vec<Change>) {
        stream::iter(changes)
            .chunks(BATCH_PAIRS)
            .map(|part| self.commit(part))
            .buffer_unordered(BATCHES)
            .collect::<()>()
            .wait();
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self)
    }

    fn sweep(&self, _: u64) -> u64 {
        self.0.sweep(Budget::ALL).wait().expect("a sweep").rows
    }

    /// Waits until a tenth of a second has passed in which nothing was carried.
    fn settle(&self) {
        let mut carried = u64::MAX;
        while carried != self.0.stats().carried_rows {
            carried = self.0.stats().carried_rows;
            std::thread::sleep(Duration::from_millis(120));
        }
    }

    fn now_ms(&self) -> u64 {
        self.0.now().as_millis()
    }

    fn sweeps_by_itself(&self) -> bool {
        true
    }

    fn store(&self) -> Option<&Store> {
        Some(&self.0)
    }
}

impl Reader for &Embedded {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let held = self.0.backend().get(self.token_key(text)).wait().expect("a look-up")?;
        Some(row::dies_ms(held.value()))
    }
}
