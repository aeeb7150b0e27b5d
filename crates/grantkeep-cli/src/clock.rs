//! The system's clock, ahead by as much as the demonstration has moved time.

use grantkeep::{Clock, SystemClock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

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
