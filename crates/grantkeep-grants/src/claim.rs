//! Two-step redemption, for server libraries whose flow takes a code in one call, checks it by
//! itself, and issues in another.

use crate::attachment::Attachment;
use crate::event::Event;
use crate::grants::{Grants, can_be_held, check_presented};
use crate::observe;
use crate::opening::{Opening, Pair};
use crate::redeem::{Mismatch, strip};
use crate::scope::Scopes;
use crate::setter::setter;
use grantkeep::backend::Backend;
use grantkeep::{
    Challenge, Code, CodeState, Confirmation, ErrorKind, Family, FamilyId, FamilyState, Held,
    Purpose, Result, RevocationReason,
};
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
    /// It was spent before. Its family is revoked, durably, when this is seen: what was completed
    /// is dead, and what was not cannot be.
    Replayed {
        /// That family.
        family: Option<FamilyId>,
    },
    /// Its subject or client was revoked since it was issued.
    Revoked,
    /// There is no such code.
    Unknown,
}

/// How a claim is completed.
#[derive(Clone)]
pub struct Completion<'a> {
    client: &'a str,
    scopes: Option<String>,
    confirmation: Option<Confirmation>,
    payload: Option<(&'a [u8], bool)>,
}

impl<'a> Completion<'a> {
    /// For this client, which the server has authenticated.
    pub fn by(client: &'a str) -> Self {
        Self { client, scopes: None, confirmation: None, payload: None }
    }

    setter! {
        /// Some of the scopes that the code held, for the whole grant; all of them without it.
        scopes
    }

