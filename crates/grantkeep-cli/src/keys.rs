//! The root keys in a store's keyring file.

use clap::Subcommand;
use grantkeep::{Options, Result, Store, Wait as _};
use std::path::{Path, PathBuf};

/// What is done with the root keys of a store that no other process has open.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Lists the ids of the root keys, the active one first
    List {
        /// The store's directory
        dir: PathBuf,
    },
    /// Adds a root key, which issues from then on; a running server calls `Store::rotate_keyring`
    Rotate {
        /// The store's directory
        dir: PathBuf,
    },
    /// Removes a root key: nothing that was issued under it validates any more. A running server
    /// calls `Store::retire_key`
    Retire {
        /// The store's directory
        dir: PathBuf,
        /// The id of the key, as `list` prints it; not the active one
        id: u32,
    },
}

/// Does what was asked for.
pub(crate) fn run(keys: &Keys) -> Result<()> {
    match keys {
        Keys::List { dir } => with_store(options().read_only(true), dir, |_| Ok(())),
        Keys::Rotate { dir } => with_store(options(), dir, |store| store.rotate_keyring().wait()),
        Keys::Retire { dir, id } => with_store(options(), dir, |store| {
            store.retire_key(*id).wait()?;
            println!("key {id} is gone from the keyring file; keep a copy of it, apart, for as");
            println!("long as a backup may be restored that was made under it");
            Ok(())
        }),
    }
}

fn options() -> Options {
    Store::options().create(false).by_itself(false)
}

/// Opens the store, and prints its keys when `work` is done.
fn with_store(options: Options, dir: &Path, work: impl FnOnce(&Store) -> Result<()>) -> Result<()> {
    let store = options.open(dir)?;
    work(&store)?;
    let keyring = store.keyring();
    store.close()?;
    for (place, key) in keyring.newest_first().enumerate() {
        let role = if place == 0 { "active: it issues" } else { "verifies what it issued" };
        println!("key {}: {role}", key.id());
    }
    Ok(())
}
