//! The flows of oxide-auth and of oxide-auth-async over a store on disk that is closed and opened
//! again between any two steps.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(feature = "async")]
mod asynchronous;
mod client_credentials;
mod code_flow;
mod primitives;
mod refresh_flow;
mod registrar;
mod taggers;
mod world;
