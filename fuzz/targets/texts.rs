//! Presented texts.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantkeep_fuzz::texts::run(data));
