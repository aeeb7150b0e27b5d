//! What the demonstration has counted.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long each operation of one name took, in microseconds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Timings(pub(crate) Vec<u32>);

impl Timings {
    /// The time that this share of them stayed within.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
        // A share of a count is within the count.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = (f64::from(count.saturating_sub(1)) * share).round() as usize;
        Duration::from_micros(u64::from(sorted.get(at).copied().unwrap_or(0)))
    }
}

/// Everything that the last table shows.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) operations: BTreeMap<&'static str, Timings>,
    /// The time in which all of them were played, side by side.
    pub(crate) span: Duration,
    pub(crate) facts: Vec<(String, String)>,
    broken: Vec<String>,
}

impl Tally {
    /// Notes a fact for the table.
    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    /// Notes a promise that must hold, and says so if it does not.
    pub(crate) fn promise(&mut self, what: impl Into<String>, holds: bool) {
        let what = what.into();
        let mark = if holds { "ok    " } else { "BROKEN" };
        println!("  {mark} {what}");
        if !holds {
            self.broken.push(what);
        }
    }

    /// The promises that did not hold.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Adds what one worker timed.
    pub(crate) fn add(&mut self, name: &'static str, took_us: Vec<u32>) {
        self.operations.entry(name).or_default().0.extend(took_us);
    }
}
