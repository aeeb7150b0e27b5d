//! What connections may take: their number, and the time of each.

use rustix::process::{Resource, getrlimit, setrlimit};
use std::time::Duration;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once, 1 to [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// How long the head of a request may take to arrive, and then its body, and a TLS handshake;
    /// and how long a connection may rest. Kept to within a quarter.
    pub head: Duration,
    /// How long the answer to a request that has arrived may take. Kept to within a quarter of the
    /// shorter one.
    pub request: Duration,
    /// How long what is under way may take when the server is told to stop.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { connections: 10_000, head: s(10), request: s(30), stop: s(10) }
    }
}

/// No server has more connections at once.
pub const CONNECTIONS_MAX: usize = 1_000_000;

/// The head of a request, its first line included, has no more bytes.
pub const HEAD_BYTES_MAX: usize = 32 << 10;

/// Files that the process keeps for its store and for itself.
const FILES_KEPT: u64 = 512;

impl Limits {
    /// Raises the limit on open files of this process as far as it may, and has no more connections
    /// than fit below it.
    #[must_use]
    pub fn within_open_files(self) -> Self {
        let mut files = getrlimit(Resource::Nofile);
        let wanted = (self.connections as u64).saturating_add(FILES_KEPT);
        if let Some(current) = files.current
            && current < wanted
        {
            let raised = files.maximum.map_or(wanted, |most| most.min(wanted));
            let higher = rustix::process::Rlimit { current: Some(raised), ..files };
            if setrlimit(Resource::Nofile, higher).is_ok() {
                files.current = Some(raised);
            }
        }
        let fit = files.current.map_or(u64::MAX, |files| files.saturating_sub(FILES_KEPT).max(16));
        Self {
            connections: self.connections.min(usize::try_from(fit).unwrap_or(usize::MAX)),
            ..self
        }
    }
}
