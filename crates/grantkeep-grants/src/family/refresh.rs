//! Refreshing, RFC 6749 section 6: rotation that notices reuse and survives a lost response.

use crate::clients::GrantType;
use crate::decision::{Flow, Found, Owned, Standing, Verdict};
use crate::events::Told;
use crate::events::event::Event;
use crate::family::ending::{end_family, mismatched};
use crate::family::generation::Presented;
use crate::family::opening::{expires_in, family_token};
use crate::grants::{Grants, can_be_held, check_presented};
use crate::policy::{OnReuse, Policy, Refreshing, Retries};
use crate::request::audience::AskedAudience;
use crate::request::issued::Issued;
use crate::request::mismatch::Mismatch;
use crate::request::proof::token_type;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::Attachment;
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::sabotage::{self, Flaw};
use grantkeep::{
    Confirmation, Family, FamilyId, FamilyState, Held, Result, RevocationReason, Timestamp, Token,
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
        /// the granted ones where it is left out or names none.
        some_scopes
    }

    setter! {
        /// The `resource` parameters of the request (RFC 8707 section 2.2): some of the granted
        /// audience, for this access token only. All of it where that is left out or names none.
        audience
    }

    setter! {
        /// The key whose possession the request proved: the access token is bound to it. The family
        /// of a public client that is bound to a key demands that one; one of a client that
        /// authenticates takes any (RFC 9449 section 5, RFC 8705 section 7.1).
        confirmation
    }
}

/// The answer to a presented refresh token.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refreshed {
    /// A new access token, and the refresh token to use next (the same one where the policy does
    /// not rotate).
    Rotated(Box<Issued>),
    /// The predecessor came again within the grace period, and its successor is unused: the same
    /// successor, and a new access token.
    Retried(Box<Issued>),
    /// A spent refresh token: it comes past the grace period, or after its successor was used. Its
    /// family is revoked, durably, when this is seen (RFC 9700 section 4.14.2), unless the policy's
    /// `on_reuse` says otherwise.
    Reused {
        /// That family.
        family: FamilyId,
        /// Whether it is revoked.
        revoked: bool,
    },
    /// The predecessor came again within the grace period, and more often than the policy's
    /// `refresh_retries` allows. Nothing was changed: the family is in force, and so is the
    /// successor.
    RetriedTooOften,
    /// It is too late: unused for too long, or the grant has ended.
    Expired,
    /// Its family, subject, or client was revoked.
    Revoked,
    /// Its client is registered, and not for refresh tokens; nothing was changed.
    Unauthorized,
    /// It belongs to another client, or another key; nothing was changed.
    Mismatch(Mismatch),
    /// The scopes asked for are malformed, or more than was granted; nothing was changed.
    InvalidScope,
    /// An audience was asked for that was not granted (RFC 8707 section 2); nothing was changed.
    InvalidTarget,
    /// There is no such token.
    Unknown,
}

/// Which use of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The first of the present one.
    Present,
    /// One more of its predecessor, within the grace period.
    Retry,
    /// One more of its predecessor than the policy allows.
    OneTooMany,
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
        check_presented(token)?;
        if !can_be_held(token) {
            return Ok(Refreshed::Unknown);
        }
        self.decide(&mut Refresh { token, request }).await
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
            1 if now.since(family.rotated_at) < self.policy.refresh_grace => {
                match self.policy.refresh_retries {
                    Retries::Count(retries)
                        if family.retries >= retries && !sabotage::is(Flaw::RetryUncounted) =>
                    {
                        Use::OneTooMany
                    }
                    Retries::Count(_) | Retries::UntilUsed => Use::Retry,
                }
            }
            _ if sabotage::is(Flaw::GraceForUsedSuccessor) => Use::Retry,
            _ => Use::Spent,
        }
    }

    /// The present refresh token, for who presents it where it does not rotate.
    fn unchanged(&self, token: &str, family: &Family) -> Result<Secret> {
        if family.brought.is_some() {
            return Ok(Secret::new(Zeroizing::new(token.to_owned())));
        }
        self.derived(family)
    }

    /// Until when a family lives if it is used now, and no more. One with a lifetime of its own has
    /// no longer one than the policy has by now.
    pub(crate) fn idle_until(&self, family: &Family, now: Timestamp) -> Timestamp {
        let own = family.idle_s.map_or(Duration::MAX, Duration::from_secs);
        let idle = own.min(self.policy.refresh_idle);
        now.saturating_add(idle).min(family.absolute_expires_at)
    }
}

/// A refresh token that is presented.
struct Refresh<'a> {
    token: &'a str,
    request: &'a RefreshRequest<'a>,
}

/// A presented refresh token as it was found.
pub(crate) struct FoundToken {
    pub(crate) held: Held<Family>,
    pub(crate) generation: u32,
    /// The brought text that came after it, if one was kept.
    successor: Option<Secret>,
}

