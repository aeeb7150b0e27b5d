//! The store beside the engines one would take otherwise: the same tokens, the same machine, one
//! run, in turns.

mod callers;
mod engine;
mod engines;
mod grouped;
mod machine;
mod measures;
mod probe;
mod run;
mod served;
mod tables;
mod workload;

use clap::{Args, Parser, Subcommand};
use grantkeep_report::{Comparison, page, table};
use run::Run;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the plots, the page, and the data go.
const OUT: &str = "docs/comparison";
/// The documents that have the table in them.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/performance.md"];

#[derive(Parser)]
#[command(about = "Compares the store with the engines one would take otherwise")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    comparison: Chosen,
}

#[derive(Subcommand)]
enum Command {
    /// Draws the plots, the page, and the table again from the data of the last run.
    Report,
    /// What a run starts as a process of its own, in order to kill it.
    #[command(hide = true)]
    Probe(probe::Asked),
    /// What a run loads over loopback: the handlers on one store.
    #[command(hide = true)]
    Handlers(served::Asked),
}

/// What is compared.
#[derive(Args)]
struct Chosen {
    /// A small run, to see that all of it works: its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Only these parts, by name; without it all of them, and the table goes into the documents.
    #[arg(long, value_delimiter = ',', value_name = "PARTS", value_parser = measures::names())]
    only: Vec<String>,
    /// Only these engines beside the store.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = engines::names())]
    engines: Vec<String>,
    /// Where the results go; the documents are left alone if it is given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Probe(asked)) => probe::answer(&asked),
        Some(Command::Handlers(asked)) => served::answer(&asked),
        Some(Command::Report) => report(&page::read(Path::new(OUT))?, Path::new(OUT), true)?,
        None => compare(&arguments.comparison)?,
    }
    Ok(())
}

fn compare(chosen: &Chosen) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let (run, engines) = Run::new(chosen.quick, &chosen.engines);
    let mut comparison = Comparison {
        command: command(),
        machine: machine::words(&run.scratch.path("")),
        engines,
        ..Comparison::default()
    };
    for (name, measure) in measures::ALL {
        if chosen.only.is_empty() || chosen.only.iter().any(|part| part == name) {
            let part = Instant::now();
            let before = comparison.measures.len();
            measure(&run, &mut comparison);
            let found = &comparison.measures[before..];
            let shown = Comparison { measures: found.to_vec(), ..Comparison::default() };
            run.say(&format!("{}\n{}", name, table::markdown(&shown)));
            run.say(&format!("({name}: {:.0} s)", part.elapsed().as_secs_f64()));
        }
    }
    comparison.took_s = started.elapsed().as_secs_f64();
    let whole = chosen.out.is_none() && chosen.only.is_empty() && !chosen.quick;
    let out = chosen.out.clone().unwrap_or_else(|| {
        if whole { PathBuf::from(OUT) } else { PathBuf::from("target/comparison") }
    });
    report(&comparison, &out, whole)?;
    println!("{:.1} minutes, written to {}", comparison.took_s / 60.0, out.display());
    Ok(())
}

/// Writes what is for people; the documents' tables too, if this is the run they are to show.
fn report(comparison: &Comparison, out: &Path, whole: bool) -> Result<(), Box<dyn Error>> {
    page::write(comparison, out)?;
    let markdown = table::markdown(comparison);
    if whole {
        for document in DOCUMENTS {
            table::put(Path::new(document), &markdown)?;
        }
    }
    println!("{markdown}");
    Ok(())
}

/// How this was called, as a reader would call it.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after =
        if arguments.is_empty() { String::new() } else { format!(" -- {}", arguments.join(" ")) };
    format!("cargo run --release -p grantkeep-compare{after}")
}
