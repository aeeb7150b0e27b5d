//! For operators: what the server does now, as charts that go on by themselves.
//!
//! The page is complete without the script: it shows the numbers of the moment in tables. The
//! script asks for [`DATA`] every two seconds, puts the new numbers in their places, and draws the
//! last five minutes. Each chart is one line, or two that differ by their dashes, and its numbers
//! stand beside it, so that nothing is told by a color alone.

use crate::pages::layout::asset;
use crate::pages::nav::DASHBOARD;
use crate::pages::tally::Sample;
use crate::pages::visit::{Operator, Visit};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use grantkeep::backend::Stats;
use maud::{Markup, html};
use serde::Serialize;

pub(super) const DATA: &str = "/operator/dashboard.json";
pub(super) const SCRIPT_PATH: &str = "/dashboard.js";
const SCRIPT: &str = include_str!("dashboard.js");

/// What the script is answered.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    /// New samples, oldest first.
    samples: Vec<Sample>,
    /// Events that were not counted.
    missed: u64,
    /// The numbers of the moment, by the names of their places.
    now: Vec<(&'static str, String)>,
    /// Rows that are not swept, by kind, the most first.
    kinds: Vec<(String, u64)>,
}

/// The charts: a name, what it draws, and the unit. What a name begins with says how the script
/// reads it: `rate` is the difference of totals, `level` a number as it is.
const CHARTS: [(&str, &str, &str); 11] = [
    ("rate:issued", "Issued", "per second"),
    ("rate:redeemed", "Redeemed", "per second"),
    ("rate:refreshed", "Refreshed", "per second"),
    ("rate:looked_up", "Looked up", "per second"),
    ("rate:refused", "Refused", "per second"),
    ("level:commit_p99_us,commit_p50_us", "Commit p99, p50", "us, p50 dashed"),
    ("level:rows", "Live rows", "rows"),
    ("level:windows", "Windows of time", "windows"),
    ("level:sweep_lag_ms", "Sweep lag", "ms"),
    ("level:disk_bytes", "Disk", "bytes"),
    ("level:memory_bytes", "Memory of the store", "bytes"),
];

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn page(Operator(visit): Operator) -> Response {
    let data = data_of(&visit, u64::MAX);
    let body = html! {
        noscript {
            p class="notice" {
                "Without scripts the charts stay empty. The numbers are those of when the page was \
                 loaded."
            }
        }
        p class="quiet" role="status" data-trouble { }
        div class="charts" data-source=(DATA) {
            @for (draws, name, unit) in CHARTS { (chart(draws, name, unit)) }
        }
        div class="columns" {
            section aria-labelledby="now" {
                h2 id="now" { "Now" }
                table { tbody {
                    @for (name, value) in &data.now { tr {
                        th scope="row" { (name) }
                        td data-now=(name) { (value) }
                    } }
                } }
            }
            section aria-labelledby="kinds" {
                h2 id="kinds" { "Live rows by kind" }
                table {
                    thead { tr {
                        th scope="col" { "Kind" } th scope="col" { "Rows" }
                        th scope="col" { "Share" }
                    } }
                    tbody data-kinds { @for kind in &data.kinds { (kind_row(kind, &data)) } }
                }
            }
        }
    };
    visit.page(DASHBOARD, "Dashboard", &body).script(SCRIPT_PATH).render()
}

fn chart(draws: &str, name: &str, unit: &str) -> Markup {
    html! {
        figure {
            figcaption { (name) " " span class="quiet" { (unit) } }
            p class="latest" data-latest { "-" }
            svg viewBox="0 0 300 80" preserveAspectRatio="none" role="img"
                aria-label=(format!("{name}, the last five minutes")) data-draws=(draws) {
                polyline class="line" points="" {}
                polyline class="line dashed" points="" {}
            }
            p class="quiet" { "most: " span data-most { "-" } }
        }
    }
}

fn kind_row((kind, rows): &(String, u64), data: &Data) -> Markup {
    let most = data.kinds.first().map_or(0, |(_, rows)| *rows);
    html! {
        tr {
            th scope="row" { (kind) }
            td { (rows) }
            td { meter min="0" max=(most) value=(rows) aria-label=(format!("share of {kind}")) {} }
        }
    }
}

pub(super) async fn data(Operator(visit): Operator) -> Response {
    let after = visit.query.get("after").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut response = axum::response::IntoResponse::into_response(Json(data_of(&visit, after)));
    let fields: [(HeaderName, &'static str); 2] =
        [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn data_of(visit: &Visit, after_ms: u64) -> Data {
    let tally = &visit.people.tally;
    let stats = visit.grants().store().stats();
    let mut kinds: Vec<(String, u64)> =
        stats.rows.iter().map(|each| (each.kind.to_string(), each.rows)).collect();
    kinds.sort_by(|(name, rows), (other, others)| others.cmp(rows).then(name.cmp(other)));
    let missed = tally.missed();
    let now = now(&stats, missed);
    Data { samples: tally.samples_after(after_ms), missed, now, kinds }
}

/// The numbers of the moment, as they are shown.
fn now(stats: &Stats, missed: u64) -> Vec<(&'static str, String)> {
    let us = |duration: std::time::Duration| format!("{} us", duration.as_micros());
    let mut now = vec![
        ("Health", stats.health.to_string()),
        ("Commit p50", us(stats.commit_p50)),
        ("Commit p99", us(stats.commit_p99)),
        ("Commits since the start", stats.commits.to_string()),
        ("Live rows", stats.rows_total().to_string()),
        ("Windows of time", stats.windows.to_string()),
        ("Sweep lag", format!("{:.1} s", stats.sweep_lag.as_secs_f64())),
        ("Rows swept since the start", stats.swept_rows.to_string()),
        ("Log on disk", bytes(stats.log_bytes)),
        ("Table on disk", bytes(stats.table_bytes)),
        ("Memory of the index", bytes(stats.index_bytes)),
        ("Memory of rows kept for reading", bytes(stats.row_cache_bytes)),
    ];
    if let Some(resident) = resident_bytes() {
        now.push(("Memory of the process", bytes(resident)));
    }
    now.push(("Events not counted here", missed.to_string()));
    now
}

/// A size in the unit that suits it.
fn bytes(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// The memory of this process that is in use, where the system tells.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(resident * u64::try_from(rustix::param::page_size()).ok()?)
}
