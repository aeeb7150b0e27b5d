//! The system's clock: accepted by a store that does not believe it, and ahead by as much as the
//! demonstration has moved time.

use grantkeep::{Clock, Result, Store, SystemClock};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Has the store in `dir` go by the clock as it is now, if it does not yet.
pub(crate) fn accept(dir: &Path) -> Result<()> {
    let shown = dir.display();
    let store = Store::options().create(false).in_passing(true).open(dir)?;
    let Some(ahead) = store.clock_ahead() else {
        println!("{shown} believes the clock as it is: nothing was changed");
        return store.close();
    };
    let (ended, all) = (store.rows_ended_by(SystemTime::now()), store.stats().rows_total());
    let (days, seconds) = (ahead.as_secs() / 86_400, ahead.as_secs());
    println!("The clock is {days} days ({seconds} s) ahead of the largest time {shown} has seen.");
    println!("Accepting it will");
    println!("  end at least {ended} of {all} rows, which expire by then and are swept next");
    println!("  let the store issue again, with that time as the least from now on, for good");
    store.accept_clock();
    store.close()?;
    println!("Done: {shown} goes by the clock as it is");
    Ok(())
}

/// A clock that can be moved forward.
#[derive(Debug)]
pub(crate) struct MovedClock {
    system: SystemClock,
    ahead_ms: AtomicU64,
}

impl MovedClock {
    pub(crate) fn new(ahead_ms: u64) -> Self {
        Self { system: SystemClock::new(), ahead_ms: AtomicU64::new(ahead_ms) }
    }

    /// Lets `time` pass at once.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn ahead_ms(&self) -> u64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms())
    }
}

impl Clock for MovedClock {
    fn wall(&self) -> SystemTime {
        self.system.wall() + self.ahead()
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic() + self.ahead()
    }
}
