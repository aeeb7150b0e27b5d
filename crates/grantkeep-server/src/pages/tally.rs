//! What happens in a second, kept for some minutes: what the dashboard draws.
//!
//! 1. Events are taken from a bounded subscription a few times a second, and added to totals that
//!    only grow. While more happens than it holds, the rest is not counted, and how much that was
//!    is shown. What was looked up, and what was refused, is counted where it is answered.
//! 2. Once a second the totals go into a ring of [`SAMPLES`], with what the store says of itself.
//!    A rate is the difference of two samples by the time between them, so that a late sample
//!    falsifies nothing.
//! 3. The task that does this holds the people weakly, and ends when they are gone: it keeps no
//!    store open.

use crate::people::People;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use grantkeep_grants::{Event, Subscription};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Samples that are kept: five minutes, at one a second.
pub(crate) const SAMPLES: usize = 300;
/// Events that wait to be counted.
const WAITING: usize = 1 << 14;
/// How often they are counted, and every which time a sample is taken.
const COUNTED_EVERY: Duration = Duration::from_millis(250);
const SAMPLED_EVERY: u64 = 4;

/// What has been counted since the server started.
#[derive(Default)]
pub(crate) struct Tally {
    issued: AtomicU64,
    redeemed: AtomicU64,
    refreshed: AtomicU64,
    refused: AtomicU64,
    looked_up: AtomicU64,
    missed: AtomicU64,
    samples: Mutex<VecDeque<Sample>>,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").finish_non_exhaustive()
    }
}

/// The totals at one moment, and what the store said of itself then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sample {
    /// When it was taken, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Codes, approved devices, and tokens without a code.
    pub(crate) issued: u64,
    pub(crate) redeemed: u64,
    pub(crate) refreshed: u64,
    /// Requests to the endpoints and to the API that were refused.
    pub(crate) refused: u64,
    /// Tokens that were introspected, or presented to the API.
    pub(crate) looked_up: u64,
    pub(crate) commit_p50_us: u64,
    pub(crate) commit_p99_us: u64,
    pub(crate) rows: u64,
    pub(crate) disk_bytes: u64,
    /// Of the store: its index, and the rows that it keeps for reading.
    pub(crate) memory_bytes: u64,
    /// Windows of time that hold rows.
    pub(crate) windows: u64,
    pub(crate) sweep_lag_ms: u64,
}

impl Tally {
    /// The samples after a moment, oldest first.
    pub(crate) fn samples_after(&self, after_ms: u64) -> Vec<Sample> {
        self.samples.lock().iter().filter(|sample| sample.at_ms > after_ms).copied().collect()
    }

    /// Events that were not counted.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn note(&self, event: &Event) {
        let total = match event {
            Event::Issued { .. } | Event::Authorized { .. } => &self.issued,
            Event::Redeemed { .. } | Event::Repeated { .. } => &self.redeemed,
            Event::Rotated { .. } | Event::Retried { .. } => &self.refreshed,
            _ => return,
        };
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how a request to an endpoint was answered.
    fn answered(&self, looks_up: bool, status: StatusCode) {
        if looks_up {
            self.looked_up.fetch_add(1, Ordering::Relaxed);
        }
        if status.is_client_error() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sample(&self, people: &People) {
        let stats = people.oauth.grants().store().stats();
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.push(Sample {
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            issued: total(&self.issued),
            redeemed: total(&self.redeemed),
            refreshed: total(&self.refreshed),
            refused: total(&self.refused),
            looked_up: total(&self.looked_up),
            commit_p50_us: us(stats.commit_p50),
            commit_p99_us: us(stats.commit_p99),
            rows: stats.rows_total(),
            disk_bytes: stats.log_bytes + stats.table_bytes,
            memory_bytes: stats.index_bytes + stats.row_cache_bytes,
            windows: stats.windows,
            sweep_lag_ms: u64::try_from(stats.sweep_lag.as_millis()).unwrap_or(u64::MAX),
        });
    }

    fn push(&self, sample: Sample) {
        let mut samples = self.samples.lock();
        // After the clock was set back nothing is drawn twice.
        if samples.back().is_some_and(|last| last.at_ms >= sample.at_ms) {
            samples.clear();
        }
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }
}

/// Counts for as long as the people are there. The first sample is taken at once.
pub(crate) fn begin(people: &Arc<People>) {
    let subscription = people.oauth.grants().events().subscribe(WAITING);
    tokio::spawn(count(Arc::downgrade(people), subscription));
}

async fn count(people: Weak<People>, mut subscription: Subscription) {
    let mut ticks = tokio::time::interval(COUNTED_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tick: u64 = 0;
    loop {
        ticks.tick().await;
        let Some(people) = people.upgrade() else { return };
        // No more than waited when it began, so that this task comes to an end.
        for _ in 0..WAITING {
            let Some(event) = subscription.try_next() else { break };
            people.tally.note(&event);
        }
        people.tally.missed.store(subscription.dropped(), Ordering::Relaxed);
        if tick.is_multiple_of(SAMPLED_EVERY) {
            people.tally.sample(&people);
        }
        tick += 1;
    }
}

/// The endpoints, with what they answer counted.
pub(crate) fn counted(people: &Arc<People>, endpoints: Router) -> Router {
    endpoints.route_layer(from_fn_with_state(Arc::clone(people), count_answer))
}

async fn count_answer(State(people): State<Arc<People>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let looks_up = path == people.introspect || people.system.resources.contains(&path);
    let response = next.run(request).await;
    people.tally.answered(looks_up, response.status());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the ring holds so many samples and no more, the latest ones, in order, also where the
    // clock is set back. Method: push more than it holds, then one from before.
    #[test]
    fn the_ring_is_bounded() {
        let tally = Tally::default();
        let sample = |at_ms| Sample { at_ms, ..Sample::default() };
        let last = u64::try_from(SAMPLES).unwrap() + 50;
        for at_ms in 1..=last {
            tally.push(sample(at_ms));
        }
        let held = tally.samples_after(0);
        assert_eq!(held.len(), SAMPLES);
        assert_eq!(held.first(), Some(&sample(51)));
        assert_eq!(tally.samples_after(last - 2), [sample(last - 1), sample(last)]);
        tally.push(sample(7));
        assert_eq!(tally.samples_after(0), [sample(7)]);
    }

    // Goal: each answer is counted once as what it is. Method: answers of each sort.
    #[test]
    fn answers_are_counted_as_what_they_are() {
        let tally = Tally::default();
        tally.answered(true, StatusCode::OK);
        tally.answered(true, StatusCode::UNAUTHORIZED);
        tally.answered(false, StatusCode::BAD_REQUEST);
        tally.answered(false, StatusCode::SERVICE_UNAVAILABLE);
        let counts = [&tally.looked_up, &tally.refused].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counts, [2, 2]);
        tally.note(&Event::UserCodeUnknown);
        tally.note(&Event::Authorized { client: String::new(), subject: String::new() });
        assert_eq!(tally.issued.load(Ordering::Relaxed), 1);
    }
}
