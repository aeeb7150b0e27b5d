//! The client credentials grant, RFC 6749 section 4.4.

use crate::clients::GrantType;
use crate::decision::{Flow, Found, Owned, Standing, Verdict};
use crate::events::event::Event;
use crate::family::opening::expires_in;
use crate::grants::{Grants, check_name};
use crate::request::audience::AskedAudience;
use crate::request::issued::Issued;
use crate::request::optional::Optional;
use crate::request::proof::token_type;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::Attachment;
use crate::text::kind::ClaimsKind;
use grantkeep::backend::Backend;
use grantkeep::{Confirmation, Result, Token, TokenKind};
use std::fmt;

/// A token that a client asks for itself. The server has already authenticated it and checked
/// which scopes it may have.
#[derive(Clone)]
pub struct ClientCredentials<'a> {
    client: &'a str,
    subject: &'a str,
    scopes: String,
    audience: AskedAudience,
    confirmation: Option<Confirmation>,
    payload: Option<(&'a [u8], bool)>,
}

impl<'a> ClientCredentials<'a> {
    /// A token for `client`, which may not be empty.
    pub fn new(client: &'a str) -> Self {
        Self {
            client,
            subject: "",
            scopes: String::new(),
            audience: AskedAudience::Unset,
            confirmation: None,
            payload: None,
        }
    }

    /// Whom the client belongs to, where a server answers that as the subject: revoking the
    /// subject takes the token along. Nobody by default.
    #[must_use]
    pub fn subject(self, subject: impl Optional<'a, str>) -> Self {
        Self { subject: subject.optional().unwrap_or_default(), ..self }
    }

    setter! {
        /// The granted scopes; one text may name several, separated by spaces.
        scopes
    }

    setter! {
        /// The resource servers that the token is meant for (RFC 8707): absolute URIs without a
        /// fragment. Any where it is left out; a list that names none is refused.
        audience
    }

    setter! {
        /// The key whose possession the request proved (RFC 9449, RFC 8705): the token is bound to
        /// it.
        confirmation
    }

    setter! {
        /// Bytes to go with the token, at most 16 KiB, kept as they are.
        payload
    }

    setter! {
        /// Bytes to go with the token, at most 16 KiB, sealed so that only presenting it opens
        /// them.
        sealed_payload
    }
}

impl fmt::Debug for ClientCredentials<'_> {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Grants<B> {
    /// Issues an access token to a client for itself. Any number live at once, and there is no
    /// refresh token (RFC 6749 section 4.4.3).
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty client, a field over its
    /// limit, or a malformed scope or `resource`; otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// The token is durable when it is answered.
    pub async fn client_credentials(&self, request: ClientCredentials<'_>) -> Result<Issued> {
        check_name("a client id", request.client)?;
        let scopes = Scopes::read(&request.scopes)?;
        let attachment = request.payload.map(|(bytes, sealed)| Attachment::new(bytes, sealed));
        let audience = request.audience.granted()?;
        self.decide(&mut Credential { request, scopes, audience, attachment }).await
    }
}

/// A token for a client itself.
struct Credential<'a> {
    request: ClientCredentials<'a>,
    scopes: Scopes,
    audience: String,
    attachment: Option<Attachment>,
}

impl<B: Backend> Flow<B> for Credential<'_> {
    const NAME: &'static str = "client_credentials";
    type Read = ();
    type Rests = Standing;
    type Answer = Issued;

    async fn read(&mut self, _: &Grants<B>) -> Result<Found<(), Issued>> {
        Ok(Found::Records(()))
    }

    fn owners<'r>(&'r self, (): &'r ()) -> Owned<'r> {
        Owned { subject: self.request.subject, client: self.request.client, ..Owned::default() }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (): (),
        standing: &Standing,
    ) -> Result<Verdict<Issued>> {
        let (mut issuing, request) =
            (standing.issue_by(grants, GrantType::ClientCredentials.as_str())?, &self.request);
        let until = issuing.now().saturating_add(grants.policy.client_credentials_lifetime);
        let token = Token {
            kind: TokenKind::ClientCredential,
            client: request.client.to_owned(),
            subject: request.subject.to_owned(),
            scopes: self.scopes.as_str().to_owned(),
            audience: self.audience.clone(),
            confirmation: request.confirmation,
            family: None,
            issued_at: grants.store.wall(),
            epochs: issuing.epochs(),
            revoked_at: None,
            payload: None,
        };
        let (access, _) = grants.add_token(&mut issuing, token, until, self.attachment.as_ref())?;
        let told = grants.told().event(|| Event::Issued {
            kind: ClaimsKind::ClientCredential,
            client: request.client.to_owned(),
            subject: request.subject.to_owned(),
            family: None,
        });
        let issued = Issued {
            access,
            refresh: None,
            expires_in: expires_in(issuing.now(), until),
            token_type: token_type(request.confirmation.as_ref()),
            scopes: self.scopes.clone(),
            subject: (!request.subject.is_empty()).then(|| request.subject.to_owned()),
            nonce: None,
            payload: self.attachment.as_ref().map(Attachment::bytes),
            family: None,
        };
        Ok(issuing.commit(told, issued))
    }
}
