//! The token endpoint: RFC 6749 section 3.2, with a function for each grant type.
//!
//! The client authenticates first, whatever it asks for. What it may have is decided by the grants,
//! in one batch of the store; nothing is kept here between two requests.

use crate::client::{authenticate, peer};
use crate::guesses::{Guessed, Whose};
use crate::oauth::{OAuth, Shared};
use crate::params::Params;
use crate::rejection::{Rejection, json};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, request::Parts};
use axum::response::Response;
use grantkeep::backend::Backend;
use grantkeep_grants::{
    ClientCredentials, ClientInfo, ClientRefusal, Grant, GrantType, Issued, OAuthError, Polled,
    Presented, Redeemed, RefreshRequest, Refreshed,
};
use std::net::IpAddr;

pub(crate) async fn token<B: Backend>(
    State(OAuth(oauth)): State<OAuth<B>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let mut issued = answer(&oauth, &parts, body).await?;
    if let ("Bearer", Some(spelled)) = (issued.token_type, oauth.token_type) {
        issued.token_type = spelled;
    }
    Ok(json(StatusCode::OK, &issued))
}

async fn answer<B: Backend>(
    oauth: &Shared<B>,
    parts: &Parts,
    body: Body,
) -> Result<Box<Issued>, Rejection> {
    let mut params = Params::of_body(&parts.headers, body).await?;
    if oauth.splits_forms {
        params = params.split_once_more()?;
    }
    let from = peer(&parts.extensions);
    let asked = GrantType::read(params.require("grant_type")?);
    let client = authenticate(&oauth.grants, &oauth.guesses, from, &parts.headers, &params).await?;
    let asked = asked.filter(|grant| oauth.serves(grant));
    let flow = Flow { oauth, client: &client, params: &params, from };
    let answered = match asked {
        Some(GrantType::AuthorizationCode) => flow.code().await,
        Some(GrantType::RefreshToken) => flow.refresh().await,
        Some(GrantType::ClientCredentials) => flow.own().await,
        Some(GrantType::DeviceCode) => flow.device().await,
        Some(GrantType::Password) => return flow.password().await,
        // It is not told back: in a form that was escaped as a whole, the secret is in it.
        _ => return Err(OAuthError::UnsupportedGrantType.into()),
    };
    // Whoever has authenticated is known, and what it presents is its own.
    if !client.confidential && is_wrong(&answered) {
        oauth.guesses.failed(Guessed::Token, Whose::Address(from))?;
    }
    answered
}

/// Whether an answer says that what was presented is none, or somebody else's.
fn is_wrong<T>(answered: &Result<T, Rejection>) -> bool {
    answered.as_ref().is_err_and(|told| told.error() == OAuthError::InvalidGrant)
}

/// One request of a client.
struct Flow<'a, B> {
    oauth: &'a Shared<B>,
    client: &'a ClientInfo,
    params: &'a Params,
    from: Option<IpAddr>,
}

impl<B: Backend> Flow<'_, B> {
    /// Refuses a grant type that the client is not registered for, before anything is spent.
    fn permitted(&self, grant: GrantType) -> Result<(), Rejection> {
        self.client.permits(grant).map_err(refused)
    }

    /// What comes with a code, or a device's.
    fn presented<'a>(&'a self, resources: &'a [&'a str]) -> Presented<'a> {
        let presented = Presented::by(&self.client.id)
            .redirect_uri(self.params.get("redirect_uri"))
            .verifier(self.params.get("code_verifier"))
            .audience(resources);
        if self.client.confidential { presented.client_authenticated() } else { presented }
    }

    async fn code(&self) -> Result<Box<Issued>, Rejection> {
        self.permitted(GrantType::AuthorizationCode)?;
        let code = self.params.require("code")?;
        let resources = self.params.all("resource");
        match self.oauth.grants.redeem(code, &self.presented(&resources)).await? {
            Redeemed::Granted(issued) => Ok(issued),
            other => Err(told(other.oauth_error())),
        }
    }

    async fn refresh(&self) -> Result<Box<Issued>, Rejection> {
        self.permitted(GrantType::RefreshToken)?;
        let token = self.params.require("refresh_token")?;
        let resources = self.params.all("resource");
        let request = RefreshRequest::by(&self.client.id)
            .scopes(self.params.get("scope"))
            .audience(resources.as_slice());
        match self.oauth.grants.refresh(token, &request).await? {
            Refreshed::Rotated(issued) | Refreshed::Retried(issued) => Ok(issued),
            other => Err(told(other.oauth_error())),
        }
    }

    /// A token for the client itself, RFC 6749 section 4.4.
    async fn own(&self) -> Result<Box<Issued>, Rejection> {
        self.permitted(GrantType::ClientCredentials)?;
        let scopes = self.client.narrow(self.params.get("scope")).map_err(refused)?;
        let resources = self.params.all("resource");
        let named = (!resources.is_empty()).then_some(resources);
        let request = ClientCredentials::new(&self.client.id).scopes(&scopes).audience(named);
        Ok(Box::new(self.oauth.grants.client_credentials(request).await?))
    }

    /// A person's name and password, RFC 6749 section 4.3.
    ///
    /// The people of a client that has authenticated have its server's address, so their guesses
    /// count by the client and the name; those of a public one by the address and the name.
    async fn password(&self) -> Result<Box<Issued>, Rejection> {
        self.permitted(GrantType::Password)?;
        let name = self.params.require("username")?.to_owned();
        let password = self.params.require("password")?.to_owned().into();
        let scopes = self.client.narrow(self.params.get("scope")).map_err(refused)?;
        let Some(verify) = &self.oauth.verify else {
            return Err(OAuthError::UnsupportedGrantType.into());
        };
        let named = if self.client.confidential {
            Whose::NameThrough(&name, &self.client.id)
        } else {
            Whose::NameFrom(&name, self.from)
        };
        let places = [(Guessed::Password, named), (Guessed::Passwords, Whose::Address(self.from))];
        let guess = self.oauth.guesses.take(&places)?;
        let verified = verify(name.clone(), password).await;
        let verified = verified.and_then(|whose| whose.ok_or(OAuthError::InvalidGrant.into()));
        if !is_wrong(&verified) {
            guess.give_back();
        }
        let subject = verified?;
        let resources = self.params.all("resource");
        let named = (!resources.is_empty()).then_some(resources);
        let grant = Grant::new(&self.client.id, &subject).by(GrantType::Password);
        Ok(Box::new(self.oauth.grants.open(grant.scopes(&scopes).audience(named)).await?))
    }

    async fn device(&self) -> Result<Box<Issued>, Rejection> {
        self.permitted(GrantType::DeviceCode)?;
        let code = self.params.require("device_code")?;
        let resources = self.params.all("resource");
        match self.oauth.grants.poll_device(code, &self.presented(&resources)).await? {
            Polled::Granted(issued) => Ok(issued),
            other => Err(told(other.oauth_error())),
        }
    }
}

/// What an answer that grants nothing comes to.
fn told(error: Option<OAuthError>) -> Rejection {
    error.unwrap_or(OAuthError::InvalidGrant).into()
}

/// What a client is told that may not have what it asks for.
pub(crate) fn refused(refusal: ClientRefusal) -> Rejection {
    refusal.oauth_error().into()
}
