//! The processes that the suites start in order to kill them, or to have them in the way.

mod work;

use grantkeep::{KeySource, Store};
use std::io::Read as _;
use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        ["work", dir, ledger, known, round, seed] => {
            let (round, seed) = (round.parse().unwrap(), seed.parse().unwrap());
            work::run(Path::new(dir), Path::new(ledger), Path::new(known), round, seed);
        }
        ["hold", dir] => hold(Path::new(dir)),
        ["env", dir, name] => open_by_environment(Path::new(dir), name),
        _ => panic!("child work DIR LEDGER KNOWN ROUND SEED | hold DIR | env DIR NAME"),
    }
}

/// Has a store open until standard input ends.
fn hold(dir: &Path) {
    let store = Store::options().reserve_bytes(0).log_budget_bytes(2 << 20).open(dir).unwrap();
    println!("open");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    store.close().unwrap();
}

/// Opens a store with the keyring of an environment variable, and tells what came of it.
fn open_by_environment(dir: &Path, name: &str) {
    let options = Store::options().reserve_bytes(0).log_budget_bytes(2 << 20);
    match options.keys(KeySource::Env(name.to_owned())).open(dir) {
        Ok(store) => println!("open {:?}", store.keyring()),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}
