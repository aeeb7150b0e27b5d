//! What the fuzz targets do with their input, a module for each. They panic where a promise is
//! broken. A target's `main` only calls its module, so that the committed corpora are replayed by
//! an ordinary test as well.

#[cfg(test)]
mod corpora;
mod frames;
pub mod grants;
mod input;
pub mod keyring;
pub mod log;
pub mod ops;
pub mod profile;
mod record;
pub mod table;
pub mod texts;
mod visit;
mod written;

// The model of the `model` suite: one machine for random cases and for fuzzed ones. It names its
// neighbors from the root of its crate, so they stand here.
#[path = "../../tests/model/machine.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod machine;
#[path = "../../tests/model/plan.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod plan;
#[path = "../../tests/model/residue.rs"]
mod residue;

/// A target: its name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 7] = [
    ("grants", grants::run),
    ("keyring", keyring::run),
    ("log", log::run),
    ("ops", ops::run),
    ("profile", profile::run),
    ("table", table::run),
    ("texts", texts::run),
];
