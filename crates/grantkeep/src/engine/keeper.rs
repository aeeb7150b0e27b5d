//! The keeper: the thread that carries and sweeps. It is the only one that writes to the table.
//!
//! Its work is done in pieces, so that nothing that commits may come to wait for is held up by
//! something that they never wait for:
//!
//! 1. A piece of carrying comes first whenever the log is over its budget, or a spare segment
//!    cannot be supplied otherwise.
//! 2. Then a piece of a checkpoint that was asked for.
//! 3. Then a piece of the sweep under way, which has at most [`HOLD`] before the next look at 1.
//!    The keeper begins a sweep by itself at each tick.
//!
//! Each piece begins where the last one ended (`Carrying`, [`Sweep`]), and changes neither if it
//! fails: what it was to carry is in the log still. It is tried again at the next tick, and the
//! requests that it was done for are answered with the failure.

use super::carry::{Carrying, Target};
use super::core::Core;
use super::logger::PoisonGuard;
use super::requests::{Begun, Next};
use super::supply::{TICK, TICKS_MAX};
use super::sweep::{Sweep, Sweeper};
use super::trouble::{Part, chain};
use crate::backend::Budget;
use crate::error::{Error, ErrorKind, Result};
use crate::foreign::AtWork;
use crate::sync::{Arc, Instant, Ordering};
use std::collections::VecDeque;
use std::time::Duration;

/// How long one piece of a sweep may hold the keeper, about.
pub(crate) const HOLD: Duration = Duration::from_millis(10);
/// Rows that the sweep of one tick removes at most: it stays off the request path.
const SWEEP_ROWS: u64 = 20_000;

/// What the keeper is at work on.
#[derive(Debug)]
pub(crate) struct Keeper {
    core: Arc<Core>,
    carrying: Carrying,
    checkpoints: VecDeque<(Target, Begun)>,
    sweeper: Sweeper,
    sweeps: VecDeque<Sweep>,
    /// What failed last, and was not done since.
    failed: Option<Failed>,
    /// True after a failure, until it is tried again.
    resting: bool,
    /// While the disk is full: ticks that are left before the next try, the last pause, and the
    /// room that there was. A table that finds no room is opened anew behind each try, under
    /// whoever reads it.
    pause: (u32, u32, Option<u64>),
}

/// What the keeper failed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Carry,
    Sweep,
}

impl Keeper {
    /// Over a store of which everything up to the commit `carried` is in the table.
    pub(crate) fn new(core: Arc<Core>, carried: u64) -> Self {
        let (carrying, sweeper) = (Carrying::after(carried), Sweeper::default());
        let (checkpoints, sweeps) = (VecDeque::new(), VecDeque::new());
        let (failed, resting, pause) = (None, false, (0, 1, None));
        Self { core, carrying, checkpoints, sweeper, sweeps, failed, resting, pause }
    }

    /// Runs until the store is closed or poisoned.
    pub(crate) fn run(mut self) {
        let core = Arc::clone(&self.core);
        let _at_work = AtWork::begin();
        let guard = PoisonGuard::new(&core, "keeper");
        let mut last_tick = Instant::now();
        loop {
            let patience = if self.is_busy() { Duration::ZERO } else { TICK };
            match core.requests.next(patience) {
                Next::Stop => break,
                Next::Checkpoint(begun) => {
                    self.checkpoints.push_back((core.carry_target(), begun));
                }
                Next::Sweep(begun, budget) => {
                    self.sweeps.push_back(Sweep::new(budget, Some(begun)));
                }
                Next::Nothing => {}
            }
            if last_tick.elapsed() >= TICK {
                last_tick = Instant::now();
                self.tick();
            }
            if !self.resting {
                self.work();
            }
        }
        guard.disarm();
    }

    fn is_busy(&self) -> bool {
        let waiting = !self.checkpoints.is_empty() || !self.sweeps.is_empty();
        !self.resting && (waiting || self.core.to_be_freed() > 0)
    }

    fn tick(&mut self) {
        if self.is_paused() {
            return;
        }
        self.resting = false;
        if self.failed.is_some() {
            // A table that could not be opened is opened as soon as it can be.
            let opened = self.core.table.reopen().map(|_| ());
            self.resting = opened.is_err();
            let due = match self.failed {
                Some(Failed::Carry) => self.core.to_be_freed() > 0,
                Some(Failed::Sweep) => !self.sweeper.is_through(),
                None => false,
            };
            if self.resting || !due {
                self.core.note_trouble(Part::Table, opened.as_ref().copied());
            }
            // Whoever asks for what cannot be done is told, and need not wait for the next try.
            let trouble = self.core.troubles.of(Part::Table).filter(|_| self.resting);
            self.core.requests.refuse(trouble.as_ref());
            if !self.resting && !due {
                self.failed = None;
            }
        }
        if self.core.options.is_by_itself() && self.sweeps.is_empty() {
            self.sweeps.push_back(Sweep::new(Budget::rows(SWEEP_ROWS), None));
        }
    }

