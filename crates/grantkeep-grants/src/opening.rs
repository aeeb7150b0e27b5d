//! Opening a family: what a redeemed code and a verified password have in common.

use crate::attachment::Attachment;
use crate::audience::AskedAudience;
use crate::event::Event;
use crate::format::Tag;
use crate::grants::{Grants, check_name};
use crate::kind::ClaimsKind;
use crate::minter::Minting;
use crate::observe;
use crate::policy::Refreshing;
use crate::proof::token_type;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::setter::setter;
use grantkeep::backend::Backend;
use grantkeep::{
    Change, Confirmation, Error, ErrorKind, Family, FamilyId, FamilyState, Result, StandingEpochs,
    Timestamp, Token, TokenKind, random,
};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// What a client is handed: an access token, and the refresh token of its family.
#[non_exhaustive]
pub struct Pair {
    /// The access token.
    pub access: Secret,
    /// The refresh token; `None` where the policy issues none.
    pub refresh: Option<Secret>,
    /// How long the access token lives, whole seconds (`expires_in`, RFC 6749 section 5.1).
    pub expires_in: Duration,
    /// `token_type` of RFC 6749 section 5.1: `DPoP` where the access token is bound to the key of
    /// a proof (RFC 9449 section 5), else `Bearer`.
    pub token_type: &'static str,
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// Who granted it.
    pub subject: String,
    /// The nonce of the authorization request; only when a code is redeemed.
    pub nonce: Option<String>,
    /// What the server attached to the grant.
    pub payload: Option<Vec<u8>>,
    /// The family, to be listed and revoked by.
    pub family: FamilyId,
}

impl fmt::Debug for Pair {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("access", &self.access)
            .field("refresh", &self.refresh)
            .field("expires_in", &self.expires_in)
            .field("scopes", &self.scopes)
            .field("subject", &self.subject)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// A grant without a code: the server verified the subject itself, as with the password grant of
/// RFC 6749 section 4.3 (which RFC 9700 section 2.4 advises against for new systems).
#[derive(Clone)]
pub struct Grant<'a> {
    client: &'a str,
    subject: &'a str,
    scopes: String,
    audience: AskedAudience,
    confirmation: Option<Confirmation>,
    payload: Option<(&'a [u8], bool)>,
}

impl<'a> Grant<'a> {
    /// A grant by `subject` to `client`; neither may be empty.
    pub fn new(client: &'a str, subject: &'a str) -> Self {
        Self {
            client,
            subject,
            scopes: String::new(),
            audience: AskedAudience::Unset,
            confirmation: None,
            payload: None,
        }
    }

    setter! {
        /// The granted scopes; one text may name several, separated by spaces.
        scopes
    }

    setter! {
        /// The resource servers that the access tokens are meant for (RFC 8707): absolute URIs
        /// without a fragment. Any where it is left out; a list that names none is refused.
        audience
    }

    setter! {
        /// The key whose possession the request proved: the tokens are bound to it.
        confirmation
    }

    setter! {
        /// Bytes to go with the grant, at most 16 KiB, kept as they are.
        payload
    }

    setter! {
        /// Bytes to go with the grant, at most 16 KiB, sealed at rest.
        sealed_payload
    }
}

impl fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// What a family is opened for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scopes: String,
    pub(crate) audience: String,
    /// The audience of the first access token, if it is not all of that.
    pub(crate) narrowed: Option<String>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) attachment: Option<Attachment>,
}

impl<B: Backend> Grants<B> {
    /// Opens a family for a subject whose password the server has verified, and issues its first
    /// pair.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for an empty client or subject, a field over its limit, or a malformed
    /// scope or `resource`; otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// The family and the pair are durable when they are answered.
    pub async fn password(&self, grant: Grant<'_>) -> Result<Pair> {
        let _decision = observe::decision("password");
        check_name("a client id", grant.client)?;
        check_name("a subject", grant.subject)?;
        let opening = Opening {
            client: grant.client.to_owned(),
            subject: grant.subject.to_owned(),
            scopes: Scopes::read(&grant.scopes)?.into_text(),
            audience: grant.audience.granted()?,
            narrowed: None,
            confirmation: grant.confirmation,
            attachment: grant.payload.map(|(bytes, sealed)| Attachment::new(bytes, sealed)),
        };
        loop {
            let (standing, now) = self.standing(grant.subject, grant.client).await?;
            let mut change = self.store.change()?;
            let pair = self.open(&mut change, &standing, now, &opening)?;
            standing.require(&mut change);
            if self.commit(change).await? {
                self.events().tell(|| Event::Issued {
                    kind: ClaimsKind::Access,
                    client: opening.client,
                    subject: opening.subject,
                    family: Some(pair.family),
                });
                return Ok(pair);
            }
        }
    }

    /// Adds a new family and its first access token to `change`.
    pub(crate) fn open(
        &self,
        change: &mut Change,
        standing: &StandingEpochs,
        now: Timestamp,
        opening: &Opening,
    ) -> Result<Pair> {
        let mut family = self.new_family(standing, now, opening)?;
        let audience = opening.narrowed.as_ref().unwrap_or(&family.audience).clone();
        let attachment = opening.attachment.as_ref();
        let (pair, expires_at) =
            self.first_pair(change, &mut family, (standing, now), audience, attachment)?;
        change.insert(family.id.digest(), &family, expires_at)?;
        Ok(pair)
    }

