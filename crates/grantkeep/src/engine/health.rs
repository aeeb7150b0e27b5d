//! How the store is, what it has trouble with, and telling of it when that changes.

use super::core::Core;
use super::trouble::Part;
use super::writer::Mode;
use crate::backend::Health;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Mutex, Ordering};

/// The health that was told last.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<&'static str>);

impl Core {
    /// How the store is.
    pub(crate) fn health(&self) -> Health {
        if self.closed.load(Ordering::Acquire) {
            return Health::Closed;
        }
        match &self.writer.lock().mode {
            Mode::Poisoned(why) => return Health::Poisoned { why: why.clone() },
            Mode::Closing | Mode::Closed => return Health::Closed,
            Mode::ReadOnly => return Health::ReadOnly,
            Mode::Open => {}
        }
        if let Some(since) = self.space.full_since() {
            return Health::Full { since };
        }
        if let Err(error) = self.time.check_believed() {
            let until = "the clock is right, or `accept_clock` is called".to_owned();
            return Health::ClockRefused { why: error.to_string(), until };
        }
        match self.troubles.worst() {
            Some(trouble) => Health::Failing { why: trouble.why, since: trouble.since },
            None => Health::Open,
        }
    }

    /// Notes how the last try of a part went; whoever waits for it looks again if it went wrong.
    pub(crate) fn note_trouble(&self, part: Part, went: Result<(), &Error>) {
        // Damage does not pass by itself, and what fails or is done since says nothing of it.
        if part != Part::Table || !self.damaged.load(Ordering::Relaxed) {
            self.troubles.note(part, went, self.options.clock.wall());
            if part == Part::Table && went.is_err_and(|cause| cause.kind() == ErrorKind::Corrupt) {
                self.damaged.store(true, Ordering::Relaxed);
            }
        }
        if went.is_err() {
            self.look_again();
        }
    }

    /// Tells of a change since the last time, once.
    pub(crate) fn tell_health(&self) {
        let health = self.health();
        let before = std::mem::replace(&mut *self.health.0.lock(), health.word());
        let was_open = before.is_empty() || before == Health::Open.word();
        if before != health.word() && !(was_open && health.is_open()) {
            let dir = self.dir.display();
            let word = health.word();
            if health == Health::Closed {
                // Somebody asked for it.
                tracing::info!(target: "grantkeep", health = word, "the store {dir} is {health}");
            } else {
                tracing::warn!(target: "grantkeep", health = word, "the store {dir} is {health}");
            }
        }
    }
}
