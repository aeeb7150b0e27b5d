//! The whole embedded engine on a model checker, which decides at each lock, atomic, and wait which
//! thread goes on: the schedules that threads of an operating system meet once in a year.

extern crate grantkeep_checked as grantkeep;

mod backing;
mod carrying;
mod closing;
mod evicting;
mod explore;
mod failing;
mod joining;
mod planted;
#[path = "../../src/pseudorandom.rs"]
#[allow(dead_code, unreachable_pub)]
mod pseudorandom;
mod racing;
mod reading;
mod replay;
mod reusing;
#[path = "../../src/sim_disk/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod sim_disk;
mod stepping;
mod sweeping;
mod world;
