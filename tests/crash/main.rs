//! Processes killed at work, at random and at chosen system calls; system calls that fail; many
//! processes at one store.

mod calls;
mod kills;
mod openers;
mod traced;

/// The program that is started and killed.
const CHILD: &str = env!("CARGO_BIN_EXE_child");

/// How much a suite does, by a variable of the environment.
fn scale(variable: &str, by_default: u64) -> u64 {
    std::env::var(variable).map_or(by_default, |number| number.parse().unwrap())
}

/// A seed that differs from run to run; printed by who uses it.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let nanos = u64::from(now.subsec_nanos());
    scale("GRANTKEEP_KILL_SEED", now.as_secs() << 30 ^ nanos ^ u64::from(std::process::id()))
}
