//! The demonstration: the main job on real input, from the first code to the last window cut.

mod aging;
mod flows;
mod grants;
mod killing;
mod rules;
mod table;
mod tally;
pub(crate) mod victim;

use crate::clock::MovedClock;
use crate::made::MadeDir;
use grantkeep::{Options, Store};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tally::Tally;

/// What stops the demonstration: an error, or a promise that does not hold.
pub(crate) type Stop = Box<dyn Error>;

/// The same from a worker's thread.
type Wrong = Box<dyn Error + Send + Sync>;

/// The log's budget: short, so that rows are carried and segments reused while one looks on.
const LOG_BUDGET_BYTES: u64 = 64 << 20;

/// Says that a directory was made for a demonstration that goes on: the process that is killed
/// works in no other.
pub(crate) const MARK_FILE: &str = "demonstration";

/// Plays everything on a store in `dir`, which it makes, or in a temporary directory.
pub(crate) fn run(dir: Option<&Path>, count: u64, tasks: u64) -> Result<(), Stop> {
    let made = match dir {
        Some(dir) => MadeDir::new(dir).map_err(|cause| {
            let dir = dir.display();
            format!("cannot make {dir}, name a directory that is not there yet: {cause}")
        })?,
        None => MadeDir::temporary().map_err(|cause| {
            format!("cannot make a temporary directory, name another with --dir: {cause}")
        })?,
    };
    let kept = dir.is_some();
    let dir = made.path().to_path_buf();
    let clock = Arc::new(MovedClock::new(0));
    let store = options(&clock).open(&dir)?;
    let mark = dir.join(MARK_FILE);
    std::fs::write(&mark, "")?;
    println!(
        "Grantkeep: four systems, {count} flows each, {tasks} at a time, every answer durable"
    );
    let mut tally = Tally::default();
    flows::play(&store, count, tasks, &mut tally)?;
    rules::play(&store, &mut tally)?;
    grants::play(&store, &mut tally)?;
    table::measure_store(&store, &dir, &mut tally);
    store.close()?;
    drop(store);
    let store = killing::play(&dir, &clock, &mut tally)?;
    aging::play(&store, &clock, &mut tally)?;
    store.close()?;
    println!("\n{}", table::draw(&tally));
    if kept {
        std::fs::remove_file(&mark)?;
        made.keep();
        println!("The store is kept in {}", dir.display());
    }
    match tally.broken() {
        [] => Ok(()),
        [one] => Err(format!("1 promise did not hold: {one}"))?,
        broken => Err(format!("{} promises did not hold: {}", broken.len(), broken.join("; ")))?,
    }
}

/// How the demonstration opens its store, and its victim too.
fn options(clock: &Arc<MovedClock>) -> Options {
    Store::options().clock(clock.clone()).log_budget_bytes(LOG_BUDGET_BYTES)
}
