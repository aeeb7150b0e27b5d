//! Latencies in buckets of an eighth of an octave: 9% wide, from a microsecond up.

use crate::sync::{Ordering, Tally};
use std::time::Duration;

const PER_OCTAVE: u64 = 8;
const BUCKETS: usize = 256;

#[derive(Debug)]
pub(crate) struct Latencies(Box<[Tally]>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self((0..BUCKETS).map(|_| Tally::new(0)).collect())
    }

    pub(crate) fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        let octave = u64::from(us.ilog2());
        let part = (us << 3 >> octave) & (PER_OCTAVE - 1);
        let at = usize::try_from(octave * PER_OCTAVE + part).unwrap_or(BUCKETS);
        if let Some(bucket) = self.0.get(at.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The latency that this share (0 to 1) of all stays below; zero without any.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let mut left = total as f64 * share;
        for (at, count) in counts.iter().enumerate() {
            left -= *count as f64;
            if *count > 0 && left <= 0.0 {
                let (octave, part) = (at / 8, at % 8);
                let us = (octave as f64).exp2() * (1.0 + (part + 1) as f64 / PER_OCTAVE as f64);
                return Duration::from_secs_f64(us / 1e6);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: quantiles are within a bucket of the truth. Method: 1 to 1,000 us, once each.
    #[test]
    fn quantiles_are_within_a_bucket() {
        let latencies = Latencies::new();
        for us in 1..=1_000 {
            latencies.record(Duration::from_micros(us));
        }
        let median = latencies.quantile(0.5).as_micros();
        let p99 = latencies.quantile(0.99).as_micros();
        assert!((480..=580).contains(&median), "{median}");
        assert!((950..=1_130).contains(&p99), "{p99}");
    }
}
