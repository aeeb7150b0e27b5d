//! What cannot be done at present, and is tried again: the store's last word on each of its parts.
//!
//! A call that creates, removes, lists, reserves, or notes something fails without harm to what was
//! promised. It is tried again at every tick, and only what needs its result is refused meanwhile.

use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;
use std::error::Error as _;
use std::time::SystemTime;

/// A part of the store that may be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A segment cannot be made, used again, or noted in `LOCK`.
    Segments,
    /// A segment that is not needed cannot be removed.
    Surplus,
    /// The reserve cannot be taken or given up.
    Reserve,
    /// The table cannot be opened, read, or written.
    Table,
}

const PARTS: [Part; 4] = [Part::Table, Part::Segments, Part::Reserve, Part::Surplus];

/// Why a part is in trouble, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) kind: ErrorKind,
    pub(crate) why: String,
    pub(crate) since: SystemTime,
}

impl Trouble {
    /// The error for whoever needs that part.
    pub(crate) fn error(&self) -> Error {
        let way_out = "it is tried again by itself";
        Error::new(self.kind, format!("{}; {way_out}", self.why))
    }
}

/// The trouble of all parts.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<[Option<Trouble>; PARTS.len()]>);

impl Troubles {
    /// Notes how the last try of a part went; answers its trouble from now on.
    pub(crate) fn note(&self, part: Part, went: Result<(), &Error>, now: SystemTime) {
        let mut troubles = self.0.lock();
        let Some(held) = troubles.get_mut(part as usize) else { return };
        *held = went.err().map(|cause| Trouble {
            kind: cause.kind(),
            why: chain(cause),
            since: held.as_ref().map_or(now, |before| before.since),
        });
    }

    /// The trouble of a part, if it is in any.
    pub(crate) fn of(&self, part: Part) -> Option<Trouble> {
        self.0.lock().get(part as usize).cloned().flatten()
    }

    /// The trouble of the part that matters most, if any is in trouble.
    pub(crate) fn worst(&self) -> Option<Trouble> {
        PARTS.iter().find_map(|part| self.of(*part))
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}