    setter! {
        /// The key whose possession the request proved: the tokens are bound to it.
        confirmation
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
    /// The family is open, and this is its first pair.
    Granted(Box<Pair>),
    /// The code was presented again, or its family, subject, or client was revoked.
    Revoked,
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
    /// [`ErrorKind::Limit`] for a code over the token limit; otherwise as [`Backend::commit`].
    /// After [`ErrorKind::Unknown`] the code may be spent.
    ///
    /// # Durability
    /// Every answer rests on durable state; `Grant` and `Replayed` are durable when answered.
    pub async fn claim(&self, code: &str) -> Result<Claimed> {
        let _decision = observe::decision("claim");
        check_presented(code)?;
        if !can_be_held(code) {
            return Ok(Claimed::Unknown);
        }
        loop {
            let held = self.store.find::<Code>(code.as_bytes()).await?;
            let ours = |held: &Held<Code>| held.record.purpose == Purpose::Authorization;
            let Some(held) = held.filter(ours) else {
                return Ok(Claimed::Unknown);
            };
            if let CodeState::Spent { family, .. } = held.record.state {
                if let Some(family) = family {
                    self.revoke_family_for(family, RevocationReason::CodeReplayed).await?;
                }
                self.events().tell(|| Event::Replayed { family });
                return Ok(Claimed::Replayed { family });
            }
            if let Some(answer) = self.spend_for_claim(code, held).await? {
                return Ok(answer);
            }
        }
    }

    /// Completes a claim: in one batch the family is opened with its whole lifetime, and its first
    /// pair issued. Of any number of calls one is granted.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a payload over its limit; otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// Every answer rests on durable state; `Granted` is durable when answered.
    pub async fn complete(
        &self,
        family: FamilyId,
        completion: &Completion<'_>,
    ) -> Result<Completed> {
        let _decision = observe::decision("complete");
        loop {
            let Some(held) = self.store.get::<Family>(family.digest()).await? else {
                return Ok(Completed::Unknown);
            };
            if let Some(answer) = self.open_reserved(held, completion).await? {
                return Ok(answer);
            }
        }
    }

    /// Spends a code and reserves its family; `None` if something it rests on changed meanwhile.
    async fn spend_for_claim(&self, code: &str, mut held: Held<Code>) -> Result<Option<Claimed>> {
        let record = held.record.clone();
        let (standing, now) = self.standing_or_closed(&record.subject, &record.client).await?;
        if !standing.admit(&record.epochs) {
            return self.unless_changed(&held, Claimed::Revoked).await;
        }
        let keyring = self.store.keyring();
        let open = |payload| Attachment::open(payload, &keyring, code.as_bytes());
        let opening = Opening {
            client: record.client,
            subject: record.subject,
            scopes: record.scopes,
            audience: record.audience,
            narrowed: None,
            confirmation: record.confirmation,
            attachment: record.payload.as_ref().map(open).transpose()?,
        };
        let mut change = self.store.change()?;
        let mut family = None;
        if !held.is_expired(now) {
            let mut reserved = self.new_family(&standing, now, &opening)?;
            reserved.generation = RESERVED;
            reserved.absolute_expires_at = held.expires_at;
            match change.insert(reserved.id.digest(), &reserved, held.expires_at) {
                Ok(_) => family = Some(reserved.id),
                // It expired since `now` was read.
                Err(error) if error.kind() == ErrorKind::Lifetime => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        strip(&mut held.record);
        held.record.state = CodeState::Spent { at: self.store.wall(), family };
        change.replace(&held, &held.record, held.expires_at)?;
        standing.require(&mut change);
        if !self.commit(change).await? {
            return Ok(None);
        }
        Ok(Some(Claimed::Grant(Box::new(ClaimedGrant {
            client: opening.client,
            subject: opening.subject,
            scopes: Scopes::stored(opening.scopes),
            audience: opening.audience,
            redirect_uri: record.redirect_uri,
            challenge: record.challenge,
            confirmation: opening.confirmation,
            nonce: record.nonce,
            payload: opening.attachment.as_ref().map(Attachment::bytes),
            expires_at: self.store.on_the_wall(held.expires_at).into(),
            family,
        }))))
    }

    /// Opens a reserved family; `None` if something it rests on changed meanwhile.
    async fn open_reserved(
        &self,
        held: Held<Family>,
        completion: &Completion<'_>,
    ) -> Result<Option<Completed>> {
        let mut family = held.record.clone();
        if family.client != completion.client {
            return Ok(Some(Completed::Mismatch(Mismatch::Client)));
        }
        if family.state != FamilyState::Active {
            return Ok(Some(Completed::Revoked));
        }
        if family.generation != RESERVED {
            return Ok(Some(Completed::Already));
        }
        if family.confirmation.is_some() && family.confirmation != completion.confirmation {
            return Ok(Some(Completed::Mismatch(Mismatch::Confirmation)));
        }
        let granted = Scopes::stored(std::mem::take(&mut family.scopes));
        family.scopes = match completion.scopes.as_deref().map(Scopes::read) {
            None => granted.into_text(),
            Some(Ok(asked)) if asked.is_subset(&granted) => asked.into_text(),
            Some(_) => return Ok(Some(Completed::InvalidScope)),
        };
        let (standing, now) = self.standing_or_closed(&family.subject, &family.client).await?;
        if held.is_expired(now) {
            return Ok(Some(Completed::Unknown));
        }
        if !standing.admit(&family.epochs) {
            return self.unless_changed(&held, Completed::Revoked).await;
        }
        let keyring = self.store.keyring();
        let open = |payload| Attachment::open(payload, &keyring, &family.salt);
        let attachment = match completion.payload {
            Some((bytes, sealed)) => Some(Attachment::new(bytes, sealed)),
            None => family.payload.as_ref().map(open).transpose()?,
        };
        let close = |each: &Attachment| each.close(&keyring, &family.salt);
        family.payload = attachment.as_ref().map(close).transpose()?;
        family.confirmation = completion.confirmation;
        self.start(&mut family, now);
        let mut change = self.store.change()?;
        let audience = family.audience.clone();
        let (pair, expires_at) = self.first_pair(
            &mut change,
            &mut family,
            (&standing, now),
            audience,
            attachment.as_ref(),
        )?;
        change.replace(&held, &family, expires_at)?;
        standing.require(&mut change);
        if !self.commit(change).await? {
            return Ok(None);
        }
        let (client, subject, id) = (family.client, family.subject, family.id);
        self.events().tell(|| Event::Redeemed { client, subject, family: id });
        Ok(Some(Completed::Granted(Box::new(pair))))
    }
}
