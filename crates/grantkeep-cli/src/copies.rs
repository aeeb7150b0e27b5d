//! Backups, and stores made from them.

use crate::made::MadeDir;
use grantkeep::backend::Stats;
use grantkeep::{BACKUP_FILE, Client, Error, ErrorKind, Record as _, Result, Store, Wait as _};
use std::path::Path;

/// Copies the store in `dir` into a new directory, which is removed again if that fails.
pub(crate) fn backup(dir: &Path, to: &Path) -> Result<()> {
    let store = Store::options().create(false).in_passing(true).open(dir)?;
    let made = MadeDir::new(to).map_err(|cause| refused(to, cause))?;
    store.backup(to).wait()?;
    made.keep();
    store.close()?;
    println!("{} is a backup of {}, without the keyring", to.display(), dir.display());
    println!(
        "Keep the keyring apart from it. To restore: copy the backup into an empty directory, put \
         the keyring into it, and run `grantkeep restore` on it."
    );
    Ok(())
}

fn refused(to: &Path, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::AlreadyExists => ErrorKind::NotAStore,
        std::io::ErrorKind::NotFound => ErrorKind::Missing,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        _ => ErrorKind::Io,
    };
    let to = to.display();
    Error::new(kind, format!("cannot make {to}: name a directory that is not there yet"))
        .with_source(cause)
}

/// Makes the backup in `dir` a store that refuses what was issued before.
pub(crate) fn restore(dir: &Path, force: bool) -> Result<()> {
    let shown = dir.display();
    // The open looks again, once nobody else can change it.
    let is_backup = dir.join(BACKUP_FILE).exists();
    if is_backup || force {
        let what = if is_backup { "the backup" } else { "what is no backup, as --force says," };
        println!("Restoring {what} in {shown} will");
        println!("  read all of it, and change nothing if any of it is damaged");
        println!("  refuse every code, token, and grant that was issued before, for good");
        println!("  have every client wait until it is enabled");
    }
    let options = Store::options().restored(true).backup_only(!force).in_passing(true);
    let store = options.open(dir).map_err(|cause| explained(dir, cause))?;
    let clients = clients(&store.stats());
    let fence = store.fence();
    store.close()?;
    println!("Done: {shown} is a store");
    if let Some(fence) = fence {
        let at_ms = fence.at().as_millis();
        println!("  what was issued before now ({at_ms} ms since 1970) is refused");
    }
    println!("  clients that wait to be enabled, or were disabled before: {clients}");
    println!(
        "Clients are enabled one by one by `Grants::enable_client`, in the server, once each is \
         known to be trusted still; `Grants::clients` lists them."
    );
    Ok(())
}

fn clients(stats: &Stats) -> u64 {
    stats.rows_of(Client::KIND)
}

/// The refusal of what is no backup, with the way to insist.
fn explained(dir: &Path, cause: Error) -> Error {
    if cause.kind() != ErrorKind::NotAStore || !dir.join("table.redb").exists() {
        return cause;
    }
    Error::new(
        ErrorKind::NotAStore,
        format!("{cause}; if it is a copy that was made by other means, say so with --force"),
    )
}
