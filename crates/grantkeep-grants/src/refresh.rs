//! Refreshing, RFC 6749 section 6: rotation that notices reuse and survives a lost response.

use crate::attachment::Attachment;
use crate::audience::AskedAudience;
use crate::event::Event;
use crate::generation::Presented;
use crate::grants::{Grants, can_be_held, check_presented};
use crate::observe;
use crate::opening::{Pair, expires_in, family_token};
use crate::policy::Refreshing;
use crate::proof::token_type;
use crate::redeem::Mismatch;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::setter::setter;
use grantkeep::backend::Backend;
use grantkeep::sabotage::{self, Flaw};
use grantkeep::{
    Confirmation, Family, FamilyId, FamilyState, Held, Result, RevocationReason, Timestamp,
};
use std::time::Duration;
use zeroize::Zeroizing;

/// What comes with a refresh token. The server has already authenticated the client.
#[derive(Debug, Clone)]
pub struct RefreshRequest<'a> {
    client: &'a str,
    scopes: Option<String>,
    audience: AskedAudience,
    confirmation: Option<Confirmation>,
}

impl<'a> RefreshRequest<'a> {
    /// A refresh token presented by this client.
    pub fn by(client: &'a str) -> Self {
        Self { client, scopes: None, audience: AskedAudience::Unset, confirmation: None }
    }

    setter! {
        /// The `scope` of the request: some of the granted ones, for this access token only. All of
        /// the granted ones without it.
        scopes
    }

    setter! {
        /// The `resource` parameters of the request (RFC 8707 section 2.2): some of the granted
        /// audience, for this access token only. All of it where that is left out or names none.
        audience
    }

    setter! {
        /// The key whose possession the request proved; a family that is bound to one demands it
        /// (RFC 9449 section 5).
        confirmation
    }
}

/// The answer to a presented refresh token.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refreshed {
    /// A new access token, and the refresh token to use next (the same one where the policy does
    /// not rotate).
    Rotated(Box<Pair>),
    /// The predecessor came again within the grace period, and its successor is unused: the same
    /// successor, and a new access token.
    Retried(Box<Pair>),
    /// A spent refresh token. Its family is revoked, durably, when this is seen (RFC 9700 section
    /// 4.14.2).
    Reused {
        /// That family.
        family: FamilyId,
    },
    /// It is too late: unused for too long, or the grant has ended.
    Expired,
    /// Its family, subject, or client was revoked.
    Revoked,
    /// It belongs to another client, or another key; nothing was changed.
    Mismatch(Mismatch),
    /// The scopes asked for are malformed, or more than was granted; nothing was changed.
    InvalidScope,
    /// An audience was asked for that was not granted (RFC 8707 section 2); nothing was changed.
    InvalidTarget,
    /// There is no such token.
    Unknown,
}

/// What is to be done about a presented token.
enum Verdict {
    Answer(Refreshed),
    /// Revoke the family.
    Reuse,
    Issue(Issue),
}

/// Which use of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The first of the present one.
    Present,
    /// One more of its predecessor, within the grace period.
    Retry,
    /// One of a spent one.
    Spent,
    /// The family has expired.
    TooLate,
}

/// An access token to be issued, beside the refresh token of a generation.
struct Issue {
    scopes: Scopes,
    audience: String,
    generation: u32,
    retry: bool,
}

