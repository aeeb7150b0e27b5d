//! How long and how large a run is.

use std::time::Duration;

const SECONDS: f64 = 150.0;

/// The length of a run, as a part of the default one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale(f64);

impl Scale {
    /// As the environment says.
    pub(crate) fn from_environment() -> Self {
        let seconds = std::env::var("GRANTKEEP_BENCH_SECONDS").ok();
        let seconds: Option<f64> = seconds.and_then(|seconds| seconds.parse().ok());
        Self(seconds.filter(|seconds| *seconds > 0.0).unwrap_or(SECONDS) / SECONDS)
    }

    /// How long a turn lasts that takes so many milliseconds by default.
    pub(crate) fn turn(&self, default_ms: u64) -> Duration {
        Duration::from_millis(default_ms).mul_f64(self.0).max(Duration::from_millis(50))
    }

    /// How many rows there are where there are so many by default; a longer run has no more.
    pub(crate) fn rows(&self, default: u64) -> u64 {
        ((default as f64 * self.0.min(1.0)) as u64).max(2_000)
    }
}