impl FoundToken {
    /// The refresh token of this text.
    pub(crate) async fn read<B: Backend>(grants: &Grants<B>, text: &str) -> Result<Option<Self>> {
        let Some(Presented { held, generation }) = grants.presented(text).await? else {
            return Ok(None);
        };
        let follows = held.record.generation.checked_sub(1) == Some(generation);
        let mut successor = None;
        if held.record.brought.is_some() && follows {
            successor = grants.kept_successor(text).await?;
        }
        Ok(Some(Self { held, generation, successor }))
    }

    pub(crate) fn owners(&self) -> Owned<'_> {
        let Family { subject, client, session, .. } = &self.held.record;
        Owned { subject, client, session: *session }
    }

    /// Which use of its generation it is now.
    pub(crate) fn use_now<B: Backend>(&self, grants: &Grants<B>) -> Use {
        let used = grants.use_of(&self.held, self.generation);
        // Under the policy that a brought text was spent by there may have been no grace.
        let lost = self.held.record.brought.is_some() && self.successor.is_none();
        if used == Use::Retry && lost { Use::Spent } else { used }
    }

    /// It was spent, and came again: its family ends, unless the policy says otherwise.
    pub(crate) fn reused<B: Backend, A>(
        self,
        grants: &Grants<B>,
        answer: impl FnOnce(FamilyId, bool) -> A,
    ) -> Result<Verdict<A>> {
        let Family { client, subject, id: family, state, .. } = self.held.record.clone();
        let told = |told: Told| told.event(|| Event::Reused { client, subject, family });
        if grants.policy.on_reuse == OnReuse::Refuse {
            let revoked = state != FamilyState::Active;
            return Ok(Verdict::Answer(answer(family, revoked), told(grants.told())));
        }
        let reason = RevocationReason::RefreshReused;
        end_family(grants, Some(self.held), reason, told, answer(family, true))
    }
}

impl<B: Backend> Flow<B> for Refresh<'_> {
    const NAME: &'static str = "refresh";
    type Read = FoundToken;
    type Rests = Standing;
    type Answer = Refreshed;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<FoundToken, Refreshed>> {
        let found = FoundToken::read(grants, self.token).await?;
        Ok(Found::or(found, Refreshed::Unknown))
    }

    fn owners<'r>(&'r self, read: &'r FoundToken) -> Owned<'r> {
        read.owners()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        read: FoundToken,
        standing: &Standing,
    ) -> Result<Verdict<Refreshed>> {
        if grants.policy.refreshing == Refreshing::Off {
            return Ok(Verdict::answer(Refreshed::Unknown));
        }
        let (family, request) = (&read.held.record, self.request);
        let refused = |what| {
            let whose = (&family.subject[..], Some(family.id));
            mismatched(grants, whose, request.client, what, Refreshed::Mismatch)
        };
        if family.client != request.client {
            return Ok(refused(Mismatch::Client));
        }
        if family.confirmation.is_some() && family.confirmation != request.confirmation {
            return Ok(refused(Mismatch::Confirmation));
        }
        let used = read.use_now(grants);
        match used {
            Use::TooLate => return Ok(Verdict::answer(Refreshed::Expired)),
            Use::Spent => return read.reused(grants, reused),
            Use::OneTooMany | Use::Retry | Use::Present => {}
        }
        if family.state != FamilyState::Active {
            return Ok(Verdict::answer(Refreshed::Revoked));
        }
        if used == Use::OneTooMany {
            return Ok(if standing.admits(&family.epochs) {
                Verdict::answer(Refreshed::RetriedTooOften)
            } else {
                Verdict::if_unchanged(&read.held, Refreshed::Revoked)
            });
        }
        let retry = used != Use::Present;
        let granted = Scopes::stored(family.scopes.clone());
        // An empty `scope` counts as left out (RFC 6749 section 3.1); one of blanks is malformed.
        let asked = request.scopes.as_deref().filter(|scopes| !scopes.is_empty());
        let scopes = match asked.map(Scopes::read) {
            None => granted,
            Some(Ok(asked)) if !asked.is_empty() && asked.is_subset(&granted) => asked,
            Some(_) => return Ok(Verdict::answer(Refreshed::InvalidScope)),
        };
        let Some(audience) = request.audience.narrowed(&family.audience) else {
            return Ok(Verdict::answer(Refreshed::InvalidTarget));
        };
        if retry && starts_one_too_many(&grants.policy, family) {
            return read.reused(grants, reused);
        }
        let moves_on = grants.policy.refreshing == Refreshing::Rotating && !retry;
        let Some(generation) = family.generation.checked_add(u32::from(moves_on)) else {
            // After 2^32 rotations there is no next one: the grant has ended.
            return Ok(Verdict::answer(Refreshed::Expired));
        };
        if !standing.admits(&family.epochs) {
            return Ok(Verdict::if_unchanged(&read.held, Refreshed::Revoked));
        }
        if !standing.permits(GrantType::RefreshToken.as_str()) {
            return Ok(Verdict::answer(Refreshed::Unauthorized));
        }
        self.issue(grants, read, standing, Issue { scopes, audience, generation, retry })
    }
}