impl<B: Backend> Grants<B> {
    /// Refreshes: the presented generation is spent and the next one issued, in one batch.
    ///
    /// Any spent generation that comes again revokes the family, except the immediate predecessor
    /// within the policy's grace period. Nothing tells a forged token from an unknown one.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a token over the limit;
    /// [`ErrorKind::Keyring`](grantkeep::ErrorKind::Keyring) if the root key of a sealed payload
    /// was retired; otherwise as [`Backend::commit`]. After
    /// [`ErrorKind::Unknown`](grantkeep::ErrorKind::Unknown) the same token may be presented again
    /// within the grace period.
    ///
    /// # Durability
    /// Every answer rests on durable state; `Rotated`, `Retried`, and `Reused` are durable when
    /// answered.
    pub async fn refresh(&self, token: &str, request: &RefreshRequest<'_>) -> Result<Refreshed> {
        let _decision = observe::decision("refresh");
        check_presented(token)?;
        if self.policy.refreshing == Refreshing::Off || !can_be_held(token) {
            return Ok(Refreshed::Unknown);
        }
        loop {
            let Some(Presented { held, generation }) = self.presented(token).await? else {
                return Ok(Refreshed::Unknown);
            };
            let answer = match self.judge(&held, generation, request) {
                Verdict::Answer(answer) => Some(answer),
                Verdict::Reuse => Some(self.reused(held.record.id).await?),
                Verdict::Issue(issue) => self.issue(token, held, issue).await?,
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Which use of a generation it would be to refresh by it now.
    pub(crate) fn use_of(&self, held: &Held<Family>, presented: u32) -> Use {
        let (family, now) = (&held.record, self.store.now());
        // Less than a second would be an access token that is announced with no lifetime at all.
        if held.expires_at.since(now) < Duration::from_secs(1) {
            return Use::TooLate;
        }
        match family.generation.saturating_sub(presented) {
            0 => Use::Present,
            1 if now.since(family.rotated_at) < self.policy.refresh_grace => Use::Retry,
            _ if sabotage::is(Flaw::GraceForUsedSuccessor) => Use::Retry,
            _ => Use::Spent,
        }
    }

    pub(crate) async fn reused(&self, family: FamilyId) -> Result<Refreshed> {
        self.revoke_family_for(family, RevocationReason::RefreshReused).await?;
        self.events().tell(|| Event::Reused { family });
        Ok(Refreshed::Reused { family })
    }

    fn judge(&self, held: &Held<Family>, presented: u32, request: &RefreshRequest<'_>) -> Verdict {
        let family = &held.record;
        if family.client != request.client {
            return Verdict::Answer(Refreshed::Mismatch(Mismatch::Client));
        }
        if family.confirmation.is_some() && family.confirmation != request.confirmation {
            return Verdict::Answer(Refreshed::Mismatch(Mismatch::Confirmation));
        }
        let retry = match self.use_of(held, presented) {
            Use::TooLate => return Verdict::Answer(Refreshed::Expired),
            Use::Spent => return Verdict::Reuse,
            Use::Retry => true,
            Use::Present => false,
        };
        if family.state != FamilyState::Active {
            return Verdict::Answer(Refreshed::Revoked);
        }
        let granted = Scopes::stored(family.scopes.clone());
        let scopes = match request.scopes.as_deref().map(Scopes::read) {
            None => granted,
            Some(Ok(asked)) if asked.is_subset(&granted) => asked,
            Some(_) => return Verdict::Answer(Refreshed::InvalidScope),
        };
        let Some(audience) = request.audience.narrowed(&family.audience) else {
            return Verdict::Answer(Refreshed::InvalidTarget);
        };
        let moves_on = self.policy.refreshing == Refreshing::Rotating && !retry;
        match family.generation.checked_add(u32::from(moves_on)) {
            Some(generation) => Verdict::Issue(Issue { scopes, audience, generation, retry }),
            // After 2^32 rotations there is no next one: the grant has ended.
            None => Verdict::Answer(Refreshed::Expired),
        }
    }

    /// Issues in one batch; `None` if something it rests on changed meanwhile.
    async fn issue(
        &self,
        token: &str,
        held: Held<Family>,
        Issue { scopes, audience, generation, retry }: Issue,
    ) -> Result<Option<Refreshed>> {
        let (standing, now) =
            self.standing_or_closed(&held.record.subject, &held.record.client).await?;
        if !standing.admit(&held.record.epochs) {
            return self.unless_changed(&held, Refreshed::Revoked).await;
        }
        let mut change = self.store.change()?;
        let mut family = held.record.clone();
        let mut expires_at = held.expires_at;
        let refresh = if retry {
            change.require(&held);
            match self.successor(token, &family).await? {
                Some(successor) => successor,
                // Under the policy it was spent by there was no grace.
                None => return self.reused(family.id).await.map(Some),
            }
        } else {
            expires_at = self.idle_until(&family, now);
            let refresh = if family.generation == generation {
                self.unchanged(token, &family)?
            } else {
                family.generation = generation;
                self.note_rotation(&mut family, now);
                let refresh = self.add_refresh(&mut change, &mut family, expires_at)?;
                if family.brought.is_some() {
                    self.keep_successor(&mut change, token, &refresh, now)?;
                }
                refresh
            };
            change.replace(&held, &family, expires_at)?;
            refresh
        };
        standing.require(&mut change);
        let keyring = self.store.keyring();
        let open = |payload| Attachment::open(payload, &keyring, &family.salt);
        let attachment = family.payload.as_ref().map(open).transpose()?;
        let access_until = now.saturating_add(self.policy.access_lifetime).min(expires_at);
        let narrowed = (scopes.as_str().to_owned(), audience);
        let record = family_token(&family, &standing, self.store.wall(), narrowed);
        let access = self.add_token(&mut change, record, access_until, attachment.as_ref())?;
        if !self.commit(change).await? {
            return Ok(None);
        }
        self.events().tell(|| {
            let family = family.id;
            if retry { Event::Retried { family } } else { Event::Rotated { family, generation } }
        });
        let pair = Box::new(Pair {
            access,
            refresh: Some(refresh),
            expires_in: expires_in(now, access_until),
            token_type: token_type(family.confirmation.as_ref()),
            scopes,
            subject: family.subject,
            nonce: None,
            payload: attachment.as_ref().map(Attachment::bytes),
            family: family.id,
        });
        Ok(Some(if retry { Refreshed::Retried(pair) } else { Refreshed::Rotated(pair) }))
    }

    /// The present refresh token, for who presents its predecessor.
    pub(crate) async fn successor(
        &self,
        predecessor: &str,
        family: &Family,
    ) -> Result<Option<Secret>> {
        if family.brought.is_some() {
            return self.kept_successor(predecessor).await;
        }
        self.derived(family).map(Some)
    }

    /// The present refresh token, for who presents it where it does not rotate.
    fn unchanged(&self, token: &str, family: &Family) -> Result<Secret> {
        if family.brought.is_some() {
            return Ok(Secret::new(Zeroizing::new(token.to_owned())));
        }
        self.derived(family)
    }

    fn idle_until(&self, family: &Family, now: Timestamp) -> Timestamp {
        now.saturating_add(self.policy.refresh_idle).min(family.absolute_expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opening::Grant;
    use crate::policy::Policy;
    use crate::refresh_token;
    use grantkeep::{Store, SystemClock, Wait as _};
    use std::sync::Arc;

    // Goal: P4, a generation that was not issued is unknown, though it is derived from the right
    // keys (as after a restore of an older store). Method: derive the next generation here.
    #[test]
    fn a_generation_not_issued_is_unknown() {
        let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
        let grants = Grants::new(store, Policy::default()).unwrap();
        let pair = grants.password(Grant::new("client-1", "alice")).wait().unwrap();
        let held = grants.store.get::<Family>(pair.family.digest()).wait().unwrap().unwrap();
        let family = held.record;
        let keyring = grants.store.keyring();
        let root = keyring.active().unwrap();
        let format = &grants.policy.refresh_format;
        let request = RefreshRequest::by("client-1");
        for (generation, known) in [(2, false), (0, true), (1, true)] {
            let token = refresh_token::derive(root, &family.salt, family.id, generation, format);
            let answer = grants.refresh(token.expose(), &request).wait().unwrap();
            assert_eq!(!matches!(answer, Refreshed::Unknown), known, "generation {generation}");
        }
    }

    // Goal: after the last generation the grant has ended, and no number is used twice. Method: a
    // family at the last generation but one, and at the last.
    #[test]
    fn the_last_generation_ends_the_grant() {
        for (generation, rotates) in [(u32::MAX - 1, true), (u32::MAX, false)] {
            let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
            let grants = Grants::new(store, Policy::default()).unwrap();
            let pair = grants.password(Grant::new("client-1", "alice")).wait().unwrap();
            let held = grants.store.get::<Family>(pair.family.digest()).wait().unwrap().unwrap();
            let family = Family { generation, ..held.record.clone() };
            let mut change = grants.store.change().unwrap();
            change.replace(&held, &family, held.expires_at).unwrap();
            grants.store.commit(change).wait().unwrap();
            let keyring = grants.store.keyring();
            let root = keyring.active().unwrap();
            let format = &grants.policy.refresh_format;
            let token = refresh_token::derive(root, &family.salt, family.id, generation, format);
            let request = RefreshRequest::by("client-1");
            let answer = grants.refresh(token.expose(), &request).wait().unwrap();
            assert_eq!(matches!(answer, Refreshed::Rotated(_)), rotates);
            assert_eq!(matches!(answer, Refreshed::Expired), !rotates);
        }
    }
}
