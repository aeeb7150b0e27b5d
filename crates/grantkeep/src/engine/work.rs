//! What the keeper is asked for.

use super::verify::{Progress, Verified};
use crate::backend::{Budget, Swept};
use crate::error::Result;
use futures_channel::oneshot;
use std::fmt;
use std::path::PathBuf;

/// What the keeper is asked for.
pub(crate) enum Work {
    /// Supply a segment.
    Supply,
    /// Carry all that is in the log.
    Checkpoint(oneshot::Sender<Result<()>>),
    /// Sweep within a budget.
    Sweep(Budget, oneshot::Sender<Result<Swept>>),
    /// Copy the store into a directory.
    Backup(PathBuf, oneshot::Sender<Result<()>>),
    /// Read everything.
    Verify(Progress, oneshot::Sender<Result<Verified>>),
    /// End.
    Stop,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supply => "Supply",
            Self::Checkpoint(_) => "Checkpoint",
            Self::Sweep(..) => "Sweep",
            Self::Backup(..) => "Backup",
            Self::Verify(..) => "Verify",
            Self::Stop => "Stop",
        })
    }
}
