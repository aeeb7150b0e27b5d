//! Rotating families by a crowd: read, then put the next generation in place by version.

use crate::scale::Scale;
use crate::table::{Bound, Line, median, ratios};
use grantkeep::Store;
use grantkeep_benches::workload::{FAMILY_LIFETIME, Rotator};
use grantkeep_benches::yardstick::BareLog;
use grantkeep_benches::{CALLERS, Scratch, Until, crowd, load};

const ROUNDS: usize = 4;
const TURN_MS: u64 = 1_500;
const FAMILIES: u64 = 200_000;

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let scratch = Scratch::new();
    let families = scale.rows(FAMILIES);
    let store = Store::open(scratch.path("store")).expect("a store");
    load::families(&store, 0..families, FAMILY_LIFETIME);
    let bare_log = BareLog::create(&scratch.path("bare")).expect("the yardstick opens");
    let mut rotators = Rotator::crowd(CALLERS, families);
    let turn = Until::Elapsed(scale.turn(TURN_MS));

    let before = store.stats().log_backlog_bytes;
    let ran = crowd(&mut rotators, Until::Calls(2_000), |rotator| rotator.rotate(&store));
    let bytes = store.stats().log_backlog_bytes.saturating_sub(before) / ran.calls();
    let frame = vec![5; bytes as usize];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ran = crowd(&mut rotators, turn, |rotator| rotator.rotate(&store));
        ours.push(ran.per_second());
        let ran = crowd(&mut rotators, turn, |_| bare_log.append(&frame));
        theirs.push(ran.per_second());
    }
    vec![Line {
        what: "rotate families / bare log".to_owned(),
        sides: format!("{:.0}/s against {:.0}/s", median(&ours), median(&theirs)),
        rounds: ratios(&ours, &theirs),
        unit: " x",
        bound: Bound::Free,
    }]
}
