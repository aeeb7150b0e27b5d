//! Batches: several conditional writes that happen together or not at all.

use super::key::Key;
use super::record::{NewRow, Op, VALUE_BYTES_MAX, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::foreign;
use crate::keyring::random;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A batch has at most this many steps.
pub const BATCH_STEPS_MAX: usize = 64;

/// The values of one batch hold at most this many bytes together.
pub const BATCH_BYTES_MAX: usize = 96 * 1024;

/// What a step expects of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No row is stored under it.
    Absent,
    /// The row stored under it is of this version.
    Is(Version),
}

/// What a step does to its key.
#[derive(Debug, Clone)]
pub enum Write {
    /// Nothing: the expectation is held until the commit, without making batches that share it
    /// wait for each other.
    Keep,
    /// The row is put in place of what is there.
    Put(NewRow),
    /// The row is removed.
    Delete,
}

/// One key of a batch: what is expected of it, and what is done to it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The key.
    pub key: Key,
    /// What must hold for the batch to be applied.
    pub expect: Expect,
    /// What is done if it is.
    pub write: Write,
}

/// Several conditional writes that happen together or not at all.
///
/// Each key that is written carries an expectation which the write itself falsifies, so a batch
/// that is sent twice is applied at most once.
#[derive(Clone)]
pub struct Batch {
    op: Op,
    steps: Vec<Step>,
    urgency: Urgency,
    applied: Option<OnApplied>,
}

/// What is called once a batch is applied; see [`Batch::on_applied`].
#[derive(Clone)]
pub struct OnApplied(Arc<dyn Fn() + Send + Sync>);

impl OnApplied {
    /// Calls it. An engine does so once the batch is durable and everybody sees it, before it
    /// answers, and also if nobody waits for the answer any more. A panic goes no further.
    pub fn call(&self) {
        foreign::call("closure told of a commit", || (self.0)());
    }
}

impl fmt::Debug for OnApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnApplied")
    }
}

/// What a batch is for, which decides whether it is applied where room is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Anything that takes nothing away.
    Usual,
    /// It is the store's own, and gives nobody anything.
    Housekeeping,
    /// It takes something away.
    Revoking,
    /// It takes away everything that an owner has.
    RevokingOwner,
}

impl fmt::Debug for Batch {
    /// Without the rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("op", &self.op)
            .field("steps", &self.steps.len())
            .field("issues", &self.issues())
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// An empty batch with a random name.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system's random generator fails.
    pub fn new() -> Result<Self> {
        Ok(Self { op: fresh_op()?, steps: Vec::new(), urgency: Urgency::Usual, applied: None })
    }

    /// Puts a row where there is none.
    pub fn insert(&mut self, key: Key, row: NewRow) -> &mut Self {
        self.push(key, Expect::Absent, Write::Put(row))
    }

    /// Puts a row in place of the one of this version. Its terms must be the same.
    pub fn replace(&mut self, key: Key, version: Version, row: NewRow) -> &mut Self {
        self.push(key, Expect::Is(version), Write::Put(row))
    }

    /// Removes the row of this version.
    pub fn delete(&mut self, key: Key, version: Version) -> &mut Self {
        self.push(key, Expect::Is(version), Write::Delete)
    }

    /// Requires what `expect` says of a key that the batch does not write.
    pub fn require(&mut self, key: Key, expect: Expect) -> &mut Self {
        self.push(key, expect, Write::Keep)
    }

    /// Takes the steps of another batch along. What both require counts once; false if they expect
    /// different things of one key, and then the batch is not to be committed.
    pub(crate) fn join(&mut self, other: Self) -> bool {
        let mut agree = true;
        for step in other.steps {
            match self.steps.iter().find(|own| own.key == step.key) {
                None => self.steps.push(step),
                Some(own) => {
                    agree &= own.expect == step.expect && matches!(step.write, Write::Keep);
                }
            }
        }
        self.urgency = self.urgency.max(other.urgency);
        self.applied = self.applied.take().or(other.applied);
        agree
    }

    /// Says that the batch takes something away: it is applied even where issuing is refused,
    /// because the disk is full or the clock is not believed.
    pub fn revoking(&mut self) -> &mut Self {
        self.urgency = self.urgency.max(Urgency::Revoking);
        self
    }

