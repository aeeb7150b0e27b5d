//! Policies as files.

use grantkeep::Result;
use grantkeep_grants::{Policy, Profile};
use std::path::Path;

/// Prints the shipped policy of this name, or the one in a file if it holds, with every field that
/// it leaves to the default.
pub(crate) fn print(name: Option<&str>, check: Option<&Path>) -> Result<()> {
    let policy = match (name, check) {
        (Some(name), _) => Profile::named(name)?,
        (None, Some(path)) => Policy::load(path)?,
        (None, None) => Policy::default(),
    };
    print!("{}", policy.to_toml()?);
    Ok(())
}
