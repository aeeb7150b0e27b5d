//! How fast a server answers over loopback, each kind of request alone: `grantkeep serve` in
//! release mode on a store on disk, 64 connections that each have one request under way, and the
//! same decisions asked of the store without a server, in turns within one run.
//!
//! Server and generator share the processors of the machine. A rate is the median of the rounds;
//! the latencies are those of all of them. With `--check` the exit status is non-zero where a rate
//! is below its bound. `GRANTKEEP_BENCH_SECONDS` says how long each kind is measured in each round,
//! 3 unless it is set, and `GRANTKEEP_BENCH_ROUNDS` how often, 3. Further arguments name the kinds.

mod bare;

use grantkeep_benches::Scratch;
use grantkeep_benches::served::{CONNECTIONS, Kind, Ran, Served, Stock, millis, run};
use std::process::ExitCode;
use std::time::Duration;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if !has("--bench") {
        // Built and run as a test: nothing to be proven here.
        return ExitCode::SUCCESS;
    }
    let named = arguments.iter().any(|argument| !argument.starts_with("--"));
    let kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| !named || has(kind.name())).collect();
    let lasts = Duration::from_secs(setting("GRANTKEEP_BENCH_SECONDS", 3));
    let rounds = setting("GRANTKEEP_BENCH_ROUNDS", 3);
    let scratch = Scratch::new();
    let mut met = true;
    head();
    for kind in kinds {
        let (mut served, mut bare) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let dir = scratch.path(&format!("{}-{round}", kind.name()));
            std::fs::create_dir(&dir).expect("a directory");
            let mut stock = Stock::make(&dir, kind, lasts);
            let server = Served::start(&dir);
            let before = server.processor();
            let ran = run(server.address(), kind, &mut stock, CONNECTIONS, lasts);
            let after = server.processor();
            served.push((ran, after.saturating_sub(before)));
            server.stop();
            bare.push(bare::run(&dir, kind, lasts));
            std::fs::remove_dir_all(&dir).expect("the directory goes");
        }
        met &= line(kind, &served, &bare);
    }
    if met || !has("--check") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn head() {
    println!(
        "{:<20} {:>9} {:>8} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8}  bound",
        "one kind at a time",
        "served/s",
        "p50 ms",
        "p99 ms",
        "server us",
        "client us",
        "store/s",
        "p50 ms",
        "share"
    );
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}

/// Prints what was measured of a kind; false where it is below its bound.
fn line(kind: Kind, served: &[(Ran, Duration)], bare: &[Ran]) -> bool {
    let rate = median(served.iter().map(|(ran, _)| ran.per_second()).collect());
    let store = median(bare.iter().map(Ran::per_second).collect());
    let latencies = |all: &[&Ran]| -> Vec<u32> {
        all.iter().flat_map(|ran| ran.latencies_ns.iter().copied()).collect()
    };
    let mut over = latencies(&served.iter().map(|(ran, _)| ran).collect::<Vec<_>>());
    let mut under = latencies(&bare.iter().collect::<Vec<_>>());
    let requests = served.iter().map(|(ran, _)| ran.requests).sum::<u64>().max(1) as f64;
    let us = |spent: Duration| spent.as_secs_f64() * 1e6 / requests;
    let server = us(served.iter().map(|(_, spent)| *spent).sum());
    let client = us(served.iter().map(|(ran, _)| ran.processor).sum());
    let bound = kind.at_least();
    let met = bound.is_none_or(|bound| rate >= bound);
    let verdict = match bound {
        None => String::new(),
        Some(bound) => format!("{bound} {}", if met { "PASS" } else { "MISS" }),
    };
    println!(
        "{:<20} {rate:>9.0} {:>8.3} {:>8.3} {server:>9.1} {client:>9.1} {store:>10.0} {:>8.3} \
         {:>8.3}  {verdict}",
        kind.name(),
        millis(&mut over, 0.5),
        millis(&mut over, 0.99),
        millis(&mut under, 0.5),
        rate / store,
    );
    met
}
