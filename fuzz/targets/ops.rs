//! Operations of the engine against plain maps.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantkeep_fuzz::ops::run(data));
