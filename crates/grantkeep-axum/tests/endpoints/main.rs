//! The endpoints, each held against its RFC: what they answer, and what they refuse.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod admin;
mod authorize;
mod bearer;
mod example;
mod guessing;
mod refused;
mod single;
mod token;
mod world;
