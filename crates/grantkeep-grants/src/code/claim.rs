//! Two-step redemption, for server libraries whose flow takes a code in one call, checks it by
//! itself, and issues in another.

use crate::clients::GrantType;
use crate::code::redeem::{FoundCode, strip};
use crate::decision::{Flow, Found, Owned, Standing, Verdict};
use crate::events::Told;
use crate::events::event::Event;
use crate::family::bound::Opens;
use crate::family::ending::mismatched;
use crate::family::opening::Opening;
use crate::family::origin::OpenOrigin;
use crate::grants::{Grants, can_be_held, check_presented};
use crate::request::issued::Issued;
use crate::request::mismatch::Mismatch;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::Attachment;
use grantkeep::backend::Backend;
use grantkeep::{Challenge, CodeState, Confirmation, Family, FamilyId, FamilyState, Held, Result};
use std::fmt;
use std::time::SystemTime;

/// All that a claimed code held: the caller checks what [`Grants::redeem`] would have.
#[non_exhaustive]
pub struct ClaimedGrant {
    /// The client it was issued to.
    pub client: String,
    /// Who granted it.
    pub subject: String,
    /// What was granted.
    pub scopes: Scopes,
    /// The audience, separated by spaces; empty for any.
    pub audience: String,
    /// The redirect URI of the request.
    pub redirect_uri: Option<String>,
    /// The PKCE challenge of the request.
    pub challenge: Option<Challenge>,
    /// The key that the redemption must prove.
    pub confirmation: Option<Confirmation>,
    /// The nonce of the request.
    pub nonce: Option<String>,
    /// What the server attached.
    pub payload: Option<Vec<u8>>,
    /// When the code expires, or did.
    pub expires_at: SystemTime,
    /// The family that [`Grants::complete`] opens; `None` if the code had expired.
    pub family: Option<FamilyId>,
}

impl fmt::Debug for ClaimedGrant {
    /// Without the challenge and the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedGrant")
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// The answer to a claimed code.
#[derive(Debug)]
#[non_exhaustive]
pub enum Claimed {
    /// It is spent now, and this is what it was for, expired or not.
    Grant(Box<ClaimedGrant>),
    /// It was spent before, within the policy's `replay_memory`. Its family is revoked, durably,
    /// when this is seen: what was completed is dead, and what was not cannot be.
    Replayed {
        /// That family.
        family: Option<FamilyId>,
    },
    /// Its subject or client was revoked since it was issued.
    Revoked,
    /// Its client is registered, and not for codes; nothing was changed.
    Unauthorized,
    /// There is no such code.
    Unknown,
}

/// How a claim is completed.
#[derive(Clone)]
pub struct Completion<'a> {
    client: &'a str,
    scopes: Option<String>,
    confirmation: Option<Confirmation>,
    client_authenticated: bool,
    payload: Option<(&'a [u8], bool)>,
}

impl<'a> Completion<'a> {
    /// For this client, which the server has authenticated.
    pub fn by(client: &'a str) -> Self {
        Self {
            client,
            scopes: None,
            confirmation: None,
            client_authenticated: false,
            payload: None,
        }
    }

    setter! {
        /// Some of the scopes that the code held, for the whole grant: all of them where it is left
        /// out, and none of them where it is a list of none.
        some_scopes
    }

    setter! {
        /// The key whose possession the request proved: the tokens are bound to it.
        confirmation
    }

    setter! {
        /// Says that the client has authenticated, by a secret or a key of its own: refresh tokens
        /// are bound to it and not to the key of this request, which it may renew (RFC 8705 section
        /// 7.1, RFC 9449 section 5). Of a registered client its record says so.
        client_authenticated
    }

    setter! {
        /// Bytes in place of those that the code held, at most 16 KiB, kept as they are.
        payload
    }