    /// Says that the batch takes away everything that an owner has, and writes a few short rows for
    /// it: it may use the room that a full log keeps back for a thousand of its kind. Otherwise as
    /// [`Batch::revoking`].
    pub fn revoking_owner(&mut self) -> &mut Self {
        self.urgency = Urgency::RevokingOwner;
        self
    }

    /// True if the batch is [`revoking_owner`](Self::revoking_owner).
    pub fn revokes_owner(&self) -> bool {
        self.urgency == Urgency::RevokingOwner
    }

    /// Says that the batch is the store's own, and gives nobody anything: it is applied where a
    /// [`revoking`](Self::revoking) one is. What an open writes must not keep the store from
    /// opening.
    pub(crate) fn housekeeping(&mut self) -> &mut Self {
        self.urgency = self.urgency.max(Urgency::Housekeeping);
        self
    }

    /// True if the batch puts rows where there are none, is not [`revoking`](Self::revoking), and
    /// is not the store's own: engines refuse it while the disk is full or the clock is not
    /// believed.
    pub fn issues(&self) -> bool {
        let issues =
            |step: &Step| step.expect == Expect::Absent && matches!(step.write, Write::Put(_));
        self.urgency == Urgency::Usual && self.steps.iter().any(issues)
    }

    /// Has `told` called once the batch is applied, durable, and visible, also if the future of its
    /// commit was dropped meanwhile; never if it is not applied. It runs on a thread of the engine,
    /// in front of later commits: it must return at once, and neither block nor wait.
    pub fn on_applied(&mut self, told: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.applied = Some(OnApplied(Arc::new(told)));
        self
    }

    /// What an engine calls once the batch is applied, if there is anything.
    pub fn applied(&self) -> Option<&OnApplied> {
        self.applied.as_ref()
    }

    /// The name of this batch, stored in each row that it puts.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The steps in the order they were added.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Checks the batch against the limits that every engine holds to.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for more than [`BATCH_STEPS_MAX`] steps, a value over
    /// [`VALUE_BYTES_MAX`], values over [`BATCH_BYTES_MAX`] together, a key that stands twice, or
    /// nothing to write.
    pub fn validate(&self) -> Result<()> {
        if self.steps.len() > BATCH_STEPS_MAX {
            return Err(Error::limit("a batch", self.steps.len(), BATCH_STEPS_MAX, "steps"));
        }
        let mut bytes = 0;
        let mut writes = false;
        for (at, step) in self.steps.iter().enumerate() {
            if let Write::Put(row) = &step.write {
                if row.value.len() > VALUE_BYTES_MAX {
                    let size = row.value.len();
                    return Err(Error::limit("a row's value", size, VALUE_BYTES_MAX, "bytes"));
                }
                if !row.terms.is_empty() && !step.key.kind.is_revised() {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        "rows of a write-once kind carry no index terms: use a revised kind",
                    ));
                }
                bytes += row.value.len();
            }
            writes |= !matches!(step.write, Write::Keep);
            if self.steps.iter().skip(at + 1).any(|other| other.key == step.key) {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("a key stands twice in one batch ({:?}): join its steps", step.key),
                ));
            }
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(Error::limit("a batch", bytes, BATCH_BYTES_MAX, "bytes"));
        }
        if !writes {
            return Err(Error::new(ErrorKind::Limit, "a batch writes at least one key: use get"));
        }
        Ok(())
    }

    fn push(&mut self, key: Key, expect: Expect, write: Write) -> &mut Self {
        self.steps.push(Step { key, expect, write });
        self
    }
}

/// 128 bits that no other batch has: 64 random ones of this process spread over 64 counted ones.
fn fresh_op() -> Result<Op> {
    static PROCESS: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = if let Some(process) = PROCESS.get() {
        *process
    } else {
        let mut bytes = [0; 16];
        random(&mut bytes)?;
        *PROCESS.get_or_init(|| u128::from_le_bytes(bytes))
    };
    let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    // 2^128 / golden ratio, odd: a bijection, so no two counts of one process meet.
    Ok(Op(process.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))))
}
