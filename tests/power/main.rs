//! Real file systems: their power cut, their device failing, their last block taken.

mod cuts;
mod full;
mod trap;

/// The program that works on them.
const CHILD: &str = env!("CARGO_BIN_EXE_child");
