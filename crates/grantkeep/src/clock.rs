//! Where time comes from, and the stored unit of time.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest lifetime a store may be set to, and the longest any row may have: 100 years.
pub const LIFETIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The longest lifetime of a row unless the store is set otherwise: 10 years.
pub const LIFETIME_DEFAULT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A point in time as it is stored: milliseconds since the Unix epoch, never before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The largest representable time; no row may expire this late.
    pub const MAX: Self = Self(u64::MAX);

    /// The expiry of what is kept until it is removed by hand, such as a client: no row may expire
    /// later, and only this one may lie further off than a store's longest lifetime.
    pub const NEVER: Self = Self(u64::MAX / 4);

    /// The time that lies `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time `duration` later, or [`Timestamp::MAX`] where that is not representable.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The time `duration` earlier, or the Unix epoch.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How much later this is than `earlier`; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Fractions of a millisecond are cut off; times before the Unix epoch become the epoch.
    fn from(time: SystemTime) -> Self {
        Self(millis(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

impl From<Timestamp> for SystemTime {
    /// Times past the range of [`SystemTime`] become the Unix epoch plus 2^63 - 1 seconds or less.
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_millis(time.0)).unwrap_or(UNIX_EPOCH)
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A source of time. The store reads no other.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day; it may step in either direction.
    fn wall(&self) -> SystemTime;

    /// Time since some fixed moment of this process; it never goes back.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until a test moves it.
///
/// ```
/// use grantkeep::{Clock, ManualClock};
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
///
/// let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.wall(), UNIX_EPOCH + Duration::from_secs(1_005));
/// assert_eq!(clock.monotonic(), Duration::from_secs(5));
/// ```
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(SystemTime, Duration)>,
}

impl ManualClock {
    /// A clock that shows `wall`, with a monotonic time of zero.
    pub fn at(wall: SystemTime) -> Self {
        Self { now: Mutex::new((wall, Duration::ZERO)) }
    }

    /// Lets time pass: the wall and the monotonic clock both move on by `by`.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 += by;
        now.1 += by;
    }

    /// Steps the wall clock to `wall`, forward or back, while no time passes.
    pub fn step_to(&self, wall: SystemTime) {
        self.lock().0 = wall;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (SystemTime, Duration)> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}