    /// Adds the first pair of `family` to `change`, but not the family, which expires then.
    pub(crate) fn first_pair(
        &self,
        change: &mut Change,
        family: &mut Family,
        (standing, now): (&StandingEpochs, Timestamp),
        audience: String,
        attachment: Option<&Attachment>,
    ) -> Result<(Pair, Timestamp)> {
        let (expires_at, refresh) = match self.policy.refreshing {
            Refreshing::Rotating | Refreshing::Fixed => {
                let until = now.saturating_add(self.policy.refresh_idle);
                let until = until.min(family.absolute_expires_at);
                (until, Some(self.add_refresh(change, family, until)?))
            }
            // The family lives as long as the one access token that it is there to revoke.
            Refreshing::Off => (family.absolute_expires_at, None),
        };
        let access_until = now.saturating_add(self.policy.access_lifetime).min(expires_at);
        let token =
            family_token(family, standing, self.store.wall(), (family.scopes.clone(), audience));
        let access = self.add_token(change, token, access_until, attachment)?;
        let pair = Pair {
            access,
            refresh,
            expires_in: expires_in(now, access_until),
            token_type: token_type(family.confirmation.as_ref()),
            scopes: Scopes::stored(family.scopes.clone()),
            subject: family.subject.clone(),
            nonce: None,
            payload: attachment.map(Attachment::bytes),
            family: family.id,
        };
        Ok((pair, expires_at))
    }

    pub(crate) fn new_family(
        &self,
        standing: &StandingEpochs,
        now: Timestamp,
        opening: &Opening,
    ) -> Result<Family> {
        let mut id = FamilyId([0; grantkeep::FAMILY_ID_BYTES]);
        let mut salt = Zeroizing::new([0; 32]);
        random(&mut id.0)?;
        random(&mut salt[..])?;
        let keyring = self.store.keyring();
        let root = keyring
            .active()
            .ok_or_else(|| Error::new(ErrorKind::Keyring, "the keyring is empty"))?;
        let payload = opening.attachment.as_ref().map(|each| each.close(&keyring, &salt[..]));
        let mut family = Family {
            id,
            client: opening.client.clone(),
            subject: opening.subject.clone(),
            scopes: opening.scopes.clone(),
            audience: opening.audience.clone(),
            confirmation: opening.confirmation,
            generation: FIRST,
            brought: None,
            salt: *salt,
            key_id: root.id(),
            rotated_at: now,
            rotated_lead_ms: 0,
            absolute_expires_at: now,
            epochs: standing.epochs(),
            state: FamilyState::Active,
            payload: payload.transpose()?,
        };
        self.start(&mut family, now);
        Ok(family)
    }

    /// Notes that a generation is issued now.
    pub(crate) fn note_rotation(&self, family: &mut Family, now: Timestamp) {
        let lead = now.since(self.store.wall());
        family.rotated_at = now;
        // A lead of more milliseconds than a number holds is none.
        family.rotated_lead_ms = u64::try_from(lead.as_millis()).unwrap_or(0);
    }

    /// Starts the lifetime and the generations of a family.
    pub(crate) fn start(&self, family: &mut Family, now: Timestamp) {
        let absolute = match self.policy.refreshing {
            Refreshing::Rotating | Refreshing::Fixed => self.policy.refresh_absolute,
            Refreshing::Off => self.policy.access_lifetime,
        };
        family.generation = FIRST;
        self.note_rotation(family, now);
        family.absolute_expires_at = now.saturating_add(absolute);
    }

    /// Mints an access token and adds its row to `change`.
    pub(crate) fn add_token(
        &self,
        change: &mut Change,
        mut token: Token,
        expires_at: Timestamp,
        attachment: Option<&Attachment>,
    ) -> Result<Secret> {
        let access = self.mint(&Minting {
            tag: Tag::Access,
            client: &token.client,
            subject: &token.subject,
            scopes: &token.scopes,
            audience: &token.audience,
            confirmation: token.confirmation.as_ref(),
            family: token.family,
            generation: None,
            issued_at: token.issued_at.into(),
            expires_at: self.store.on_the_wall(expires_at).into(),
        })?;
        let secret = access.expose().as_bytes();
        if let Some(attachment) = attachment {
            token.payload = Some(attachment.close(&self.store.keyring(), secret)?);
        }
        self.add_text(change, &access, &token, expires_at)?;
        Ok(access)
    }
}

/// The generation of a family's first refresh token.
const FIRST: u32 = 1;

/// An access token of `family`; it is issued at a time of the wall clock.
pub(crate) fn family_token(
    family: &Family,
    standing: &StandingEpochs,
    issued_at: Timestamp,
    (scopes, audience): (String, String),
) -> Token {
    Token {
        kind: TokenKind::Access,
        client: family.client.clone(),
        subject: family.subject.clone(),
        scopes,
        audience,
        confirmation: family.confirmation,
        family: Some(family.id),
        issued_at,
        epochs: standing.epochs(),
        revoked_at: None,
        payload: None,
    }
}

/// The whole seconds that are left.
pub(crate) fn expires_in(now: Timestamp, until: Timestamp) -> Duration {
    Duration::from_secs(until.since(now).as_secs())
}
