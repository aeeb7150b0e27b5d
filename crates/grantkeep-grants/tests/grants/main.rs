//! The grants over the memory engine: each outcome, each race, each profile.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// A duration that underflows is a test that fails.
#![allow(clippy::unchecked_time_subtraction)]

mod audience;
mod binding;
mod bound;
mod brought;
mod check;
mod claiming;
mod client_credentials;
mod clients;
mod clients_disabled;
mod clients_on_disk;
mod clients_policies;
mod clients_secrets;
mod device;
mod device_races;
mod device_times;
mod disk;
mod events;
mod grace;
mod interleaving;
mod interposed;
mod introspection;
#[cfg(feature = "serde")]
mod json;
mod last_use;
mod lengths;
mod opening;
mod others;
mod pairs;
mod payload;
mod personal;
mod policy;
mod profiles;
mod pushed;
mod races;
mod redaction;
mod redemption;
mod refreshing;
mod repeats;
mod replay_guard;
mod revocation;
mod rotation_of_keys;
mod sessions;
mod shortened;
#[cfg(feature = "hashed-secrets")]
mod transfer_clients;
#[cfg(feature = "transfer")]
mod transfer_held;
#[cfg(feature = "transfer")]
mod transfer_in;
#[cfg(feature = "transfer")]
mod transfer_out;
#[cfg(feature = "transfer")]
mod transfer_twice;
mod world;
