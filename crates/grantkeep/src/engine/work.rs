//! What the keeper is asked for.

use crate::backend::{Budget, Swept};
use crate::error::Result;
use futures_channel::oneshot;
use std::path::PathBuf;

/// What the keeper is asked for.
#[derive(Debug)]
pub(crate) enum Work {
    /// Supply a segment.
    Supply,
    /// Carry all that is in the log.
    Checkpoint(oneshot::Sender<Result<()>>),
    /// Sweep within a budget.
    Sweep(Budget, oneshot::Sender<Result<Swept>>),
    /// Copy the store into a directory.
    Backup(PathBuf, oneshot::Sender<Result<()>>),
    /// End.
    Stop,
}
