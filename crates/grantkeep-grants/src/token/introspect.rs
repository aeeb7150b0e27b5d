//! Introspection, RFC 7662: what a presented token is worth now.

use crate::events::observe;
use crate::family::generation::Presented;
use crate::grants::{Grants, can_be_held};
use crate::policy::Refreshing;
use crate::request::proof::token_type;
use crate::request::scope::Scopes;
use crate::text::kind::ClaimsKind;
use grantkeep::backend::Backend;
use grantkeep::{
    Confirmation, Epochs, Family, FamilyId, Held, Owners, Payload, Personal, RefreshText, Result,
    Timestamp, Token, TokenSha256,
};
use std::fmt;
use std::time::SystemTime;
use zeroize::Zeroizing;

/// The answer to a presented token. With the feature `serde` it serializes as the response of RFC
/// 7662 section 2.2.
#[derive(Debug)]
pub enum Introspection {
    /// It is in force.
    Active(Box<Claims>),
    /// It is not: unknown, expired, revoked, or never a token. Nothing more is said (RFC 7662
    /// section 2.2).
    Inactive,
}

/// What a token in force stands for; the fields of RFC 7662 section 2.2.
#[non_exhaustive]
pub struct Claims {
    /// What it is.
    pub kind: ClaimsKind,
    /// `client_id`; `None` for a personal token made without a client.
    pub client: Option<String>,
    /// `sub`; `None` for a client credential, unless it was issued with one.
    pub subject: Option<String>,
    /// `scope`.
    pub scopes: Scopes,
    /// `aud`, separated by spaces; `None` for any.
    pub audience: Option<String>,
    /// The key it is bound to (`cnf`, RFC 7800): [`Claims::is_confirmed_by`] compares.
    pub confirmation: Option<Confirmation>,
    /// `token_type`: `DPoP` where it is bound to the key of a proof (RFC 9449 section 6.2), else
    /// `Bearer`; `None` for a refresh token.
    pub token_type: Option<&'static str>,
    /// `iat`; for a refresh token, when its generation was issued.
    pub issued_at: SystemTime,
    /// `exp`; `None` for a personal token that only a revocation ends.
    pub expires_at: Option<SystemTime>,
    /// The family it belongs to.
    pub family: Option<FamilyId>,
    attached: Option<Attached>,
}

/// A payload that is not opened yet, and what opens it if that is not the token.
struct Attached {
    payload: Payload,
    salt: Option<Zeroizing<[u8; 32]>>,
}

/// Of which types a text has a row of its own that has not expired. One that has is none: whether
/// it was swept makes no difference.
#[derive(Debug, Clone, Copy, Default)]
struct OwnRows {
    access: bool,
    personal: bool,
    refresh: bool,
}

impl Claims {
    /// True if the token is bound to no key, or to the one whose possession the request proved.
    /// A resource server refuses otherwise (RFC 9449 section 7.1, RFC 8705 section 3).
    pub fn is_confirmed_by(&self, proven: Option<&Confirmation>) -> bool {
        self.confirmation.as_ref().is_none_or(|bound| Some(bound) == proven)
    }

    /// True if the token is meant for `resource`, exact to the byte, or for any (RFC 8707).
    pub fn is_for(&self, resource: &str) -> bool {
        self.audience
            .as_deref()
            .is_none_or(|audience| audience.split(' ').any(|one| one == resource))
    }
}

impl fmt::Debug for Claims {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("kind", &self.kind)
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Grants<B> {
    /// What `token` is worth now: an access token, a personal one, or a refresh token.
    ///
    /// It is active if its own row is neither expired nor revoked, its family is in force, and
    /// neither its subject nor its client was revoked since it was issued. Of refresh tokens only
    /// the present generation is, unless the policy of its client issues none. A text that no store
    /// can hold is inactive. That a personal token was used is noted in memory: see
    /// [`Grants::write_last_uses`].
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](grantkeep::ErrorKind::Missing) for a refresh token of a client whose
    /// record names a policy that is not registered; otherwise as [`Backend::get`].
    pub async fn introspect(&self, token: &str) -> Result<Introspection> {
        if !can_be_held(token) {
            return Ok(Introspection::Inactive);
        }
        let claims = observe::span("introspect", self.claims(token)).await?;
        Ok(claims.map_or(Introspection::Inactive, |c| Introspection::Active(Box::new(c))))
    }

