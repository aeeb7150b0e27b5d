//! Writing when personal access tokens were last used: along with grants that are issued anyway, or
//! when asked, as by [`Grants::close`].
//!
//! A last use is a row of its own beside the token's, and dies with it: where the token lives until
//! it is revoked, so does the row. It only moves forward. Several [`Grants`] over one store each
//! know their own uses, so a use that is earlier than what its row says is not written, and a list
//! shows the later of the two. The exception is a row of a time that the wall clock has not come
//! to: the clock was set back since, and the row gives way ([`later`]).

use crate::grants::Grants;
use crate::personal::uses::{Along, later};
use grantkeep::backend::Backend;
use grantkeep::{Change, Digest, LastUse, Personal, Result, Timestamp};

/// Uses that are written along with one grant at most.
const ALONG_MAX: usize = 4;

/// Uses that one batch of their own holds: each takes a condition and a write of its
/// [`BATCH_STEPS_MAX`](grantkeep::backend::BATCH_STEPS_MAX).
const BATCH_USES: usize = 32;

impl<B: Backend> Grants<B> {
    /// Writes the last uses of personal access tokens that are only in memory, each once, and
    /// answers how many. What is used meanwhile is left for another time.
    ///
    /// They are written along with grants that are issued, so this is for a server that issues
    /// nothing for long; [`Grants::close`] does it before a stop. A crash loses at most what was
    /// not written: the policy's `last_used_resolution`, and the time since the last grant.
    ///
    /// # Errors
    /// As [`Backend::commit`]; they are kept for another attempt.
    ///
    /// # Durability
    /// They are durable when this returns.
    pub async fn write_last_uses(&self) -> Result<u64> {
        let mut count = 0;
        let until = self.uses().all_due();
        loop {
            let along = self.uses().take(BATCH_USES, until);
            if along.taken().is_empty() {
                return Ok(count);
            }
            let mut change = self.store().change()?;
            let rows = self.add_uses(&mut change, &along).await?;
            if change.is_empty() || self.commit_alone(change).await? {
                along.written();
                count += rows;
            }
        }
    }

    /// Adds uses that are due to a change that issues something.
    pub(crate) async fn uses_along(&self, change: &mut Change) -> Result<Along<'_>> {
        let along = self.uses().take(ALONG_MAX, u64::MAX);
        self.add_uses(change, &along).await?;
        Ok(along)
    }

    /// Adds the rows of uses to a change, and answers how many: a token that has died meanwhile
    /// needs none, nor does one whose row says as much.
    async fn add_uses(&self, change: &mut Change, along: &Along<'_>) -> Result<u64> {
        let (now, wall) = (self.store().now(), self.store().wall());
        let mut rows = 0;
        for used in along.taken() {
            let Some(token) = self.store().get::<Personal>(used.id).await? else { continue };
            if token.is_expired(now) || token.record.revoked_at.is_some() {
                continue;
            }
            let held = self.store().get::<LastUse>(used.id).await?;
            let says_as_much = |at: Timestamp| later(at, used.at, wall) == at;
            if held.as_ref().is_some_and(|held| says_as_much(held.record.at)) {
                continue;
            }
            change.put_beside(&token, held.as_ref(), &LastUse { at: used.at })?;
            rows += 1;
        }
        Ok(rows)
    }

    /// When a personal access token was last used, as far as is known.
    pub(crate) async fn last_use_of(&self, id: Digest) -> Result<Option<Timestamp>> {
        let written = self.store().get::<LastUse>(id).await?.map(|held| held.record.at);
        Ok(match (self.uses().at(&id), written) {
            (Some(noted), Some(written)) => Some(later(noted, written, self.store().wall())),
            (noted, written) => noted.or(written),
        })
    }
}
