//! The memory of the index per row, at several sizes: a hash table is at its worst right after it
//! has doubled.

use crate::scale::Scale;
use crate::table::{Bound, Line};
use grantkeep::Store;
use grantkeep_benches::workload::{TOKEN_CHARACTERS, TOKEN_LIFETIME};
use grantkeep_benches::{Scratch, load};

const SIZES: [u64; 7] = [100_000, 150_000, 250_000, 400_000, 600_000, 800_000, 1_000_000];

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let scratch = Scratch::new();
    let store = Store::options().row_cache_bytes(0).open(scratch.path("store")).expect("a store");
    let mut loaded = 0;
    let sizes = SIZES.map(|rows| {
        let rows = scale.rows(rows);
        load::tokens(&store, loaded..rows, TOKEN_CHARACTERS, TOKEN_LIFETIME);
        loaded = rows;
        let stats = store.stats();
        let bytes = stats.index_bytes as f64 / stats.rows_total() as f64;
        Line {
            what: format!("index at {rows} rows"),
            sides: "per row".to_owned(),
            rounds: vec![bytes],
            unit: " B",
            bound: Bound::AtMost(32.0),
        }
    });
    sizes.into()
}
