//! Bytes of the log's segments.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantkeep_fuzz::log::run(data));
