//! What is asked of an engine, so that one measure serves all of them.

use crate::workload::{Change, Text, now_ms};
use grantkeep::{Clock, ManualClock};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// What a write answers with, once it is durable.
pub(crate) type Written<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// How an engine is opened.
#[derive(Clone)]
pub(crate) struct Setup {
    /// An empty directory, or one that the engine has filled.
    pub(crate) dir: PathBuf,
    /// Memory for what the engine keeps to be read.
    pub(crate) cache_bytes: usize,
    /// How much the store's log may hold; the peers have no such setting.
    pub(crate) log_budget_bytes: u64,
    /// The store's clock, if it is not the system's; the peers are told the time.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    /// Whether the store carries and sweeps by itself.
    pub(crate) by_itself: bool,
}

impl Setup {
    /// The store's own defaults, and as much memory for each peer as the store's two caches have.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            cache_bytes: grantkeep::ROW_CACHE_BYTES + grantkeep::TABLE_CACHE_BYTES,
            log_budget_bytes: grantkeep::LOG_BUDGET_BYTES,
            clock: None,
            by_itself: true,
        }
    }

    /// The same by a clock that the measure moves, with a store that carries and sweeps when told.
    pub(crate) fn on(self, clock: &Arc<ManualClock>) -> Self {
        Self { clock: Some(Arc::clone(clock) as Arc<dyn Clock>), by_itself: false, ..self }
    }
}

/// An engine with tokens and families in it.
pub(crate) trait Engine: Send + Sync {
    /// Makes a change durable, and blocks until it is. What has been answered survives a loss of
    /// power.
    fn write(&self, change: Change);

    /// The same for a task of a runtime, whose thread is not to be blocked. The servers' clients
    /// block it nevertheless, and are not asked.
    fn write_async(&self, change: Change) -> Written<'_> {
        Box::pin(async move { self.write(change) })
    }

    /// Puts many pairs at once, as durably; they come in the order of their tokens' digests.
    fn load(&self, changes: Vec<Change>);

    /// A caller's own way to look tokens up.
    fn reader(&self) -> Box<dyn Reader + '_>;

    /// Removes what has died by this moment, and answers how many rows that was.
    fn sweep(&self, now_ms: u64) -> u64;

    /// Returns once what the engine does in the background is done.
    fn settle(&self) {}

    /// The time by which it judges, in milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    /// Whether it removes what has died without being asked.
    fn sweeps_by_itself(&self) -> bool {
        false
    }

    /// The store itself, if it is that.
    fn store(&self) -> Option<&grantkeep::Store> {
        None
    }
}

/// A caller that looks tokens up.
pub(crate) trait Reader: Send {
    /// When the token of this text dies, in milliseconds since the Unix epoch; `None` if there is
    /// no such token. All of its row has been read.
    fn look_up(&mut self, text: &Text) -> Option<u64>;
}

/// Opens an engine.
pub(crate) type Open = fn(&Setup) -> Box<dyn Engine>;

/// An engine that can be compared.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) open: Open,
    /// Whether it is a server behind a socket, with threads of its own for its callers.
    pub(crate) server: bool,
    /// Why it cannot be had on this machine, if so.
    pub(crate) missing: fn() -> Option<String>,
    /// Version and settings, in words.
    pub(crate) settings: &'static str,
}
