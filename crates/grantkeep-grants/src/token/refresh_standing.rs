//! What a refresh token is worth before it is used, for server libraries whose flow looks at one
//! in one call and uses it in another.

use crate::decision::{Flow, Found, Owned, Standing, Verdict};
use crate::family::refresh::{FoundToken, Use};
use crate::grants::{Grants, can_be_held};
use crate::policy::Refreshing;
use crate::token::introspect::Claims;
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
        /// Whether it is revoked; see [`Policy::on_reuse`](crate::Policy::on_reuse).
        revoked: bool,
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
        if !can_be_held(token) {
            return Ok(RefreshStanding::Unusable);
        }
        self.decide(&mut Look { token }).await
    }
}

/// A refresh token that is looked at.
struct Look<'a> {
    token: &'a str,
}

impl<B: Backend> Flow<B> for Look<'_> {
    const NAME: &'static str = "refresh_standing";
    type Read = FoundToken;
    type Rests = Standing;
    type Answer = RefreshStanding;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<FoundToken, RefreshStanding>> {
        let found = FoundToken::read(grants, self.token).await?;
        Ok(Found::or(found, RefreshStanding::Unusable))
    }

    fn owners<'r>(&'r self, read: &'r FoundToken) -> Owned<'r> {
        read.owners()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        read: FoundToken,
        standing: &Standing,
    ) -> Result<Verdict<RefreshStanding>> {
        let unusable = RefreshStanding::Unusable;
        if grants.policy.refreshing == Refreshing::Off {
            return Ok(Verdict::answer(unusable));
        }
        match read.use_now(grants) {
            Use::TooLate | Use::OneTooMany => return Ok(Verdict::answer(unusable)),
            Use::Spent => {
                return read
                    .reused(grants, |family, revoked| RefreshStanding::Reused { family, revoked });
            }
            Use::Present | Use::Retry => {}
        }
        let held = read.held;
        if !held.in_force(grants.store.now()) {
            return Ok(Verdict::answer(unusable));
        }
        if !standing.admits(&held.record.epochs) {
            return Ok(Verdict::if_unchanged(&held, unusable));
        }
        let claims = grants.refresh_claims(held);
        Ok(Verdict::answer(RefreshStanding::Usable(Box::new(claims))))
    }
}
