//! Sweeping dead windows, with as many rows that live on beside them.

use crate::scale::Scale;
use crate::table::{Bound, Line};
use grantkeep_benches::dying::Dying;

const ROUNDS: usize = 3;
const ROWS: u64 = 150_000;

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let cases = [
        (Dying::TokensInLog, ROWS, Bound::AtMost(1.0)),
        (Dying::TokensInTable, ROWS, Bound::AtMost(1.0)),
        (Dying::FamiliesInTable, ROWS / 3, Bound::Free),
    ];
    let line = |(dying, rows, bound): (Dying, u64, Bound)| {
        let rows = scale.rows(rows);
        let us_each = || dying.load(rows, rows).sweep().as_secs_f64() * 1e6 / rows as f64;
        Line {
            what: format!("sweep {}", dying.name()),
            sides: format!("per row of {rows} dead ones"),
            rounds: (0..ROUNDS).map(|_| us_each()).collect(),
            unit: " us",
            bound,
        }
    };
    cases.into_iter().map(line).collect()
}