    /// True while it waits for room. More than there was ends that at once.
    fn is_paused(&mut self) -> bool {
        let (left, last, before) = self.pause;
        if left == 0 || self.core.space.room_bytes() > before {
            self.pause.0 = 0;
            return false;
        }
        self.pause = (left - 1, last, before);
        true
    }

    /// Waits longer after each try that finds the disk full, unless some of it was swept.
    fn pause(&mut self, full: bool, swept: bool) {
        let last = (2 * self.pause.1).min(TICKS_MAX);
        let paused = full && !swept;
        self.pause = if paused { (last, last, self.core.space.room_bytes()) } else { (0, 1, None) };
    }

    /// Does a piece of each kind of work that is due. One that fails keeps none of the others from
    /// its turn: sweeping makes the room that carrying lacks, and whoever waits is to be told.
    fn work(&mut self) {
        let (mut failed, mut full, mut swept) = (false, false, false);
        let mut look = |went: &Result<()>| {
            failed |= went.is_err();
            full |= went.as_ref().is_err_and(|cause| cause.kind() == ErrorKind::Full);
            went.is_ok()
        };
        let enough = self.core.to_be_freed();
        let mut carried = true;
        if enough > 0 {
            let done = self.timed(|keeper| keeper.carrying.step(&keeper.core, enough));
            carried = look(&done);
            self.note(Failed::Carry, &done);
        }
        if !self.checkpoints.is_empty() {
            let done = self.timed(Self::step_checkpoint);
            // One that was answered with a refusal has carried nothing.
            if !look(&done) || carried {
                self.note(Failed::Carry, &done);
            }
        }
        if !self.sweeps.is_empty() {
            let begun = self.sweeper.has_begun() || self.core.has_ended_window();
            let done = self.timed(Self::step_sweep);
            swept = look(&done) && begun;
            self.note(Failed::Sweep, &done);
        }
        self.resting = failed;
        self.pause(full, swept);
    }

    /// Does a piece, and notes how long it took.
    fn timed<T>(&mut self, piece: impl FnOnce(&mut Self) -> T) -> T {
        let begun = Instant::now();
        let done = piece(self);
        self.core.note_hold(begun.elapsed());
        done
    }

    /// Notes how a piece of work went; `failing` is what has failed if it did.
    fn note(&mut self, failing: Failed, went: &Result<()>) {
        match went {
            Err(cause) => {
                self.failed = Some(failing);
                self.core.note_trouble(Part::Table, Err(cause));
            }
            Ok(()) if self.failed == Some(failing) => {
                self.failed = None;
                self.core.note_trouble(Part::Table, Ok(()));
            }
            Ok(()) => {}
        }
    }

    /// Carries a piece of what the first checkpoint is to carry. On a full disk it ends early: what
    /// is left of the reserve is for revoking and sweeping.
    fn step_checkpoint(&mut self) -> Result<()> {
        let Some((target, _)) = self.checkpoints.front() else { return Ok(()) };
        let target = target.clone();
        let (answer, went) = match self.core.space.check() {
            Err(full) => (Err(full), Ok(())),
            Ok(()) => match self.carrying.step_to(&self.core, &target) {
                Ok(false) => return Ok(()),
                Ok(true) => (Ok(target), Ok(())),
                Err(cause) => {
                    // Before its caller is told: nothing is issued any more into a damaged store.
                    self.core.note_trouble(Part::Table, Err(&cause));
                    (Err(told(&cause)), Err(cause))
                }
            },
        };
        if let Some((_, begun)) = self.checkpoints.pop_front() {
            self.core.requests.answer_checkpoint(begun, answer);
        }
        went
    }

    fn step_sweep(&mut self) -> Result<()> {
        let Some(mut sweep) = self.sweeps.pop_front() else { return Ok(()) };
        match self.sweeper.step(&self.core, &mut sweep) {
            Ok(false) => self.sweeps.push_front(sweep),
            Ok(true) => sweep.end(&self.core, Ok(())),
            Err(cause) => {
                sweep.end(&self.core, Err(told(&cause)));
                return Err(cause);
            }
        }
        Ok(())
    }
}

/// A failure once more, for whoever asked for what has failed.
fn told(cause: &Error) -> Error {
    Error::new(cause.kind(), chain(cause))
}

impl Core {
    /// Notes how long a piece of background work took.
    pub(crate) fn note_hold(&self, held: Duration) {
        let held_us = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        self.counters.hold_longest_us.fetch_max(held_us, Ordering::Relaxed);
    }
}
