//! Authorization codes, RFC 6749 section 4.1.2.

use crate::clients::{ClientInfo, GrantType};
use crate::code::pkce;
use crate::decision::{Flow, Found, Owned, Standing, Verdict};
use crate::events::event::Event;
use crate::family::origin::{GivenOrigin, OpenOrigin, origin_setters};
use crate::grants::{Grants, check_name};
use crate::policies::check_pkce;
use crate::policy::{Policy, check_lifetime};
use crate::request::audience::AskedAudience;
use crate::request::optional::{Optional, parameter};
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::close;
use crate::text::format::Tag;
use crate::text::minter::Minting;
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Challenge, Code, CodeState, Confirmation, Epochs, Error, ErrorKind, Origin, Purpose, Result,
};
use std::fmt;
use std::time::Duration;

/// What a subject granted a client, to be carried by a code.
///
/// The server has already authenticated the subject, asked for consent, and checked the client,
/// its redirect URI, and the scopes it may have.
#[derive(Clone)]
pub struct Authorize<'a> {
    client: &'a str,
    subject: &'a str,
    scopes: String,
    audience: AskedAudience,
    redirect_uri: Option<&'a str>,
    challenge: Option<Asked<'a>>,
    confirmation: Option<Confirmation>,
    nonce: Option<&'a str>,
    payload: Option<(&'a [u8], bool)>,
    origin: GivenOrigin<'a>,
    lifetime: Option<Duration>,
}

#[derive(Clone, Copy)]
enum Asked<'a> {
    S256(&'a str),
    Plain(&'a str),
    Elsewhere,
}

impl<'a> Authorize<'a> {
    /// A grant by `subject` to `client`; neither may be empty.
    pub fn new(client: &'a str, subject: &'a str) -> Self {
        Self {
            client,
            subject,
            scopes: String::new(),
            audience: AskedAudience::Unset,
            redirect_uri: None,
            challenge: None,
            confirmation: None,
            nonce: None,
            payload: None,
            origin: GivenOrigin::default(),
            lifetime: None,
        }
    }

    /// The redirect URI of the request: it must be presented again, exact to the byte (RFC 6749
    /// section 4.1.3). Leave it out only where the request had none.
    #[must_use]
    pub fn redirect_uri(self, uri: impl Optional<'a, str>) -> Self {
        Self { redirect_uri: parameter(uri), ..self }
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

    /// The `code_challenge` of method S256 (RFC 7636 section 4.2): 43 characters of base64url.
    #[must_use]
    pub fn pkce_s256(self, challenge: impl Optional<'a, str>) -> Self {
        let challenge = parameter(challenge).map(Asked::S256);
        Self { challenge: challenge.or(self.challenge), ..self }
    }

    /// The `code_challenge` of method plain: 43 to 128 characters. Refused unless the policy
    /// allows it.
    #[must_use]
    pub fn pkce_plain(self, challenge: impl Optional<'a, str>) -> Self {
        let challenge = parameter(challenge).map(Asked::Plain);
        Self { challenge: challenge.or(self.challenge), ..self }
    }

    /// The request had a `code_challenge`, and the server itself keeps it and verifies the
    /// redemption against it, such as a server library does whose codes carry it. The code demands
    /// no verifier then. Where PKCE is demanded, the request counts as one that uses it.
    #[must_use]
    pub fn pkce_verified_elsewhere(self) -> Self {
        Self { challenge: Some(Asked::Elsewhere), ..self }
    }

    setter! {
        /// The key that the redemption must prove possession of (`dpop_jkt`, RFC 9449 section 10;
        /// [`jkt`](crate::request::proof::jkt) reads it), and that the tokens are bound to.
        confirmation
    }

    /// The nonce of an OpenID Connect request, handed back on redemption.
    #[must_use]
    pub fn nonce(self, nonce: impl Optional<'a, str>) -> Self {
        Self { nonce: parameter(nonce), ..self }
    }

    setter! {
        /// Bytes to go with the grant (claims, a session), at most 16 KiB: handed back on
        /// redemption, and on introspection where asked for. Kept as they are.
        payload
    }

    setter! {
        /// As [`Authorize::payload`], but sealed at rest: in the code and in an access token only
        /// presenting it opens the payload.
        sealed_payload
    }

    origin_setters!();

    /// How long the code lives: whole seconds up to the policy's `code_lifetime_max`.
    #[must_use]
    pub fn lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        Self { lifetime: lifetime.into(), ..self }
    }
}

impl fmt::Debug for Authorize<'_> {
    /// Without the challenge, which is a secret where it is plain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Grants<B> {
    /// Issues a code for what was granted.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for an empty client or subject, a field over its limit, a malformed
    /// scope or challenge, a plain challenge that the policy does not allow, or none where
    /// [`Policy::demands_pkce`](crate::Policy::demands_pkce) one; [`ErrorKind::Missing`] if the
    /// client's record names a policy that is not registered;
    /// [`ErrorKind::Lifetime`] for a lifetime over the policy's; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The code is durable when it is answered.
    pub async fn authorize(&self, request: Authorize<'_>) -> Result<Secret> {
        check_name("a client id", request.client)?;
        check_name("a subject", request.subject)?;
        let record = code(&request)?;
        let origin = request.origin.read()?;
        self.decide(&mut Authorization { request, record, origin }).await
    }
}