    /// The claims of whatever is in force under this text. The text is digested once for all that
    /// it may be.
    async fn claims(&self, token: &str) -> Result<Option<Claims>> {
        let _measured = observe::measured("introspect");
        let mut own = OwnRows::default();
        for id in self.store.ids(token.as_bytes())? {
            // One text may be several tokens, where the server makes them: the first in force
            // counts.
            if let Some(held) = self.store.get::<Token>(id).await? {
                let expires_at = held.expires_at;
                if let Some(claims) = self.access_claims(held).await? {
                    return Ok(Some(claims));
                }
                own.access |= expires_at > self.store.now();
            }
            if let Some(held) = self.store.get::<Personal>(id).await? {
                let expires_at = held.expires_at;
                if let Some(claims) = self.personal_claims(held).await? {
                    return Ok(Some(claims));
                }
                own.personal |= expires_at > self.store.now();
            }
            if let Some(text) = self.brought(id).await? {
                own.refresh = true;
                if let Some(claims) = self.brought_claims(&text).await? {
                    return Ok(Some(claims));
                }
            }
        }
        if let Some(presented) = self.presented_derived(token).await? {
            return self.present_claims(presented).await;
        }
        // What was imported as its SHA-256 comes last: a text's own row says what it is.
        match self.store.sha256_to_look_for(token.as_bytes()) {
            Some(sha256) => self.imported_claims(&sha256, own).await,
            None => Ok(None),
        }
    }

    /// The claims of whatever is in force under this SHA-256, but of a type that the text has a row
    /// of its own of.
    async fn imported_claims(&self, sha256: &TokenSha256, own: OwnRows) -> Result<Option<Claims>> {
        let access = (!own.access).then(|| self.store.ids_of_imported::<Token>(sha256));
        for id in access.into_iter().flatten() {
            if let Some(held) = self.store.get(id).await?
                && let Some(claims) = self.access_claims(held).await?
            {
                return Ok(Some(claims));
            }
        }
        let personal = (!own.personal).then(|| self.store.ids_of_imported::<Personal>(sha256));
        for id in personal.into_iter().flatten() {
            if let Some(held) = self.store.get(id).await?
                && let Some(claims) = self.personal_claims(held).await?
            {
                return Ok(Some(claims));
            }
        }
        let refresh = (!own.refresh).then(|| self.store.ids_of_imported::<RefreshText>(sha256));
        for id in refresh.into_iter().flatten() {
            if let Some(text) = self.brought(id).await?
                && let Some(claims) = self.brought_claims(&text).await?
            {
                return Ok(Some(claims));
            }
        }
        Ok(None)
    }

    async fn brought_claims(&self, text: &Held<RefreshText>) -> Result<Option<Claims>> {
        match self.presented_by(text).await? {
            Some(presented) => self.present_claims(presented).await,
            None => Ok(None),
        }
    }

    /// Of refresh tokens only the present generation is in force, and none is where the policy of
    /// its client issues none.
    async fn present_claims(&self, presented: Presented) -> Result<Option<Claims>> {
        let Presented { held, generation } = presented;
        if self.refreshing_of(&held.record.client).await? == Refreshing::Off {
            return Ok(None);
        }
        // In this order: the epoch of a pair goes when what it revoked has expired.
        let held = self
            .admitted_family(held)
            .await?
            .filter(|held| generation == held.record.generation && held.in_force(self.store.now()));
        Ok(held.map(|held| self.refresh_claims(held)))
    }

    /// The payload of an introspected token, opened: `token` is the text it was introspected by.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](grantkeep::ErrorKind::Corrupt) for another token's text,
    /// [`ErrorKind::Keyring`](grantkeep::ErrorKind::Keyring) if the root key was retired.
    pub fn payload(&self, claims: &Claims, token: &str) -> Result<Option<Vec<u8>>> {
        let Some(Attached { payload, salt }) = &claims.attached else {
            return Ok(None);
        };
        let secret = salt.as_ref().map_or(token.as_bytes(), |salt| &salt[..]);
        payload.open(&self.store.keyring(), secret).map(Some)
    }

