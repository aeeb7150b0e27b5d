//! The client credentials grant, RFC 6749 section 4.4.

use crate::attachment::Attachment;
use crate::audience::AskedAudience;
use crate::event::Event;
use crate::grants::{Grants, check_name};
use crate::kind::ClaimsKind;
use crate::observe;
use crate::opening::expires_in;
use crate::proof::token_type;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::setter::setter;
use grantkeep::backend::Backend;
use grantkeep::{Confirmation, Result, Token, TokenKind};
use std::fmt;
use std::time::Duration;

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
    pub fn subject(self, subject: &'a str) -> Self {
        Self { subject, ..self }
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

/// An access token that cannot be refreshed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The access token.
    pub access: Secret,
    /// How long it lives, whole seconds.
    pub expires_in: Duration,
    /// `DPoP` or `Bearer`, as [`Pair::token_type`](crate::Pair).
    pub token_type: &'static str,
    /// Its scopes.
    pub scopes: Scopes,
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
        let _decision = observe::decision("client_credentials");
        check_name("a client id", request.client)?;
        let scopes = Scopes::read(&request.scopes)?;
        let attachment = request.payload.map(|(bytes, sealed)| Attachment::new(bytes, sealed));
        loop {
            let (standing, now) = self.standing(request.subject, request.client).await?;
            let until = now.saturating_add(self.policy.client_credentials_lifetime);
            let token = Token {
                kind: TokenKind::ClientCredential,
                client: request.client.to_owned(),
                subject: request.subject.to_owned(),
                scopes: scopes.as_str().to_owned(),
                audience: request.audience.granted()?,
                confirmation: request.confirmation,
                family: None,
                issued_at: self.store.wall(),
                epochs: standing.epochs(),
                revoked_at: None,
                payload: None,
            };
            let mut change = self.store.change()?;
            let access = self.add_token(&mut change, token, until, attachment.as_ref())?;
            standing.require(&mut change);
            if self.commit(change).await? {
                self.events().tell(|| Event::Issued {
                    kind: ClaimsKind::ClientCredential,
                    client: request.client.to_owned(),
                    subject: request.subject.to_owned(),
                    family: None,
                });
                let token_type = token_type(request.confirmation.as_ref());
                let expires_in = expires_in(now, until);
                return Ok(Issued { access, expires_in, token_type, scopes });
            }
        }
    }
}
