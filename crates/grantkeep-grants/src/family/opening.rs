//! Opening a family: what a redeemed code and a verified password have in common.

use crate::clients::GrantType;
use crate::decision::{Flow, Found, Issuing, Owned, Verdict};
use crate::events::event::Event;
use crate::family::bound::Opens;
use crate::family::origin::{GivenOrigin, OpenOrigin, origin_setters};
use crate::grants::{Grants, check_name};
use crate::policy::{Refreshing, check_lifetime};
use crate::request::audience::AskedAudience;
use crate::request::issued::Issued;
use crate::request::proof::token_type;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::Attachment;
use crate::text::format::Tag;
use crate::text::kind::ClaimsKind;
use crate::text::minter::Minting;
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Confirmation, Digest, Epochs, Error, ErrorKind, Family, FamilyId, FamilyState, Origin, Result,
    Timestamp, Token, TokenKind, random,
};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// A grant without a code: the server has verified the subject itself, as for a session that
/// begins with signing in, an assertion (RFC 7521), a token exchange (RFC 8693), or the password
/// grant of RFC 6749 section 4.3 (which RFC 9700 section 2.4 advises against).
#[derive(Clone)]
pub struct Grant<'a> {
    client: &'a str,
    subject: &'a str,
    by: Option<GrantType>,
    scopes: String,
    audience: AskedAudience,
    confirmation: Option<Confirmation>,
    client_authenticated: bool,
    payload: Option<(&'a [u8], bool)>,
    origin: GivenOrigin<'a>,
    idle: Option<Duration>,
    absolute: Option<Duration>,
}

impl<'a> Grant<'a> {
    /// A grant by `subject` to `client`; neither may be empty.
    pub fn new(client: &'a str, subject: &'a str) -> Self {
        Self {
            client,
            subject,
            by: None,
            scopes: String::new(),
            audience: AskedAudience::Unset,
            confirmation: None,
            client_authenticated: false,
            payload: None,
            origin: GivenOrigin::default(),
            idle: None,
            absolute: None,
        }
    }

    /// The grant type of the request: a registered client must be registered for it. None by
    /// default: it is the server's own idea, as a session that begins with signing in.
    #[must_use]
    pub fn by(self, grant: impl Into<Option<GrantType>>) -> Self {
        Self { by: grant.into(), ..self }
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
        /// Says that the client has authenticated, by a secret or a key of its own: refresh tokens
        /// are bound to it and not to the key of this request, which it may renew (RFC 8705 section
        /// 7.1, RFC 9449 section 5). Of a registered client its record says so.
        client_authenticated
    }

    setter! {
        /// Bytes to go with the grant, at most 16 KiB, kept as they are.
        payload
    }

    setter! {
        /// Bytes to go with the grant, at most 16 KiB, sealed at rest.
        sealed_payload
    }

    origin_setters!();

    /// How long the family lives unused, each time that it is refreshed: whole seconds, up to the
    /// policy's `refresh_idle`, which counts where this is left out, or where it was made shorter
    /// since. Where the policy issues no refresh tokens ([`Refreshing::Off`]), the family and its
    /// access token end then at the latest, since nothing refreshes it.
    #[must_use]
    pub fn idle(self, lifetime: impl Into<Option<Duration>>) -> Self {
        Self { idle: lifetime.into(), ..self }
    }

