//! Calls of the grants against their reference.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantkeep_fuzz::grants::run(data));
