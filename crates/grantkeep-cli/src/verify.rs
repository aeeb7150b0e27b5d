//! Reading a store again, all of it.

use grantkeep::{Error, ErrorKind, Result, Store, Verifying, Wait as _};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;

/// Verifies the store in `dir`, and says what is there and what is damaged. Nothing of it is
/// changed for that, and it takes no keys.
pub(crate) fn verify(dir: &Path) -> Result<()> {
    let store = Store::options().open_without_keys(dir)?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("  {msg:<8} [{bar:32}] {pos:>10}/{len}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let tell = move |progress: Verifying| {
        shown.set_message(progress.part);
        shown.set_length(progress.total.max(progress.done));
        shown.set_position(progress.done);
    };
    let found = store.verify(tell).wait();
    bar.finish_and_clear();
    let found = found?;
    for (name, count) in [
        ("blocks", found.blocks),
        ("rows in blocks", found.block_rows),
        ("rows by id", found.rows),
        ("index terms", found.terms),
        ("frames of the log", found.frames),
        ("index entries", found.index_entries),
        ("damages", found.damages),
    ] {
        println!("{name:<24}{count:>16}");
    }
    for damage in &found.named {
        println!("  {damage}");
    }
    store.close()?;
    if found.damages == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        format!(
            "{} is damaged in {} places: restore a backup into an empty directory",
            dir.display(),
            found.damages
        ),
    ))
}
