//! `grantkeep serve` as its clients meet it: killed and stopped under load, with connections that
//! do nothing, and with clients and people from files.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod connection;
mod given;
mod kill;
mod ledger;
mod logged;
mod memory;
mod printed;
mod server;
mod slow;
mod stop;
mod told;

const PROGRAM: &str = env!("CARGO_BIN_EXE_grantkeep");