    /// How long the family lives, however often it is refreshed: whole seconds, up to the policy's
    /// `refresh_absolute`, which counts where this is left out. It may be shorter than the lifetime
    /// unused, or than that of an access token, which end with it.
    #[must_use]
    pub fn absolute(self, lifetime: impl Into<Option<Duration>>) -> Self {
        Self { absolute: lifetime.into(), ..self }
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
#[derive(Debug, Default)]
pub(crate) struct Opening {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scopes: String,
    pub(crate) audience: String,
    /// The audience of the first access token, if it is not all of that.
    pub(crate) narrowed: Option<String>,
    pub(crate) confirmation: Option<Confirmation>,
    /// Whether the server says that the client has authenticated.
    pub(crate) client_authenticated: bool,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) origin: OpenOrigin,
    /// Lifetimes of its own, unused and at all.
    pub(crate) idle: Option<Duration>,
    pub(crate) absolute: Option<Duration>,
}

/// The first tokens of a family.
pub(crate) struct FirstTokens {
    pub(crate) issued: Issued,
    /// The id that the access token is filed under.
    pub(crate) access: Digest,
    /// When the family expires, unless it is refreshed.
    pub(crate) expires_at: Timestamp,
}

impl<B: Backend> Grants<B> {
    /// Opens a family without a code, for a subject that the server has verified itself, and issues
    /// its first tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Disabled`] for a disabled client, [`ErrorKind::Unauthorized`] for one that is
    /// registered without the [grant type](Grant::by) named;
    /// [`ErrorKind::Limit`] for an empty client or subject, a field over its limit, or a malformed
    /// scope or `resource`; [`ErrorKind::Lifetime`] for a lifetime over the policy's; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The family and its tokens are durable when they are answered.
    pub async fn open(&self, grant: Grant<'_>) -> Result<Issued> {
        check_name("a client id", grant.client)?;
        check_name("a subject", grant.subject)?;
        let opening = Opening {
            client: grant.client.to_owned(),
            subject: grant.subject.to_owned(),
            scopes: Scopes::read(&grant.scopes)?.into_text(),
            audience: grant.audience.granted()?,
            narrowed: None,
            confirmation: grant.confirmation,
            client_authenticated: grant.client_authenticated,
            attachment: grant.payload.map(|(bytes, sealed)| Attachment::new(bytes, sealed)),
            origin: grant.origin.read()?,
            idle: grant.idle,
            absolute: grant.absolute,
        };
        self.decide(&mut Opened { opening, by: grant.by }).await
    }

    /// Issues a new family, and its first tokens.
    pub(crate) fn open_family(
        &self,
        issuing: &mut Issuing,
        opening: &Opening,
        opens: &Opens,
    ) -> Result<(FamilyId, FirstTokens)> {
        let mut family = self.new_family(issuing, opening)?;
        let audience = opening.narrowed.as_ref().unwrap_or(&family.audience).clone();
        let attachment = opening.attachment.as_ref();
        let key = opening.confirmation;
        let first = self.first_tokens(issuing, &mut family, (audience, key), attachment)?;
        issuing.insert(family.id.digest(), &family, first.expires_at)?;
        opens.make_room(self, issuing, &family)?;
        Ok((family.id, first))
    }

    /// Issues the first tokens of `family`, but not the family.
    pub(crate) fn first_tokens(
        &self,
        issuing: &mut Issuing,
        family: &mut Family,
        (audience, key): (String, Option<Confirmation>),
        attachment: Option<&Attachment>,
    ) -> Result<FirstTokens> {
        let now = issuing.now();
        let (expires_at, refresh) = match self.policy.refreshing {
            Refreshing::Rotating | Refreshing::Fixed => {
                let until = self.idle_until(family, now);
                (until, Some(self.add_refresh(issuing, family, until)?))
            }
            // The family lives as long as the one access token that it is there to revoke, unless
            // it was given less: nothing refreshes it.
            Refreshing::Off => {
                let own = family.idle_s.map_or(Duration::MAX, Duration::from_secs);
                (now.saturating_add(own).min(family.absolute_expires_at), None)
            }
        };
        let access_until = now.saturating_add(self.policy.access_lifetime).min(expires_at);
        let narrowed = (family.scopes.clone(), audience);
        let token = Token {
            confirmation: key,
            ..family_token(family, issuing.epochs(), self.store.wall(), narrowed)
        };
        let (text, access) = self.add_token(issuing, token, access_until, attachment)?;
        let issued = Issued {
            access: text,
            refresh,
            expires_in: expires_in(now, access_until),
            token_type: token_type(key.as_ref()),
            scopes: Scopes::stored(family.scopes.clone()),
            subject: Some(family.subject.clone()),
            nonce: None,
            payload: attachment.map(Attachment::bytes),
            family: Some(family.id),
        };
        Ok(FirstTokens { issued, access, expires_at })
    }

