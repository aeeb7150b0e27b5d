//! When personal access tokens were last used, in memory: a bounded number of them, and which are
//! to be written.

use grantkeep::{Digest, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tokens whose last use is kept in memory at most; of more it is not noted.
pub const USES_KEPT_MAX: usize = 65_536;

/// The uses since the start, and which of them are to be written.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    uses: HashMap<Digest, Use>,
    due: VecDeque<Digest>,
    /// True if some may have been written since they were looked through for room.
    room: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// By the wall clock.
    pub(crate) at: Timestamp,
    /// When the row is of no use any more: with its token, by the store's time.
    pub(crate) expires_at: Timestamp,
    /// The time that was written last, by this process.
    written: Option<Timestamp>,
    /// True while it stands among those to be written, or is being written.
    due: bool,
}

impl Uses {
    /// Notes a use at this time of the wall clock; it is due to be written if that was not done for
    /// `resolution`.
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
            if std::mem::take(&mut kept.room) {
                kept.uses.retain(|_, each| each.due || each.written != Some(each.at));
            }
            if kept.uses.len() >= USES_KEPT_MAX {
                return;
            }
        }
        let fresh = Use { at: now, expires_at, written: None, due: false };
        let each = kept.uses.entry(id).or_insert(fresh);
        each.at = now;
        // In either direction: the clock may have been set back since.
        let since = |written: Timestamp| now.since(written).max(written.since(now));
        if !each.due && each.written.is_none_or(|written| since(written) >= resolution) {
            each.due = true;
            kept.due.push_back(id);
        }
    }

    /// Makes every use due that is not written.
    pub(crate) fn all_due(&self) {
        let mut kept = self.lock();
        let Kept { uses, due, .. } = &mut *kept;
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

    /// Takes up to `count` that are to be written; they go back unless they are.
    pub(crate) fn take(&self, count: usize) -> Along<'_> {
        let mut kept = self.lock();
        let count = count.min(kept.due.len());
        let due: Vec<Digest> = kept.due.drain(..count).collect();
        let taken = due.into_iter().filter_map(|id| Some((id, *kept.uses.get(&id)?))).collect();
        drop(kept);
        Along { uses: self, taken, written: false }
    }

    /// Says what became of those taken.
    fn settle(&self, taken: &[(Digest, Use)], written: bool) {
        let mut kept = self.lock();
        kept.room |= written;
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
    /// The uses, each with the id of its token.
    pub(crate) fn taken(&self) -> &[(Digest, Use)] {
        &self.taken
    }

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
