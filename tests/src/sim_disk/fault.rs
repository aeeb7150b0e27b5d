//! Which operations of a disk fail, and how.

use std::io;

/// A fault of a disk. It is counted off from when it is set: its first operation is number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Whether changes and syncs fail, or reads.
    pub of: Operations,
    /// Which of them.
    pub turn: Turn,
    /// In what way.
    pub failure: Failure,
}

/// The operations that a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operations {
    /// Changes of files and names, and syncs.
    Changes,
    /// Reads of files.
    Reads,
}

/// Which operations a fault befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Every one from this number on.
    From(u64),
    /// The one of this number.
    Once(u64),
}

/// How an operation fails. What a failing write was to change is afterwards there, gone, or torn.
/// If one sync fails, the bytes it was for are taken for clean: they are seen until the cache is
/// dropped, and no later sync writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// With an I/O error (`EIO`).
    Io,
    /// For want of space (`ENOSPC`); nothing of it is done.
    Full,
    /// Interrupted (`EINTR`), which the operating system's own disk tries again and a simulated one
    /// shows.
    Interrupted,
    /// Half done: a write or a read ends before its last byte.
    Short,
}

impl Fault {
    /// The disk dies at this operation.
    pub fn dead_from(number: u64) -> Self {
        Self { of: Operations::Changes, turn: Turn::From(number), failure: Failure::Io }
    }

    /// One operation fails.
    pub fn once(number: u64) -> Self {
        Self { of: Operations::Changes, turn: Turn::Once(number), failure: Failure::Io }
    }

    pub(super) fn befalls(&self, of: Operations, number: u64) -> bool {
        let turn = match self.turn {
            Turn::From(first) => number >= first,
            Turn::Once(only) => number == only,
        };
        turn && self.of == of
    }
}

impl Failure {
    pub(super) fn error(self, of: Operations) -> io::Error {
        match (self, of) {
            (Self::Io, _) => io::Error::other("the simulated disk fails"),
            (Self::Full, _) => io::ErrorKind::StorageFull.into(),
            (Self::Interrupted, _) => io::ErrorKind::Interrupted.into(),
            (Self::Short, Operations::Changes) => io::ErrorKind::WriteZero.into(),
            (Self::Short, Operations::Reads) => io::ErrorKind::UnexpectedEof.into(),
        }
    }
}
