//! How far all that is stored was gone through.

use super::key::Key;
use std::collections::HashSet;
use std::fmt;

/// How far a scan has come: handed to [`Backend::scan`](super::Backend::scan) again and again.
#[derive(Default)]
pub struct Scan {
    place: Vec<u8>,
    seen: HashSet<u64>,
    is_done: bool,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("is_done", &self.is_done).finish_non_exhaustive()
    }
}

impl Scan {
    /// From the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// True once there is nothing more.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Where it goes on, in words of the engine's own; empty at the beginning.
    pub fn place(&self) -> &[u8] {
        &self.place
    }

    /// Notes where it goes on: for an engine.
    pub fn go_on(&mut self, place: &[u8]) {
        place.clone_into(&mut self.place);
    }

    /// Notes that there is nothing more: for an engine.
    pub fn end(&mut self) {
        self.is_done = true;
    }

    /// The key that it goes on after, for an engine whose places are the bytes of keys.
    pub(crate) fn after(&self) -> Option<Key> {
        self.place.last_chunk().map(Key::from_bytes)
    }

    /// The tags of rows that must not be answered again.
    pub(crate) fn seen(&mut self) -> &mut HashSet<u64> {
        &mut self.seen
    }
}