    setter! {
        /// Bytes in place of those that the code held, at most 16 KiB, sealed at rest.
        sealed_payload
    }
}

impl fmt::Debug for Completion<'_> {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// The answer to completing a claim.
#[derive(Debug)]
#[non_exhaustive]
pub enum Completed {
    /// The family is open, and these are its first tokens.
    Granted(Box<Issued>),
    /// The code was presented again, or its family, subject, or client was revoked.
    Revoked,
    /// Its client is registered, and not for codes; nothing was changed.
    Unauthorized,
    /// The claim was completed before; nothing was changed.
    Already,
    /// The claim belongs to another client, or the code demands another key; nothing was changed.
    Mismatch(Mismatch),
    /// The scopes are malformed, or more than the code held; nothing was changed.
    InvalidScope,
    /// It is too late, or there was no such claim.
    Unknown,
}

/// The generation of a family that is reserved and not yet open.
const RESERVED: u32 = 0;

impl<B: Backend> Grants<B> {
    /// Claims `code`: in one batch it is spent, and its family reserved until the code would have
    /// expired. Nothing is checked, not even the client: that is the caller's, before
    /// [`Grants::complete`]. Where one call can do it all, use [`Grants::redeem`], which refuses a
    /// mismatch without spending the code, and leaves a replay by another client alone.
    ///
    /// A reserved family is listed nowhere and validates nothing; a claim that is not completed
    /// leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a code over the token limit;
    /// otherwise as [`Backend::commit`]. After
    /// [`ErrorKind::Unknown`](grantkeep::ErrorKind::Unknown) the code may be spent.
    ///
    /// # Durability
    /// Every answer rests on durable state; `Grant` and `Replayed` are durable when answered.
    pub async fn claim(&self, code: &str) -> Result<Claimed> {
        check_presented(code)?;
        if !can_be_held(code) {
            return Ok(Claimed::Unknown);
        }
        self.decide(&mut Claim { code }).await
    }

    /// Completes a claim: in one batch the family is opened with its whole lifetime, and its first
    /// tokens issued. Of any number of calls one is granted.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a payload over its limit;
    /// otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// Every answer rests on durable state; `Granted` is durable when answered.
    pub async fn complete(
        &self,
        family: FamilyId,
        completion: &Completion<'_>,
    ) -> Result<Completed> {
        self.decide(&mut Completing { family, completion }).await
    }
}

/// A code that is claimed.
struct Claim<'a> {
    code: &'a str,
}

impl<B: Backend> Flow<B> for Claim<'_> {
    const NAME: &'static str = "claim";
    type Read = FoundCode;
    type Rests = Standing;
    type Answer = Claimed;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<FoundCode, Claimed>> {
        let found = FoundCode::read(grants, self.code).await?;
        Ok(Found::or(found, Claimed::Unknown))
    }

    fn owners<'r>(&'r self, read: &'r FoundCode) -> Owned<'r> {
        read.owners()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        read: FoundCode,
        standing: &Standing,
    ) -> Result<Verdict<Claimed>> {
        if read.is_forgotten(grants.store.now()) {
            return Ok(Verdict::answer(Claimed::Unknown));
        }
        if let CodeState::Spent { .. } = read.code.record.state {
            return read.replayed(grants, |family| Claimed::Replayed { family });
        }
        let mut held = read.code;
        let record = held.record.clone();
        if !standing.admits(&record.epochs) {
            return Ok(Verdict::if_unchanged(&held, Claimed::Revoked));
        }
        if !standing.permits(GrantType::AuthorizationCode.as_str()) {
            return Ok(Verdict::answer(Claimed::Unauthorized));
        }
        let keyring = grants.store.keyring();
        let open = |payload| Attachment::open(payload, &keyring, self.code.as_bytes());
        let opening = Opening {
            client: record.client,
            subject: record.subject,
            scopes: record.scopes,
            audience: record.audience,
            confirmation: record.confirmation,
            attachment: record.payload.as_ref().map(open).transpose()?,
            origin: OpenOrigin::open(&record.origin, &keyring, self.code.as_bytes())?,
            ..Opening::default()
        };
        let mut issuing = standing.issue(grants)?;
        let mut family = None;
        if !held.is_expired(issuing.now()) {
            let until = held.expires_at.min(issuing.latest());
            let mut reserved = grants.new_family(&issuing, &opening)?;
            reserved.generation = RESERVED;
            // What the completion must prove, whoever the client is.
            reserved.confirmation = opening.confirmation;
            reserved.absolute_expires_at = until;
            issuing.insert(reserved.id.digest(), &reserved, until)?;
            family = Some(reserved.id);
        }
        strip(&mut held.record);
        held.record.state = CodeState::Spent { at: grants.store.wall(), family };
        let until = issuing.now().saturating_add(grants.policy.remembers());
        issuing.replace(&held, &held.record, until.max(held.expires_at))?;
        let claimed = Box::new(ClaimedGrant {
            client: opening.client,
            subject: opening.subject,
            scopes: Scopes::stored(opening.scopes),
            audience: opening.audience,
            redirect_uri: record.redirect_uri,
            challenge: record.challenge,
            confirmation: opening.confirmation,
            nonce: record.nonce,
            payload: opening.attachment.as_ref().map(Attachment::bytes),
            expires_at: grants.store.on_the_wall(held.expires_at).into(),
            family,
        });
        Ok(issuing.commit(Told::nothing(), Claimed::Grant(claimed)))
    }
}

