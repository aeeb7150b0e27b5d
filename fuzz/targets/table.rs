//! Keys and values of the table.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantkeep_fuzz::table::run(data));