    pub(crate) fn new_family(&self, issuing: &Issuing, opening: &Opening) -> Result<Family> {
        let now = issuing.now();
        let mut id = FamilyId([0; grantkeep::FAMILY_ID_BYTES]);
        let mut salt = Zeroizing::new([0; 32]);
        random(&mut id.0)?;
        random(&mut salt[..])?;
        let keyring = self.store.keyring();
        let root = keyring
            .active()
            .ok_or_else(|| Error::new(ErrorKind::Keyring, "the keyring is empty"))?;
        let payload = opening.attachment.as_ref().map(|each| each.close(&keyring, &salt[..]));
        let Origin { session, label, facts } = opening.origin.close(&keyring, &salt[..])?;
        let mut family = Family {
            id,
            client: opening.client.clone(),
            subject: opening.subject.clone(),
            granted_at: self.store.wall(),
            label,
            session,
            facts,
            scopes: opening.scopes.clone(),
            audience: opening.audience.clone(),
            confirmation: issuing
                .refresh_binding(opening.confirmation, opening.client_authenticated),
            generation: FIRST,
            brought: None,
            salt: *salt,
            key_id: root.id(),
            rotated_at: now,
            rotated_lead_ms: 0,
            refreshes: 0,
            retries: 0,
            retried_generations: 0,
            idle_s: opening.idle.map(|idle| idle.as_secs()),
            absolute_expires_at: now,
            epochs: issuing.epochs(),
            state: FamilyState::Active,
            payload: payload.transpose()?,
        };
        self.start(&mut family, now);
        if let Some(absolute) = opening.absolute {
            let own = now.saturating_add(absolute);
            family.absolute_expires_at = family.absolute_expires_at.min(own);
        }
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

    /// Mints an access token and issues it; answers the id that it is filed under as well.
    pub(crate) fn add_token(
        &self,
        issuing: &mut Issuing,
        mut token: Token,
        expires_at: Timestamp,
        attachment: Option<&Attachment>,
    ) -> Result<(Secret, Digest)> {
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
        let id = self.add_text(issuing, &access, &token, expires_at)?;
        Ok((access, id))
    }
}

/// The generation of a family's first refresh token.
const FIRST: u32 = 1;

/// An access token of `family`, bound to no key; it is issued at a time of the wall clock.
pub(crate) fn family_token(
    family: &Family,
    epochs: Epochs,
    issued_at: Timestamp,
    (scopes, audience): (String, String),
) -> Token {
    Token {
        kind: TokenKind::Access,
        client: family.client.clone(),
        subject: family.subject.clone(),
        scopes,
        audience,
        confirmation: None,
        family: Some(family.id),
        issued_at,
        epochs,
        revoked_at: None,
        payload: None,
    }
}

/// The whole seconds that are left.
pub(crate) fn expires_in(now: Timestamp, until: Timestamp) -> Duration {
    Duration::from_secs(until.since(now).as_secs())
}

/// A family that is to be opened for a subject that was verified.
struct Opened {
    opening: Opening,
    by: Option<GrantType>,
}

impl<B: Backend> Flow<B> for Opened {
    const NAME: &'static str = "open";
    type Read = ();
    type Rests = Opens;
    type Answer = Issued;

    async fn read(&mut self, _: &Grants<B>) -> Result<Found<(), Issued>> {
        Ok(Found::Records(()))
    }

    fn owners<'r>(&'r self, (): &'r ()) -> Owned<'r> {
        let Opening { subject, client, origin, .. } = &self.opening;
        Owned { subject, client, session: origin.session }
    }

    fn judge(&mut self, grants: &Grants<B>, (): (), standing: &Opens) -> Result<Verdict<Issued>> {
        let policy = &grants.policy;
        for (name, own, max) in [
            ("the idle lifetime of a grant", self.opening.idle, policy.refresh_idle),
            ("the absolute lifetime of a grant", self.opening.absolute, policy.refresh_absolute),
        ] {
            own.map_or(Ok(()), |own| check_lifetime(name, own, max))?;
        }
        let mut issuing = match &self.by {
            Some(grant) => standing.issue_by(grants, grant.as_str())?,
            None => standing.issue(grants)?,
        };
        let (family, first) = grants.open_family(&mut issuing, &self.opening, standing)?;
        let told = grants.told().event(|| Event::Issued {
            kind: ClaimsKind::Access,
            client: self.opening.client.clone(),
            subject: self.opening.subject.clone(),
            family: Some(family),
        });
        Ok(issuing.commit(told, first.issued))
    }
}
