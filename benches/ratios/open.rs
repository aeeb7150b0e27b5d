//! Opening a store that was not closed: a copy of its directory, as a kill would leave it.

use crate::scale::Scale;
use crate::table::{Bound, Line};
use grantkeep::{Store, Wait};
use grantkeep_benches::scratch::copy_dir;
use grantkeep_benches::workload::{FAMILY_LIFETIME, TOKEN_CHARACTERS, TOKEN_LIFETIME};
use grantkeep_benches::{Scratch, load};

const ROUNDS: usize = 3;
const ROWS: u64 = 300_000;

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let rows = scale.rows(ROWS);
    let tokens = |store: &Store| load::tokens(store, 0..rows, TOKEN_CHARACTERS, TOKEN_LIFETIME);
    let families = |store: &Store| load::families(store, 0..rows / 3, FAMILY_LIFETIME);
    vec![
        line("tokens in the log", tokens, false),
        line("tokens in the table", tokens, true),
        line("families in the table", families, true),
    ]
}

fn line(what: &str, fill: impl Fn(&Store), checkpoint: bool) -> Line {
    let scratch = Scratch::new();
    let original = scratch.path("original");
    let store = Store::open(&original).expect("a store");
    fill(&store);
    if checkpoint {
        store.checkpoint().wait().expect("a checkpoint");
    }
    let rows = store.stats().rows_total();
    let us_each = |round: usize| {
        let copy = scratch.path(&format!("copy {round}"));
        copy_dir(&original, &copy).expect("a copy");
        let opened = Store::open(&copy).expect("the copy opens").stats();
        assert_eq!(opened.rows_total(), rows, "the copy lacks rows");
        opened.open_took.as_secs_f64() * 1e6 / rows as f64
    };
    Line {
        what: format!("open after a kill, {what}"),
        sides: format!("per row of {rows}, nothing cached"),
        rounds: (0..ROUNDS).map(us_each).collect(),
        unit: " us",
        bound: Bound::Free,
    }
}
