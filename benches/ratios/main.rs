//! The ratios by which the store's speed is judged, all measured in one run.
//!
//! What is compared runs in turns, round by round, so that whatever else the machine does meets
//! both sides alike; a ratio is the median over the rounds, and its spread is shown. With
//! `--check` the exit status is non-zero if a bound is missed. The variable
//! `GRANTKEEP_BENCH_SECONDS` says about how long a whole run takes, 150 unless it is set; less
//! means shorter turns and fewer rows. Further arguments name the sections to be run.

mod introspect;
mod issue;
mod latency;
mod lookup;
mod memory;
mod open;
mod rotate;
mod scale;
mod sweep;
mod table;

use scale::Scale;
use std::process::ExitCode;
use std::time::Instant;
use table::Line;

/// Measures one part, and answers its lines of the table.
type Section = fn(&Scale) -> Vec<Line>;

const SECTIONS: [(&str, Section); 8] = [
    ("issue", issue::measure),
    ("lookup", lookup::measure),
    ("introspect", introspect::measure),
    ("rotate", rotate::measure),
    ("sweep", sweep::measure),
    ("latency", latency::measure),
    ("memory", memory::measure),
    ("open", open::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if !has("--bench") {
        // Built and run as a test: nothing to be proven here.
        return ExitCode::SUCCESS;
    }
    let named = arguments.iter().any(|argument| !argument.starts_with("--"));
    let scale = Scale::from_environment();
    let mut met = true;
    table::head();
    for (name, measure) in SECTIONS {
        if named && !has(name) {
            continue;
        }
        let started = Instant::now();
        for line in measure(&scale) {
            line.print();
            met &= line.is_met();
        }
        println!("  ({name}: {:.0} s)", started.elapsed().as_secs_f64());
    }
    if met || !has("--check") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
