//! The pages, as browsers see them: who is shown what, which forms count, and what they do.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod bounds;
mod browser;
mod browsers;
mod connected;
mod dashboard;
mod devices;
mod editing;
mod forms;
mod frame;
mod keys;
mod market;
mod operators;
mod passwords;
mod signing;
