//! Writing when personal access tokens were last used: along with grants that are issued anyway, or
//! when asked.

use crate::grants::Grants;
use crate::uses::Along;
use grantkeep::backend::Backend;
use grantkeep::{Change, LastUse, Result};

/// Uses that are written along with one grant at most.
const ALONG_MAX: usize = 4;

/// Uses that one batch of their own holds.
const BATCH_USES: usize = 32;

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
        // Once: what is used while this writes must not keep it writing.
        self.uses().all_due();
        loop {
            let mut change = self.store().change()?;
            let along = self.add_uses(&mut change, BATCH_USES).await?;
            let taken = along.taken().len() as u64;
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
        let now = self.store().now();
        // The token may live for good, or the longest lifetime have been shortened since it was
        // made. Not from `now` on: the change may have begun before, and judges by that.
        let latest = change.latest();
        let along = self.uses().take(count);
        for (id, each) in along.taken() {
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