/// A claim that is completed.
struct Completing<'a> {
    family: FamilyId,
    completion: &'a Completion<'a>,
}

impl<B: Backend> Flow<B> for Completing<'_> {
    const NAME: &'static str = "complete";
    type Read = Held<Family>;
    type Rests = Opens;
    type Answer = Completed;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Held<Family>, Completed>> {
        let held = grants.store.get::<Family>(self.family.digest()).await?;
        Ok(Found::or(held, Completed::Unknown))
    }

    fn owners<'r>(&'r self, held: &'r Held<Family>) -> Owned<'r> {
        let Family { subject, client, session, .. } = &held.record;
        Owned { subject, client, session: *session }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        held: Held<Family>,
        standing: &Opens,
    ) -> Result<Verdict<Completed>> {
        let (mut family, completion) = (held.record.clone(), self.completion);
        let refused = |what| {
            let whose = (&held.record.subject[..], Some(held.record.id));
            mismatched(grants, whose, completion.client, what, Completed::Mismatch)
        };
        if family.client != completion.client {
            return Ok(refused(Mismatch::Client));
        }
        if family.state != FamilyState::Active {
            return Ok(Verdict::answer(Completed::Revoked));
        }
        if family.generation != RESERVED {
            return Ok(Verdict::answer(Completed::Already));
        }
        if family.confirmation.is_some() && family.confirmation != completion.confirmation {
            return Ok(refused(Mismatch::Confirmation));
        }
        let granted = Scopes::stored(std::mem::take(&mut family.scopes));
        family.scopes = match completion.scopes.as_deref().map(Scopes::read) {
            None => granted.into_text(),
            Some(Ok(asked)) if asked.is_subset(&granted) => asked.into_text(),
            Some(_) => return Ok(Verdict::answer(Completed::InvalidScope)),
        };
        if held.is_expired(grants.store.now()) {
            return Ok(Verdict::answer(Completed::Unknown));
        }
        if !standing.admits(&family.epochs) {
            return Ok(Verdict::if_unchanged(&held, Completed::Revoked));
        }
        if !standing.permits(GrantType::AuthorizationCode.as_str()) {
            return Ok(Verdict::answer(Completed::Unauthorized));
        }
        let keyring = grants.store.keyring();
        let open = |payload| Attachment::open(payload, &keyring, &family.salt);
        let attachment = match completion.payload {
            Some((bytes, sealed)) => Some(Attachment::new(bytes, sealed)),
            None => family.payload.as_ref().map(open).transpose()?,
        };
        let close = |each: &Attachment| each.close(&keyring, &family.salt);
        family.payload = attachment.as_ref().map(close).transpose()?;
        let mut issuing = standing.issue(grants)?;
        let key = completion.confirmation;
        family.confirmation = issuing.refresh_binding(key, completion.client_authenticated);
        grants.start(&mut family, issuing.now());
        let audience = family.audience.clone();
        let attachment = attachment.as_ref();
        let first = grants.first_tokens(&mut issuing, &mut family, (audience, key), attachment)?;
        standing.make_room(grants, &mut issuing, &family)?;
        issuing.edit(&held, &family, first.expires_at)?;
        let told = grants.told().event(|| Event::Redeemed {
            client: family.client,
            subject: family.subject,
            family: family.id,
        });
        Ok(issuing.commit(told, Completed::Granted(Box::new(first.issued))))
    }
}