impl Refresh<'_> {
    fn issue<B: Backend>(
        &self,
        grants: &Grants<B>,
        FoundToken { held, successor, .. }: FoundToken,
        standing: &Standing,
        Issue { scopes, audience, generation, retry }: Issue,
    ) -> Result<Verdict<Refreshed>> {
        let mut issuing = standing.issue(grants)?;
        let now = issuing.now();
        let mut family = held.record.clone();
        let mut expires_at = held.expires_at;
        let in_row = retry && starts_row(&grants.policy, &family);
        let refresh = if retry {
            note_retry(&mut family);
            successor.map_or_else(|| grants.derived(&family), Ok)?
        } else {
            expires_at = grants.idle_until(&family, now);
            family.refreshes = family.refreshes.saturating_add(1);
            grants.note_rotation(&mut family, now);
            if family.generation == generation {
                grants.unchanged(self.token, &family)?
            } else {
                family.generation = generation;
                if family.retries == 0 {
                    family.retried_generations = 0;
                }
                family.retries = 0;
                let refresh = grants.add_refresh(&mut issuing, &mut family, expires_at)?;
                if family.brought.is_some() {
                    grants.keep_successor(&mut issuing, self.token, &refresh)?;
                }
                refresh
            }
        };
        issuing.replace(&held, &family, expires_at)?;
        let keyring = grants.store.keyring();
        let open = |payload| Attachment::open(payload, &keyring, &family.salt);
        let attachment = family.payload.as_ref().map(open).transpose()?;
        let access_until = now.saturating_add(grants.policy.access_lifetime).min(expires_at);
        let narrowed = (scopes.as_str().to_owned(), audience);
        let record = Token {
            confirmation: self.request.confirmation,
            ..family_token(&family, issuing.epochs(), grants.store.wall(), narrowed)
        };
        let (access, _) =
            grants.add_token(&mut issuing, record, access_until, attachment.as_ref())?;
        let named = || (family.client.clone(), family.subject.clone(), family.id);
        let mut told = grants.told().event(|| {
            let (client, subject, family) = named();
            if retry {
                Event::Retried { client, subject, family }
            } else {
                Event::Rotated { client, subject, family, generation }
            }
        });
        if in_row {
            told = told.event(|| {
                let (client, subject, id) = named();
                let generations = family.retried_generations;
                Event::RetriedInRow { client, subject, family: id, generations }
            });
        }
        let issued = Box::new(Issued {
            access,
            refresh: Some(refresh),
            expires_in: expires_in(now, access_until),
            token_type: token_type(self.request.confirmation.as_ref()),
            scopes,
            subject: Some(family.subject),
            nonce: None,
            payload: attachment.as_ref().map(Attachment::bytes),
            family: Some(family.id),
        });
        let answer = if retry { Refreshed::Retried(issued) } else { Refreshed::Rotated(issued) };
        Ok(issuing.commit(told, answer))
    }
}

fn reused(family: FamilyId, revoked: bool) -> Refreshed {
    Refreshed::Reused { family, revoked }
}

/// True if a retry of this generation would be the first, and the first of more generations in a
/// row than the policy allows.
fn starts_row(policy: &Policy, family: &Family) -> bool {
    let max = policy.retried_generations_max;
    max > 0 && family.retries == 0 && family.retried_generations >= max
}

/// True if such a retry is reuse under this policy.
fn starts_one_too_many(policy: &Policy, family: &Family) -> bool {
    policy.retried_generations_are_reuse && starts_row(policy, family)
}

/// Counts a retry of the present generation's predecessor.
fn note_retry(family: &mut Family) {
    if family.retries == 0 {
        family.retried_generations = family.retried_generations.saturating_add(1);
    }
    family.retries = family.retries.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::opening::Grant;
    use crate::text::refresh_token;
    use grantkeep::{Store, SystemClock, Wait as _};
    use std::sync::Arc;

    // Goal: P4, a generation that was not issued is unknown, though it is derived from the right
    // keys (as after a restore of an older store). Method: derive the next generation here.
    #[test]
    fn a_generation_not_issued_is_unknown() {
        let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
        let grants = Grants::new(store, Policy::default()).unwrap();
        let opened = grants.open(Grant::new("client-1", "alice")).wait().unwrap();
        let held =
            grants.store.get::<Family>(opened.family.unwrap().digest()).wait().unwrap().unwrap();
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
            let opened = grants.open(Grant::new("client-1", "alice")).wait().unwrap();
            let held = grants
                .store
                .get::<Family>(opened.family.unwrap().digest())
                .wait()
                .unwrap()
                .unwrap();
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
