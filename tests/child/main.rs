//! The processes that the suites start in order to kill them, or to have them in the way.

mod openers;
mod pressed;
mod wanderers;
mod work;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        ["work", dir, notes, round, seed, threads, operations, reserve_bytes, traced] => {
            work::run(&work::Life {
                dir: Path::new(dir),
                notes: Path::new(notes),
                round: round.parse().unwrap(),
                seed: seed.parse().unwrap(),
                threads: threads.parse().unwrap(),
                operations: operations.parse().unwrap(),
                reserve_bytes: reserve_bytes.parse().unwrap(),
                traced: traced.parse().unwrap(),
            })
        }
        ["hold", dir] => openers::hold(Path::new(dir)),
        ["look", dir] => openers::look(Path::new(dir)),
        ["env", dir, name] => openers::open_by_environment(Path::new(dir), name),
        ["open", dir] => openers::open_when_told(Path::new(dir)),
        ["spawn", dir] => openers::spawn(Path::new(dir)),
        ["fork", dir] => openers::fork(Path::new(dir)),
        ["fork-on", dir] => openers::fork_on(Path::new(dir)),
        ["strict", dir] => openers::open_strictly(Path::new(dir)),
        ["wander", place] => wanderers::wander(Path::new(place)),
        ["limited", dir, before, after] => {
            wanderers::limited(Path::new(dir), before.parse().unwrap(), after.parse().unwrap())
        }
        ["pressed", seconds, seed] => {
            let lasts = std::time::Duration::from_secs(seconds.parse().unwrap());
            pressed::play_rounds(None, lasts, seed.parse().unwrap());
        }
        ["pressed", seconds, seed, place, mib] => {
            let lasts = std::time::Duration::from_secs(seconds.parse().unwrap());
            let place = Some((Path::new(place), mib.parse().unwrap()));
            pressed::play_rounds(place, lasts, seed.parse().unwrap());
        }
        _ => panic!(
            "child work DIR NOTES ROUND SEED THREADS OPERATIONS RESERVE_BYTES TRACED \
             | env DIR NAME | hold DIR | look DIR | open DIR | spawn DIR | fork DIR | fork-on DIR \
             | strict DIR | wander PLACE | limited DIR BYTES_BEFORE BYTES_AFTER \
             | pressed SECONDS SEED [PLACE MIB]"
        ),
    }
}
