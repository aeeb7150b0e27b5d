//! The engines that are compared, each as a good engineer would set it up in an afternoon: durable
//! when it answers, with an index by expiry, swept in batches, filters and caches set.

mod fjall;
mod grantkeep;
mod lmdb;
pub(crate) mod postgres;
mod redb;
pub(crate) mod redis;
#[cfg(feature = "rocksdb")]
mod rocksdb;
pub(crate) mod server;
mod sqlite;

use crate::engine::Contender;

/// The store.
pub(crate) const STORE: &str = grantkeep::CONTENDER.name;

/// The two that are servers.
pub(crate) const POSTGRES: &str = postgres::CONTENDER.name;
pub(crate) const REDIS: &str = redis::CONTENDER.name;

/// All engines, the store first.
pub(crate) fn all() -> Vec<Contender> {
    vec![
        grantkeep::CONTENDER,
        #[cfg(feature = "rocksdb")]
        rocksdb::CONTENDER,
        lmdb::CONTENDER,
        redb::CONTENDER,
        fjall::CONTENDER,
        sqlite::CONTENDER,
        redis::CONTENDER,
        postgres::CONTENDER,
    ]
}

/// The names that may be asked for.
pub(crate) fn names() -> Vec<&'static str> {
    all().iter().map(|contender| contender.name).collect()
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::engine::Setup;
    use crate::run::load;
    use crate::workload::{Shape, Text, millis, now_ms};
    use ::grantkeep::{ManualClock, Wait as _};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    // Goal: every engine does all of the work it is compared by: what is issued is found, what is
    // not is not, a family moves on, and what has died goes, and nothing else. Method: a small load
    // that dies, a pair that does not, a rotation, a sweep with the clock put on.
    #[test]
    fn engines_do_what_they_are_compared_by() {
        const DEAD: u64 = 300;
        for contender in all() {
            if let Some(why) = (contender.missing)() {
                println!("skipped because {why}");
                continue;
            }
            let scratch = grantkeep_benches::Scratch::new();
            let dir = scratch.path("engine");
            std::fs::create_dir(&dir).unwrap();
            let clock = Arc::new(ManualClock::at(SystemTime::now()));
            let engine = (contender.open)(&Setup::new(dir).on(&clock));
            let lifetime = Duration::from_secs(600);
            let dying = Shape::living(300, lifetime);
            load(&*engine, 0..DEAD, |_| dying);
            engine.write(Shape::lasting(300).pair(DEAD, engine.now_ms()));
            let rotation = Shape::lasting(300).rotation(DEAD, DEAD + 1, engine.now_ms());
            engine.write_async(rotation).wait();
            let mut reader = engine.reader();
            let dies_ms = reader.look_up(&Text::of(DEAD)).unwrap();
            assert!(dies_ms > engine.now_ms(), "{}", contender.name);
            for (number, there) in
                [(0, true), (DEAD - 1, true), (DEAD + 1, true), (DEAD + 2, false)]
            {
                let found = reader.look_up(&Text::of(number));
                assert_eq!(found.is_some(), there, "{}: token {number}", contender.name);
            }
            clock.advance(2 * lifetime);
            let swept = engine.sweep(now_ms() + millis(2 * lifetime));
            if contender.name != "Redis" {
                assert_eq!(swept, 2 * DEAD, "{}", contender.name);
                assert_eq!(reader.look_up(&Text::of(0)), None, "{}", contender.name);
            }
            assert!(reader.look_up(&Text::of(DEAD)).is_some(), "{}", contender.name);
            engine.settle();
            println!("{}: loaded, issued, rotated, looked up, swept", contender.name);
        }
    }
}