impl<B: Backend> Grants<B> {
    /// Checks of a request, by the client with this record, what can be checked before a person is
    /// asked: all but who that person is, and what the store says of either.
    ///
    /// # Errors
    /// As [`Grants::authorize`], of the kinds [`ErrorKind::Limit`], [`ErrorKind::Missing`], and
    /// [`ErrorKind::Lifetime`].
    pub fn check_authorize(&self, client: &ClientInfo, request: &Authorize<'_>) -> Result<()> {
        let policy = self.policy_of(client)?;
        code(request)?;
        request.origin.read()?;
        check_lifetime_of(request, policy)?;
        check_pkce(policy.demands_pkce(Some(client)), request.challenge.is_some())?;
        read_challenge(policy, request.challenge).map(drop)
    }
}

/// How long the code lives.
fn check_lifetime_of(request: &Authorize<'_>, policy: &Policy) -> Result<Duration> {
    let lifetime = request.lifetime.unwrap_or(policy.code_lifetime);
    check_lifetime("a code's lifetime", lifetime, policy.code_lifetime_max)?;
    Ok(lifetime)
}

/// What is stored of a request, but for what the policy and the standing decide.
fn code(request: &Authorize<'_>) -> Result<Code> {
    Ok(Code {
        purpose: Purpose::Authorization,
        client: request.client.to_owned(),
        subject: request.subject.to_owned(),
        scopes: Scopes::read(&request.scopes)?.into_text(),
        audience: request.audience.granted()?,
        redirect_uri: request.redirect_uri.map(str::to_owned),
        challenge: None,
        confirmation: request.confirmation,
        nonce: request.nonce.map(str::to_owned),
        origin: Origin::default(),
        epochs: Epochs::default(),
        state: CodeState::Fresh,
        payload: None,
    })
}

fn read_challenge(policy: &Policy, asked: Option<Asked<'_>>) -> Result<Option<Challenge>> {
    match asked {
        None | Some(Asked::Elsewhere) => Ok(None),
        Some(Asked::S256(challenge)) => pkce::s256(challenge).map(Some),
        Some(Asked::Plain(challenge)) if policy.allow_plain_pkce => {
            pkce::plain(challenge).map(Some)
        }
        Some(Asked::Plain(_)) => Err(Error::new(
            ErrorKind::Limit,
            "the policy does not allow a plain code challenge: use S256",
        )),
    }
}

/// A code that is to be issued.
struct Authorization<'a> {
    request: Authorize<'a>,
    record: Code,
    origin: OpenOrigin,
}

impl<B: Backend> Flow<B> for Authorization<'_> {
    const NAME: &'static str = "authorize";
    type Read = ();
    type Rests = Standing;
    type Answer = Secret;

    async fn read(&mut self, _: &Grants<B>) -> Result<Found<(), Secret>> {
        Ok(Found::Records(()))
    }

    fn owners<'r>(&'r self, (): &'r ()) -> Owned<'r> {
        let Authorize { subject, client, .. } = self.request;
        Owned { subject, client, session: self.origin.session }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (): (),
        standing: &Standing,
    ) -> Result<Verdict<Secret>> {
        let (policy, request, record) = (&grants.policy, &self.request, &mut self.record);
        let lifetime = check_lifetime_of(request, policy)?;
        let mut issuing = standing.issue_by(grants, GrantType::AuthorizationCode.as_str())?;
        let known = standing.client().map(|client| (client.confidential, client.require_pkce));
        check_pkce(policy.demands_pkce_of(known), request.challenge.is_some())?;
        record.challenge = read_challenge(policy, request.challenge)?;
        let expires_at = issuing.now().saturating_add(lifetime);
        let code = grants.mint(&Minting {
            tag: Tag::Code,
            client: &record.client,
            subject: &record.subject,
            scopes: &record.scopes,
            audience: &record.audience,
            confirmation: record.confirmation.as_ref(),
            family: None,
            generation: None,
            issued_at: grants.store.wall().into(),
            expires_at: grants.store.on_the_wall(expires_at).into(),
        })?;
        let secret = code.expose().as_bytes();
        record.payload = close(request.payload, &grants.store.keyring(), secret)?;
        record.origin = self.origin.close(&grants.store.keyring(), secret)?;
        record.epochs = issuing.epochs();
        grants.add_text(&mut issuing, &code, record, expires_at)?;
        let told = grants.told().event(|| Event::Authorized {
            client: record.client.clone(),
            subject: record.subject.clone(),
        });
        Ok(issuing.commit(told, code))
    }
}
