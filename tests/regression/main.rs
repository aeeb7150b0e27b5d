//! Faults that were found once, each with the test that keeps it away.

mod carried_gap;
mod carried_once;
mod dead_slice;
mod failed_close;
mod failed_publish;
mod free_segments;
mod idle_note;
mod lost_tail;
mod many_windows;
mod thread_local;
