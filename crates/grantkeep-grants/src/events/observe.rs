//! Events and decisions as `tracing` and `metrics` know them, behind the features of those names.
//! `docs/operating.md` lists the names and their units.

use crate::events::event::Event;
use std::future::Future;

/// True if events are wanted though nobody subscribed.
pub(crate) const OBSERVED: bool = cfg!(any(feature = "tracing", feature = "metrics"));

/// Notes an event.
#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), expect(unused_variables))]
pub(crate) fn event(event: &Event) {
    #[cfg(feature = "metrics")]
    metrics::counter!("grantkeep_events_total", "event" => event.name()).increment(1);
    #[cfg(feature = "tracing")]
    trace(event);
}

/// Where somebody else's secret may be out, or is being guessed, it is a warning.
#[cfg(feature = "tracing")]
fn trace(event: &Event) {
    let (name, client, subject) = (event.name(), event.client(), event.subject());
    let family = event.family().map(tracing::field::display);
    if event.is_alarming() {
        tracing::warn!(target: "grantkeep", name, client, subject, family, ?event);
    } else {
        tracing::debug!(target: "grantkeep", name, client, subject, family, ?event);
    }
}

/// Notes that a subscriber missed an event.
pub(crate) fn dropped() {
    #[cfg(feature = "metrics")]
    metrics::counter!("grantkeep_events_dropped_total").increment(1);
}

/// Gives a decision a span of its own.
#[cfg(feature = "tracing")]
pub(crate) fn span<T: Future>(name: &'static str, decided: T) -> impl Future<Output = T::Output> {
    use tracing::Instrument as _;
    decided.instrument(tracing::debug_span!(target: "grantkeep", "decision", name))
}

/// Gives a decision a span of its own, where spans are wanted.
#[cfg(not(feature = "tracing"))]
pub(crate) fn span<T: Future>(_: &'static str, decided: T) -> T {
    decided
}

/// Measures one decision until it is dropped.
#[derive(Debug)]
pub(crate) struct Measured {
    #[cfg(feature = "metrics")]
    name: &'static str,
    #[cfg(feature = "metrics")]
    started: std::time::Instant,
}

/// Measures a decision from now on.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
pub(crate) fn measured(name: &'static str) -> Measured {
    Measured {
        #[cfg(feature = "metrics")]
        name,
        #[cfg(feature = "metrics")]
        started: std::time::Instant::now(),
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("grantkeep_decision_seconds", "decision" => self.name)
            .record(self.started.elapsed());
    }
}

/// Publishes what the engine says of itself.
#[cfg(feature = "metrics")]
pub(crate) fn stats(stats: &grantkeep::backend::Stats) {
    use metrics::{counter, gauge};
    for kind in &stats.rows {
        gauge!("grantkeep_rows", "kind" => kind.kind.to_string()).set(kind.rows as f64);
    }
    gauge!("grantkeep_windows").set(stats.windows as f64);
    gauge!("grantkeep_sweep_lag_seconds").set(stats.sweep_lag);
    gauge!("grantkeep_log_bytes").set(stats.log_bytes as f64);
    gauge!("grantkeep_log_backlog_bytes").set(stats.log_backlog_bytes as f64);
    gauge!("grantkeep_table_bytes").set(stats.table_bytes as f64);
    gauge!("grantkeep_index_bytes").set(stats.index_bytes as f64);
    gauge!("grantkeep_row_cache_bytes").set(stats.row_cache_bytes as f64);
    gauge!("grantkeep_commit_p50_seconds").set(stats.commit_p50);
    gauge!("grantkeep_commit_p99_seconds").set(stats.commit_p99);
    gauge!("grantkeep_clock_lead_seconds").set(stats.clock_lead);
    gauge!("grantkeep_full").set(f64::from(u8::from(stats.full)));
    counter!("grantkeep_commits_total").absolute(stats.commits);
    counter!("grantkeep_log_syncs_total").absolute(stats.log_syncs);
    counter!("grantkeep_swept_rows_total").absolute(stats.swept_rows);
    counter!("grantkeep_carried_rows_total").absolute(stats.carried_rows);
    counter!("grantkeep_checkpoints_total").absolute(stats.checkpoints);
    counter!("grantkeep_log_stalls_total").absolute(stats.log_stalls);
}
