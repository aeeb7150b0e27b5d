//! The table at the end.

use super::tally::Tally;
use grantkeep::{Family, Personal, Record as _, Store, Token};
use std::fmt::Write as _;
use std::path::Path;

/// Measures what the store takes while everything it issued is in force.
pub(crate) fn measure_store(store: &Store, dir: &Path, tally: &mut Tally) {
    let stats = store.stats();
    let kinds = [Token::KIND, Family::KIND, Personal::KIND];
    let live: u64 = kinds.into_iter().map(|kind| stats.rows_of(kind)).sum();
    let used = stats.log_backlog_bytes + stats.table_bytes;
    tally.fact("tokens and families in force", live.to_string());
    tally.fact("rows of all kinds", stats.rows_total().to_string());
    tally.fact("bytes in log and table, each of those", per(used, live));
    tally.fact("bytes on disk, free segments included", mib(on_disk(dir)));
    tally.fact("index, each row", format!("{} B", per(stats.index_bytes, stats.rows_total())));
    tally.fact("index and row cache in memory", mib(stats.index_bytes + stats.row_cache_bytes));
    if let Some(resident) = resident_bytes() {
        tally.fact("memory of the whole process", mib(resident));
    }
    tally.fact("callers served by one sync", per(stats.commits, stats.log_syncs));
    tally.fact("rows carried into the table", stats.carried_rows.to_string());
}

/// Draws everything that was counted.
pub(crate) fn draw(tally: &Tally) -> String {
    let mut text = String::new();
    let line = "-".repeat(64);
    let _ = writeln!(
        text,
        "{:<22}{:>10}{:>12}{:>10}{:>10}\n{line}",
        "operation", "count", "per second", "p50", "p99"
    );
    let span_s = tally.span.as_secs_f64().max(1e-9);
    for (name, timings) in &tally.operations {
        let _ = writeln!(
            text,
            "{name:<22}{:>10}{:>12.0}{:>10}{:>10}",
            timings.0.len(),
            timings.0.len() as f64 / span_s,
            format!("{:.1?}", timings.quantile(0.5)),
            format!("{:.1?}", timings.quantile(0.99)),
        );
    }
    let operations: usize = tally.operations.values().map(|timings| timings.0.len()).sum();
    let rate = operations as f64 / span_s;
    let _ = writeln!(text, "{:<22}{operations:>10}{rate:>12.0}\n{line}", "all, side by side");
    for (name, value) in &tally.facts {
        let _ = writeln!(text, "{name:<44}{value:>20}");
    }
    text
}

fn per(bytes: u64, of: u64) -> String {
    format!("{:.1}", bytes as f64 / of.max(1) as f64)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn on_disk(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => on_disk(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// The resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}
