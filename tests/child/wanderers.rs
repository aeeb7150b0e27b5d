//! Processes that change what belongs to the whole process while a store is open: the working
//! directory, and the limit on the length of files.

use grantkeep::{Result, Store, Wait as _};
use grantkeep_tests::samples;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn commit(store: &Store, name: &str) -> Result<()> {
    let mut change = store.change()?;
    let at = store.now().saturating_add(DAY);
    change.insert(samples::id(name), &samples::code(name, "alice"), at)?;
    store.commit(change).wait().map(|_| ())
}

/// Opens `store` in a directory by a relative path, and does everything from another one.
pub fn wander(place: &Path) {
    std::env::set_current_dir(place).unwrap();
    let options = Store::options().reserve_bytes(1 << 20).log_budget_bytes(2 << 20);
    let store = options.open("store").unwrap();
    commit(&store, "at home").unwrap();
    std::fs::create_dir("elsewhere").unwrap();
    std::env::set_current_dir("elsewhere").unwrap();
    for number in 0..3_000 {
        commit(&store, &format!("away-{number}")).unwrap();
    }
    store.checkpoint().wait().unwrap();
    store.rotate_keyring().wait().unwrap();
    store.backup("copy").wait().unwrap();
    let inside = store.backup("../store/copy").wait().map_err(|error| error.to_string());
    println!("{}", inside.unwrap_err());
    std::thread::sleep(Duration::from_millis(300));
    commit(&store, "at last").unwrap();
    store.close().unwrap();
    let names = std::fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name());
    println!("{:?}", names.collect::<Vec<_>>());
}

fn limit(bytes: u64) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum }).unwrap();
}

/// Opens a store under a limit on the length of files, and commits under another until it is
/// refused.
pub fn limited(dir: &Path, before: u64, after: u64) {
    limit(before);
    let store = match Store::open(dir) {
        Ok(store) => store,
        Err(error) => return println!("{:?}: {error}", error.kind()),
    };
    commit(&store, "before").unwrap();
    println!("open");
    limit(after);
    let refused = (0..u64::MAX).find_map(|number| commit(&store, &number.to_string()).err());
    println!("{:?}", refused.unwrap().kind());
}
