//! What an engine says of itself.

use super::health::Health;
use super::key::Kind;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// How many rows of one kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KindRows {
    /// The kind; serialized by its name.
    pub kind: Kind,
    /// Rows that are not swept.
    pub rows: u64,
}

/// What an engine holds and does. Sizes are bytes; zero where an engine has no such part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Rows that are not swept, by kind.
    pub rows: Vec<KindRows>,
    /// Windows of time that hold rows.
    pub windows: u64,
    /// How long the oldest dead window has waited to be swept.
    pub sweep_lag: Duration,
    /// Rows removed by sweeping since the store was opened.
    pub swept_rows: u64,
    /// Bytes of the log's segments, free ones included.
    pub log_bytes: u64,
    /// Bytes of log frames that are not yet carried into the table.
    pub log_backlog_bytes: u64,
    /// Bytes of the table's file.
    pub table_bytes: u64,
    /// Memory of the index.
    pub index_bytes: u64,
    /// Memory of the rows kept for reading.
    pub row_cache_bytes: u64,
    /// Batches applied since the store was opened.
    pub commits: u64,
    /// Syncs of the log since the store was opened.
    pub log_syncs: u64,
    /// Checkpoint commits since the store was opened.
    pub checkpoints: u64,
    /// Rows carried into the table since the store was opened.
    pub carried_rows: u64,
    /// Commits that waited for room in the log.
    pub log_stalls: u64,
    /// Median of the latest commits' latencies.
    pub commit_p50: Duration,
    /// 99th percentile of the latest commits' latencies.
    pub commit_p99: Duration,
    /// How long the last open took.
    pub open_took: Duration,
    /// True while the disk is full and issuing is refused.
    pub full: bool,
    /// Since when the disk is full, if it is.
    pub full_since: Option<SystemTime>,
    /// Requests that were refused because the disk is full, since the store was opened.
    pub refused_full: u64,
    /// The longest that one piece of background work (carrying, sweeping) has taken.
    pub hold_longest: Duration,
    /// How the engine is; see [`Store::health`](crate::Store::health).
    pub health: Health,
    /// How far the time by which validity is judged is ahead of the wall clock, to about two
    /// seconds. It is zero unless the clock was ahead for a while, and was then corrected.
    pub clock_lead: Duration,
}

impl Stats {
    /// The rows of one kind.
    pub fn rows_of(&self, kind: Kind) -> u64 {
        self.rows.iter().find(|entry| entry.kind == kind).map_or(0, |entry| entry.rows)
    }

    /// The rows of all kinds.
    pub fn rows_total(&self) -> u64 {
        self.rows.iter().map(|entry| entry.rows).sum()
    }
}
