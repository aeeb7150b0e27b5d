//! When personal access tokens were last used, without a write for each request: uses are kept in
//! memory and written along with grants that are issued anyway.

use crate::grants::Grants;
use grantkeep::backend::Backend;
use grantkeep::{Change, Digest, LastUse, Result, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tokens whose last use is kept in memory at most; of more it is not noted.
pub const USES_KEPT_MAX: usize = 65_536;

/// Uses that are written along with one grant at most.
const ALONG_MAX: usize = 4;

/// Uses that one batch of their own holds.
const BATCH_USES: usize = 32;

/// The uses since the start, and which of them are to be written.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    uses: HashMap<Digest, Use>,
    due: VecDeque<Digest>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: Timestamp,
    /// When the row is of no use any more: with its token.
    expires_at: Timestamp,
    /// The time that was written last, by this process.
    written: Option<Timestamp>,
    /// True while it stands among those to be written, or is being written.
    due: bool,
}

impl Uses {
    /// Notes a use; it is due to be written if that was not done for `resolution`.
    pub(crate) fn note(
        &self,
        id: Digest,
        now: Timestamp,
        expires_at: Timestamp,
        resolution: Duration,
    ) {
        let mut kept = self.lock();
        if kept.uses.len() >= USES_KEPT_MAX && !kept.uses.contains_key(&id) {
            // Those that are written say nothing that their rows do not.
            kept.uses.retain(|_, each| each.due || each.written.is_none_or(|at| at < each.at));
            if kept.uses.len() >= USES_KEPT_MAX {
                return;
            }
        }
        let fresh = Use { at: now, expires_at, written: None, due: false };
        let each = kept.uses.entry(id).or_insert(fresh);
        each.at = each.at.max(now);
        if !each.due && each.written.is_none_or(|written| now.since(written) >= resolution) {
            each.due = true;
            kept.due.push_back(id);
        }
    }

    /// Makes every use due that is not written.
    fn all_due(&self) {
        let mut kept = self.lock();
        let Kept { uses, due } = &mut *kept;
        for (id, each) in uses {
            if !each.due && each.written != Some(each.at) {
                each.due = true;
                due.push_back(*id);
            }
        }
    }

    /// The last use that is known here.
    pub(crate) fn at(&self, id: &Digest) -> Option<Timestamp> {
        self.lock().uses.get(id).map(|each| each.at)
    }

    /// Takes up to `count` that are to be written.
    fn take(&self, count: usize) -> Vec<(Digest, Use)> {
        let mut kept = self.lock();
        let count = count.min(kept.due.len());
        let due: Vec<Digest> = kept.due.drain(..count).collect();
        due.into_iter().filter_map(|id| Some((id, *kept.uses.get(&id)?))).collect()
    }

    /// Says what became of those taken.
    fn settle(&self, taken: &[(Digest, Use)], written: bool) {
        let mut kept = self.lock();
        for (id, was) in taken {
            if let Some(each) = kept.uses.get_mut(id) {
                if written {
                    each.written = Some(was.at);
                    each.due = false;
                } else {
                    kept.due.push_back(*id);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic between two statements leaves a time too old at worst.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uses on their way with a change; put back among those to be written unless it is applied.
#[derive(Debug)]
pub(crate) struct Along<'a> {
    uses: &'a Uses,
    taken: Vec<(Digest, Use)>,
    written: bool,
}

impl Along<'_> {
    pub(crate) fn written(mut self) {
        self.written = true;
    }
}

impl Drop for Along<'_> {
    /// Also when the future that carries them is dropped.
    fn drop(&mut self) {
        self.uses.settle(&self.taken, self.written);
    }
}

impl<B: Backend> Grants<B> {
    /// Writes the last uses of personal access tokens that are only in memory, and answers how
    /// many.
    ///
    /// They are written along with grants that are issued, so this is for a server that is about
    /// to stop, or issues nothing for long. A crash loses at most what was not written: the
    /// policy's `last_used_resolution`, and the time since the last grant.
    ///
    /// # Errors
    /// As [`Backend::commit`]; they are kept for another attempt.
    ///
    /// # Durability
    /// They are durable when this returns.
    pub async fn write_last_uses(&self) -> Result<u64> {
        let mut count = 0;
        loop {
            self.uses().all_due();
            let mut change = self.store().change()?;
            let along = self.add_uses(&mut change, BATCH_USES).await?;
            let taken = along.taken.len() as u64;
            if taken == 0 {
                return Ok(count);
            }
            if change.is_empty() || self.commit_alone(change).await? {
                along.written();
                count += taken;
            }
        }
    }

    /// Adds uses that are due to a change that issues something.
    pub(crate) async fn uses_along(&self, change: &mut Change) -> Result<Along<'_>> {
        self.add_uses(change, ALONG_MAX).await
    }

    async fn add_uses(&self, change: &mut Change, count: usize) -> Result<Along<'_>> {
        let uses = self.uses();
        let now = self.store().now();
        // The longest lifetime may have been shortened since the token was made.
        let latest = now.saturating_add(self.store().lifetime_max());
        let along = Along { taken: uses.take(count), uses, written: false };
        for (id, each) in &along.taken {
            let record = LastUse { at: each.at };
            match self.store().get::<LastUse>(*id).await? {
                Some(held) => change.replace(&held, &record, held.expires_at.min(latest))?,
                // The token has died meanwhile, and with it the question.
                None if each.expires_at <= now => change,
                None => change.insert(*id, &record, each.expires_at.min(latest))?,
            };
        }
        Ok(along)
    }
}