    async fn access_claims(&self, held: Held<Token>) -> Result<Option<Claims>> {
        let token = held.record;
        let now = self.store.now();
        if held.expires_at <= now
            || token.revoked_at.is_some()
            || !self.admitted_with_family(&token, now).await?
            // Once more: the epoch of a pair goes when what it revoked has expired.
            || held.expires_at <= self.store.now()
        {
            return Ok(None);
        }
        Ok(Some(Claims {
            kind: token.kind.into(),
            client: some(token.client),
            subject: some(token.subject),
            scopes: Scopes::stored(token.scopes),
            audience: some(token.audience),
            token_type: Some(token_type(token.confirmation.as_ref())),
            confirmation: token.confirmation,
            issued_at: token.issued_at.into(),
            expires_at: self.shown_expiry(held.expires_at),
            family: token.family,
            attached: token.payload.map(|payload| Attached { payload, salt: None }),
        }))
    }

    async fn personal_claims(&self, held: Held<Personal>) -> Result<Option<Claims>> {
        let token = held.record;
        let now = self.store.now();
        if now >= held.expires_at
            || token.revoked_at.is_some()
            || !self.admitted_apart(&token).await?
        {
            return Ok(None);
        }
        let used_at = self.store.wall();
        self.uses().note(held.id, used_at, self.policy.last_used_resolution);
        Ok(Some(Claims {
            kind: ClaimsKind::Personal,
            client: some(token.client),
            subject: some(token.subject),
            scopes: Scopes::stored(token.scopes),
            audience: None,
            confirmation: None,
            token_type: Some("Bearer"),
            issued_at: token.issued_at.into(),
            expires_at: self.shown_expiry(held.expires_at),
            family: None,
            attached: token.payload.map(|payload| Attached { payload, salt: None }),
        }))
    }

    /// What a refresh token in force stands for.
    pub(crate) fn refresh_claims(&self, held: Held<Family>) -> Claims {
        let family = held.record;
        let salt = Zeroizing::new(family.salt);
        let issued_at = family.refreshed_at().into();
        Claims {
            kind: ClaimsKind::Refresh,
            client: some(family.client),
            subject: some(family.subject),
            scopes: Scopes::stored(family.scopes),
            audience: some(family.audience),
            confirmation: family.confirmation,
            token_type: None,
            issued_at,
            expires_at: self.shown_expiry(held.expires_at),
            family: Some(family.id),
            attached: family.payload.map(|payload| Attached { payload, salt: Some(salt) }),
        }
    }

    /// An expiry as it is told, by the wall clock, as far as it is one.
    pub(crate) fn shown_expiry(&self, at: Timestamp) -> Option<SystemTime> {
        (at != Timestamp::NEVER).then(|| self.store.on_the_wall(at).into())
    }

    /// True unless the subject or the client was revoked since `issued`.
    pub(crate) async fn admitted(
        &self,
        subject: &str,
        client: &str,
        issued: &Epochs,
    ) -> Result<bool> {
        self.store.admits(Owners::new(subject, client), issued).await
    }

    /// The same for a personal token, which does not rest on the pair of both.
    pub(crate) async fn admitted_apart(&self, token: &Personal) -> Result<bool> {
        self.store.admits(Owners::apart(&token.subject, &token.client), &token.epochs).await
    }

    /// The same for an access token, whose family must be in force as well: a family row names its
    /// owners already.
    pub(crate) async fn admitted_with_family(&self, token: &Token, now: Timestamp) -> Result<bool> {
        let Some(id) = token.family else {
            return self.admitted(&token.subject, &token.client, &token.epochs).await;
        };
        let mut tried = None;
        loop {
            let standing = self.store.family_standing(id).await?;
            let Some(standing) = standing.filter(|standing| standing.in_force(now)) else {
                return Ok(false);
            };
            // A family that was kept while the others ended keeps its access tokens.
            let families = standing.families;
            let issued = Epochs { families, ..token.epochs };
            if self.store.admits(standing.owners, &issued).await? {
                return Ok(true);
            }
            // It may have been kept between the two looks.
            if tried == Some(families) {
                return Ok(false);
            }
            tried = Some(families);
        }
    }

    /// The family as it is now, if its owners admit it; whether it is in force otherwise is the
    /// caller's to judge, after this.
    pub(crate) async fn admitted_family(
        &self,
        mut held: Held<Family>,
    ) -> Result<Option<Held<Family>>> {
        loop {
            if self.store.admits(held.record.owners(), &held.record.epochs).await? {
                return Ok(Some(held));
            }
            // It may have been kept, while the others ended, between the two looks.
            let now = self.store.get::<Family>(held.id).await?;
            let Some(now) = now.filter(|now| now.version != held.version) else {
                return Ok(None);
            };
            held = now;
        }
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
