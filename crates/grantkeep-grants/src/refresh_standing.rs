//! What a refresh token is worth before it is used, for server libraries whose flow looks at one
//! in one call and uses it in another.

use crate::generation::Presented;
use crate::grants::{Grants, can_be_held};
use crate::introspect::Claims;
use crate::observe;
use crate::policy::Refreshing;
use crate::refresh::{Refreshed, Use};
use grantkeep::backend::Backend;
use grantkeep::{FamilyId, Result};

/// The answer to a refresh token that is looked at.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefreshStanding {
    /// It can be used: it is the present one, or its immediate predecessor within the grace
    /// period. What it stands for; the client is the caller's to check.
    Usable(Box<Claims>),
    /// It is a spent one. Its family is revoked, durably, when this is seen (RFC 9700 section
    /// 4.14.2).
    Reused {
        /// That family.
        family: FamilyId,
    },
    /// It is unknown, expired, or revoked.
    Unusable,
}

impl<B: Backend> Grants<B> {
    /// Looks at a refresh token without using it. A spent one is reuse, whoever presents it, and
    /// revokes the family, as [`Grants::refresh`] would. No other kind of token is usable, also if
    /// it has the same text.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// `Reused` is durable when answered.
    pub async fn refresh_standing(&self, token: &str) -> Result<RefreshStanding> {
        let _decision = observe::decision("refresh_standing");
        if self.policy.refreshing == Refreshing::Off || !can_be_held(token) {
            return Ok(RefreshStanding::Unusable);
        }
        let Some(Presented { held, generation }) = self.presented(token).await? else {
            return Ok(RefreshStanding::Unusable);
        };
        let spent = match self.use_of(&held, generation) {
            Use::TooLate => return Ok(RefreshStanding::Unusable),
            Use::Spent => true,
            Use::Present => false,
            Use::Retry => self.successor(token, &held.record).await?.is_none(),
        };
        if spent {
            let Refreshed::Reused { family } = self.reused(held.record.id).await? else {
                return Ok(RefreshStanding::Unusable);
            };
            return Ok(RefreshStanding::Reused { family });
        }
        let claims = self.refresh_claims(held).await?;
        Ok(claims
            .map_or(RefreshStanding::Unusable, |claims| RefreshStanding::Usable(Box::new(claims))))
    }
}
