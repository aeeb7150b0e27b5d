//! What an engine must do: a conditional key-value store with expiry and index terms. It knows
//! nothing of OAuth.

mod batch;
pub mod conformance;
mod health;
mod key;
pub(crate) mod record;
mod scan;
mod stats;

pub use batch::{BATCH_BYTES_MAX, BATCH_STEPS_MAX, Batch, Expect, OnApplied, Step, Write};
pub use health::Health;
pub use key::{Key, Kind, TERMS_MAX, Term, Terms};
pub use record::{NewRow, Op, Row, VALUE_BYTES_MAX, Version};
pub use scan::Scan;
pub use stats::{KindRows, Stats};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// One page of a listing holds at most this many rows.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// The outcome of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it happened, and is durable to the engine's full promise.
    Applied,
    /// Nothing of it happened: the expectation on this key, the first that failed, does not hold.
    Conflict(Key),
}

/// One page of a listing.
#[derive(Clone, Default)]
pub struct Page {
    /// Rows in the order of their keys; expired ones that are not yet swept are among them.
    pub rows: Vec<Row>,
    /// Where the next page starts, or `None` after the last.
    pub next: Option<Key>,
}

impl fmt::Debug for Page {
    /// How many rows there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("rows", &self.rows.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// How much a sweep may do before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Stop after about this many rows.
    pub rows: u64,
}

impl Budget {
    /// At most about `rows` rows.
    pub const fn rows(rows: u64) -> Self {
        Self { rows }
    }

    /// As much as there is.
    pub const ALL: Self = Self { rows: u64::MAX };
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows removed.
    pub rows: u64,
    /// Windows that were closed by it.
    pub windows: u64,
    /// True if dead windows are left, because the budget was used up.
    pub more: bool,
}

/// A conditional key-value store with expiry and index terms.
///
/// - A batch is atomic, durable to the engine's full promise when it answers
///   [`Outcome::Applied`], and linearizable with every other. A batch whose future is dropped may
///   still be applied.
/// - What a batch was given to be called ([`Batch::on_applied`]) is called once it is applied,
///   before the answer, whether or not anybody still waits for that.
/// - `get` and `list` answer durable state only, and answer expired rows that are not yet swept:
///   validity is the caller's to judge, by [`Row::expires_at`] against [`Backend::now`].
/// - Every batch falsifies one of its own expectations, so sending it again after
///   [`ErrorKind::Unknown`] is safe, and the [`Op`] stored in the rows
///   tells whose write won.
/// - Futures complete on any executor, and with [`Wait`](crate::Wait) on none.
pub trait Backend: Send + Sync + 'static {
    /// The time by which validity is judged. It never goes back, so it gets ahead of the wall clock
    /// where that was ahead for a while, and was then corrected.
    fn now(&self) -> Timestamp;

    /// The time that may be acted on for good: never after [`Backend::now`], which may go back to
    /// it where the clock has leapt ahead and that is taken back. What has ended by it has ended.
    ///
    /// A backend that judges validity by no clock which leaps leaves this as it is.
    fn settled(&self) -> Timestamp {
        self.now()
    }

    /// The wall clock as it is, in which everybody else lives.
    ///
    /// A backend that judges validity by the wall clock itself leaves this as it is.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// How far [`Backend::now`] is ahead of [`Backend::wall`], to about two seconds: it changes in
    /// steps, so that a time which is converted twice is the same both times.
    ///
    /// A backend that judges validity by the wall clock itself leaves this as it is.
    fn lead(&self) -> Duration {
        Duration::ZERO
    }

    /// The end, on the wall clock, up to which rows of the kind [`Kind::REMEMBERED`] may have been
    /// swept: whether something that ends before it was seen is not known any more. It lies in the
    /// past, unless the clock was set back since.
    ///
    /// A backend that keeps such rows for good leaves this as it is.
    fn forgotten(&self) -> Timestamp {
        Timestamp::default()
    }

    /// The row under `key`, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where the stored bytes are not what was
    /// written.
    fn get(&self, key: Key) -> impl Future<Output = Result<Option<Row>>> + Send;

    /// Applies `batch` if all of its expectations hold.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] if it may have happened; with any other
    /// kind it did not.
    ///
    /// # Durability
    /// `Applied` and `Conflict` both rest on durable state only.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<Outcome>> + Send;

    /// Up to `limit` rows (at most [`PAGE_ROWS_MAX`]) that carry `term`, in the order of their
    /// keys, after the key `after`.
    ///
    /// # Errors
    /// As [`Backend::get`].
    fn list(
        &self,
        term: Term,
        after: Option<Key>,
        limit: usize,
    ) -> impl Future<Output = Result<Page>> + Send;

    /// The next rows of all that are stored, in no order that means anything, as many as suits the
    /// engine; none may be among them before the [end](Scan::is_done). Each row that is there
    /// throughout is answered once, as it is when its turn comes; expired ones that are not yet
    /// swept are among them. Nobody waits for a scan.
    ///
    /// A backend that cannot be gone through leaves this as it is.
    ///
    /// # Errors
    /// As [`Backend::get`]; [`ErrorKind::Unavailable`] where there is no such thing.
    fn scan(&self, scan: &mut Scan) -> impl Future<Output = Result<Vec<Row>>> + Send {
        let _ = scan;
        async { Err(Error::new(ErrorKind::Unavailable, "this backend cannot be gone through")) }
    }

    /// Removes rows whose window of death has passed. Those of the kind [`Kind::REMEMBERED`] stay
    /// for a day longer if time has leapt ahead, and until the wall clock has come to their end if
    /// the leap was taken back meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the engine takes no work.
    fn sweep(&self, budget: Budget) -> impl Future<Output = Result<Swept>> + Send;

    /// Believes the clock as it is now, after [`ErrorKind::Clock`].
    fn accept_clock(&self);

    /// What the engine holds and does; cheap enough to ask every second.
    fn stats(&self) -> Stats;
}
