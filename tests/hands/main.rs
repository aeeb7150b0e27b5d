//! Careless hands: what people and scripts do to the directory of a store, while it is open and
//! while it is not.

mod copies;
mod directories;
mod limits;
mod locks;
mod looking;
mod names;

use grantkeep::{Code, Result, Store, Wait as _};
use grantkeep_tests::samples;
use std::time::{Duration, Instant};

const CHILD: &str = env!("CARGO_BIN_EXE_child");
const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than anything that a test waits for takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn options() -> grantkeep::Options {
    Store::options().reserve_bytes(0).log_budget_bytes(2 << 20)
}

fn commit(store: &Store, name: &str) -> Result<()> {
    let mut change = store.change()?;
    let until = store.now().saturating_add(HOUR);
    change.insert(samples::id(name), &samples::code(name, "alice"), until)?;
    store.commit(change).wait().map(|_| ())
}

fn holds(store: &Store, name: &str) -> bool {
    store.get::<Code>(samples::id(name)).wait().unwrap().is_some()
}

/// Waits until the store has stopped; what it says then.
fn stopped(store: &Store) -> String {
    let started = Instant::now();
    for number in 0.. {
        if let Err(error) = commit(store, &format!("until-it-stops-{number}")) {
            return error.to_string();
        }
        assert!(started.elapsed() < DEADLINE, "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    unreachable!("numbers do not end");
}

/// Lets the store look around several times; it must still take work.
fn goes_on(store: &Store) {
    for round in 0..4 {
        std::thread::sleep(Duration::from_millis(100));
        commit(store, &format!("goes-on-{round}")).unwrap();
    }
}
