//! A run: its engines, its size, and where they keep their files.

use crate::engine::{Contender, Engine, Setup};
use crate::engines;
use crate::workload::{Shape, Text};
use grantkeep_benches::Scratch;
use grantkeep_report::Kind;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Pairs that are made at a time while loading.
const LOAD_PAIRS: usize = 50_000;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Turns of each engine.
    pub(crate) rounds: usize,
    /// How long a turn lasts.
    pub(crate) turn: Duration,
    /// How long a turn lasts in which background work is to show.
    pub(crate) long_turn: Duration,
    /// Turns of each server, and how long one lasts.
    pub(crate) served_rounds: usize,
    pub(crate) served: Duration,
    /// Pairs that are there before anything is measured.
    pub(crate) pairs: u64,
    /// A log so short that a long turn writes it through several times.
    pub(crate) short_log_bytes: u64,
    /// Rows of the stores that grow: those that all engines are filled to, those for the faster
    /// ones, and the most that the store is filled to.
    pub(crate) sizes: &'static [u64],
    pub(crate) large: u64,
    pub(crate) largest: u64,
}

const FULL: Scale = Scale {
    rounds: 5,
    turn: Duration::from_millis(1_200),
    long_turn: Duration::from_secs(20),
    served_rounds: 3,
    served: Duration::from_secs(3),
    pairs: 500_000,
    short_log_bytes: 128 << 20,
    sizes: &[10_000, 100_000, 1_000_000],
    large: 5_000_000,
    largest: 10_000_000,
};

const QUICK: Scale = Scale {
    rounds: 2,
    turn: Duration::from_millis(250),
    long_turn: Duration::from_secs(2),
    served_rounds: 1,
    served: Duration::from_millis(500),
    pairs: 20_000,
    short_log_bytes: 8 << 20,
    sizes: &[2_000, 10_000],
    large: 50_000,
    largest: 100_000,
};

/// Everything that a measure needs to know.
pub(crate) struct Run {
    pub(crate) scale: Scale,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) scratch: Scratch,
    progress: ProgressBar,
}

/// An engine that is open, and what it is called.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) contender: Contender,
    pub(crate) engine: Arc<dyn Engine>,
}

impl Running {
    pub(crate) fn name(&self) -> &'static str {
        self.contender.name
    }

    pub(crate) fn kind(&self) -> Kind {
        if self.contender.name == engines::STORE { Kind::Store } else { Kind::Peer }
    }
}

impl Run {
    /// A run with the store, and with the peers of these names or all of them; and each engine's
    /// name with its settings, or with the reason why it is missing.
    pub(crate) fn new(quick: bool, peers: &[String]) -> (Self, Vec<(String, String)>) {
        let asked = |contender: &Contender| {
            let named = peers.iter().any(|name| name == contender.name);
            contender.name == engines::STORE || peers.is_empty() || named
        };
        let asked: Vec<Contender> = engines::all().into_iter().filter(asked).collect();
        let said = asked.iter().map(|contender| {
            let missing = (contender.missing)().map(|why| format!("left out: {why}"));
            (contender.name.to_owned(), missing.unwrap_or_else(|| contender.settings.to_owned()))
        });
        let said = said.collect();
        let there = |contender: &Contender| (contender.missing)().is_none();
        let progress = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(500));
        let run = Self {
            scale: if quick { QUICK } else { FULL },
            contenders: asked.into_iter().filter(there).collect(),
            scratch: Scratch::new(),
            progress,
        };
        (run, said)
    }

    /// Shows what is being done.
    pub(crate) fn doing(&self, what: &str) {
        self.progress.set_message(what.to_owned());
    }

    /// Prints some lines.
    pub(crate) fn say(&self, lines: &str) {
        self.progress.suspend(|| println!("{lines}"));
    }

    /// Opens the engines that `wanted` picks, each in a directory of this name, set up so.
    pub(crate) fn open(
        &self,
        place: &str,
        wanted: impl Fn(&Contender) -> bool,
        set_up: impl Fn(Setup) -> Setup,
    ) -> Vec<Running> {
        let open = |contender: &Contender| {
            self.doing(&format!("{}: opening for {place}", contender.name));
            let dir = self.scratch.path(&format!("{place} {}", contender.name));
            std::fs::create_dir(&dir).expect("a directory for the engine");
            let engine = (contender.open)(&set_up(Setup::new(dir)));
            Running { contender: *contender, engine: Arc::from(engine) }
        };
        self.contenders.iter().filter(|contender| wanted(contender)).map(open).collect()
    }

    /// Removes the directories of this name, once their engines are closed.
    pub(crate) fn clear(&self, place: &str) {
        for contender in &self.contenders {
            let dir = self.scratch.path(&format!("{place} {}", contender.name));
            // What cannot be removed goes with the whole run's directory.
            let _ = std::fs::remove_dir_all(dir);
        }
    }

    /// The engines in the order of this round: each goes first in turn.
    pub(crate) fn in_turn(round: usize, running: &[Running]) -> impl Iterator<Item = &Running> {
        running.iter().cycle().skip(round % running.len().max(1)).take(running.len())
    }
}

/// Puts the pairs of these numbers into an engine, in the order of their tokens' digests.
pub(crate) fn load(engine: &dyn Engine, numbers: Range<u64>, shape: impl Fn(u64) -> Shape) {
    let mut sorted: Vec<([u8; 8], u64)> = numbers
        .map(|number| {
            let digest = Text::of(number).digest();
            (digest[..8].try_into().expect("eight bytes"), number)
        })
        .collect();
    sorted.sort_unstable();
    for part in sorted.chunks(LOAD_PAIRS) {
        let now_ms = engine.now_ms();
        engine.load(part.iter().map(|(_, number)| shape(*number).pair(*number, now_ms)).collect());
    }
}
