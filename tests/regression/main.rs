//! Faults that were found once, each with the test that keeps it away.

mod carried_gap;
mod carried_once;
mod dead_slice;
mod free_segments;
mod many_windows;
