//! Faults that were found once, each with the test that keeps it away.

mod asked_while_full;
mod carried_gap;
mod carried_once;
mod dead_slice;
mod failed_close;
mod failed_publish;
mod free_segments;
mod idle_note;
mod look_beside_a_full_table;
mod lost_tail;
mod many_windows;
mod outlived;
mod thread_local;
