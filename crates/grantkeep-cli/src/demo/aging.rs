//! Time moved past the lifetimes, and the windows cut.

use super::Stop;
use super::tally::Tally;
use crate::clock::MovedClock;
use grantkeep::backend::Budget;
use grantkeep::{Code, Family, LEAP_HOLD, Personal, Record as _, Store, Token, Wait as _};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Ages the store until nothing it issued is in force.
pub(crate) fn play(store: &Store, clock: &MovedClock, tally: &mut Tally) -> Result<(), Stop> {
    println!("\nTime passes");
    let mut rows = 0;
    let mut took = Duration::ZERO;
    for (what, time) in [
        ("an hour: codes, short tokens", HOUR),
        ("a day: tokens of 12 hours", DAY),
        ("2 years: families, personal tokens", 730 * DAY),
    ] {
        clock.pass(time + LEAP_HOLD);
        let started = Instant::now();
        let swept = store.sweep(Budget::ALL).wait()?;
        took += started.elapsed();
        rows += swept.rows;
        println!(
            "  after {what}: {} rows in {} windows cut, {} left",
            swept.rows,
            swept.windows,
            store.stats().rows_total()
        );
    }
    let stats = store.stats();
    let left: u64 = [Code::KIND, Token::KIND, Personal::KIND, Family::KIND]
        .into_iter()
        .map(|kind| stats.rows_of(kind))
        .sum();
    tally.promise("nothing that has died is left", left == 0);
    let by_itself = stats.swept_rows.saturating_sub(rows);
    tally.fact("rows swept", (rows + by_itself).to_string());
    if rows > 0 {
        let each = took.as_secs_f64() * 1e6 / rows as f64;
        tally.fact("swept, each row", format!("{each:.2} us"));
    }
    Ok(())
}
