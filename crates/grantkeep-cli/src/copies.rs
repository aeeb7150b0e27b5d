//! Backups, and stores made from them.

use grantkeep::{Result, Store, Wait as _};
use std::path::Path;

/// Copies the store in `dir` into a new directory.
pub(crate) fn backup(dir: &Path, to: &Path) -> Result<()> {
    let store = Store::options().create(false).open(dir)?;
    store.backup(to).wait()?;
    store.close()?;
    println!("{} is a backup of {}, without the keyring", to.display(), dir.display());
    println!("Keep the keyring apart from it; `grantkeep restore` makes it a store again.");
    Ok(())
}

/// Makes the backup in `dir` a store that refuses what was issued before.
pub(crate) fn restore(dir: &Path) -> Result<()> {
    let store = Store::options().restored(true).open(dir)?;
    store.close()?;
    println!("{} is a store: what was issued before is refused from now on", dir.display());
    Ok(())
}
