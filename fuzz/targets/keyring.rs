//! Keyrings, as text and as files.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantkeep_fuzz::keyring::run(data));
