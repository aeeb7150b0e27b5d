//! One engine of one size in a process of its own: what it takes, and how it opens after the
//! process was killed.

use crate::engine::Setup;
use crate::engines;
use crate::machine::{disk_bytes, memory_bytes};
use crate::measures::look_up_us;
use crate::run::{Running, load};
use crate::workload::Shape;
use clap::Args;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of a probe are this long.
const ROW_BYTES: usize = 300;
/// How long look-ups are measured.
const LOOK_UPS: Duration = Duration::from_millis(500);

/// What a process is to do.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    engine: String,
    dir: PathBuf,
    /// Pairs that are there.
    pairs: u64,
    /// Whether they are still to be put there.
    #[arg(action = clap::ArgAction::Set)]
    fill: bool,
}

/// What a process found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// From the start of opening until it is open, in seconds.
    pub(crate) opened_s: f64,
    /// One look-up of a token that is there, in microseconds.
    pub(crate) look_up_us: f64,
    /// Memory of the process that is not of files.
    pub(crate) memory_bytes: f64,
    /// What the engine's directory takes on the disk.
    pub(crate) disk_bytes: f64,
}

/// Does what is asked, prints what it found, and waits to be killed.
pub(crate) fn answer(asked: &Asked) {
    let contender = engines::all().into_iter().find(|contender| contender.name == asked.engine);
    let contender = contender.expect("an engine of this name");
    let started = Instant::now();
    let engine = Arc::from((contender.open)(&Setup::new(asked.dir.clone())));
    let opened_s = started.elapsed().as_secs_f64();
    let one = Running { contender, engine };
    let (engine, shape) = (&*one.engine, Shape::lasting(ROW_BYTES));
    if asked.fill {
        load(engine, 0..asked.pairs, |_| shape);
        engine.settle();
    }
    let memory = memory_bytes();
    let us = look_up_us(&one, 0..asked.pairs, true, LOOK_UPS);
    // Something that was written since it was opened, so that the next one has to recover.
    let number = 1 << 62 | u64::from(std::process::id());
    engine.write(shape.pair(number, engine.now_ms()));
    let disk = disk_bytes(&asked.dir);
    println!("{opened_s} {us} {memory} {disk}");
    // Until the pipe is closed or, as it should be, this process is killed.
    let _ = std::io::stdin().read(&mut [0]);
}

/// Runs a process on an engine in `dir`, and kills it when it has said what it found.
pub(crate) fn ask(engine: &str, dir: &Path, pairs: u64, fill: bool) -> Found {
    let program = std::env::current_exe().expect("the path of this program");
    let mut child = Command::new(program)
        .args(["probe", engine])
        .arg(dir)
        .args([pairs.to_string(), fill.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("what it found");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [opened_s, look_up_us, memory_bytes, disk_bytes] = figures[..] else {
        panic!("the process for {engine} ended early, see its message above");
    };
    Found { opened_s, look_up_us, memory_bytes, disk_bytes }
}
