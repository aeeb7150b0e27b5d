//! Processes killed at work, at random and at chosen system calls; system calls that fail; many
//! processes at one store.

mod calls;
mod kills;
mod openers;
mod traced;

/// The program that is started and killed.
const CHILD: &str = env!("CARGO_BIN_EXE_child");
