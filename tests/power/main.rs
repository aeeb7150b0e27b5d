//! Real file systems: their power cut, their device failing, their last block taken.

mod cuts;
mod full;
mod trap;

use std::time::{SystemTime, UNIX_EPOCH};

/// The program that works on them.
const CHILD: &str = env!("CARGO_BIN_EXE_child");

/// How much a suite does, by a variable of the environment.
fn scale(variable: &str, by_default: u64) -> u64 {
    std::env::var(variable).map_or(by_default, |number| number.parse().unwrap())
}

/// A seed that differs from run to run; printed by who uses it.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    scale("GRANTKEEP_POWER_SEED", now.as_secs() << 30 ^ u64::from(now.subsec_nanos()))
}
