//! What an authorization request asks for, checked: RFC 6749 section 4.1.1, RFC 7636 section 4.3.
//!
//! The order matters. Until the redirect URI is known to be the client's own, what is wrong is told
//! to nobody but the person or the client that sent the request; from then on it is redirected.

use crate::params::Params;
use crate::rejection::Rejection;
use crate::token::refused;
use grantkeep::backend::Backend;
use grantkeep_grants::{Authorize, ClientInfo, GrantType, Grants, OAuthError, Scopes};

/// A request that is in order.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) target: Target,
    pub(crate) scopes: Scopes,
    pub(crate) resources: Vec<String>,
    redirect_named: bool,
    challenge: Option<(Method, String)>,
    nonce: Option<String>,
}

/// Where the answer goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Method {
    S256,
    Plain,
}

/// A request that is not, and where that is told, if anywhere.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) rejection: Rejection,
    pub(crate) target: Option<Target>,
}

impl From<Rejection> for Wrong {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, target: None }
    }
}

impl Wanted {
    /// Reads the parameters of a request by `client`.
    pub(crate) fn read<B: Backend>(
        grants: &Grants<B>,
        client: &ClientInfo,
        params: &Params,
    ) -> Result<Self, Wrong> {
        let redirect_uri = client.redirect(params.get("redirect_uri")).map_err(|_| {
            let why = "redirect_uri is not registered for this client, or is missing although \
                       several are registered";
            Rejection::new(OAuthError::InvalidRequest).because(why)
        })?;
        let state = params.get("state").map(str::to_owned);
        let target = Target { redirect_uri: redirect_uri.to_owned(), state };
        Self::read_behind(grants, client, params, target.clone())
            .map_err(|rejection| Wrong { rejection, target: Some(target) })
    }

    fn read_behind<B: Backend>(
        grants: &Grants<B>,
        client: &ClientInfo,
        params: &Params,
        target: Target,
    ) -> Result<Self, Rejection> {
        if params.get("request").is_some() {
            return Err(OAuthError::RequestNotSupported.into());
        }
        if params.require("response_type")? != "code" {
            return Err(OAuthError::UnsupportedResponseType.into());
        }
        client.permits(GrantType::AuthorizationCode).map_err(refused)?;
        let malformed = |why| Rejection::new(OAuthError::InvalidRequest).because(why);
        let challenge = params.get("code_challenge").map(str::to_owned);
        let challenge = match (params.get("code_challenge_method"), challenge) {
            (None, None) => None,
            (Some(_), None) => {
                return Err(malformed("code_challenge_method has no code_challenge"));
            }
            (None | Some("plain"), Some(challenge)) => Some((Method::Plain, challenge)),
            (Some("S256"), Some(challenge)) => Some((Method::S256, challenge)),
            (Some(_), Some(_)) => {
                return Err(malformed("code_challenge_method is neither S256 nor plain"));
            }
        };
        let wanted = Self {
            target,
            scopes: client.narrow(params.get("scope")).map_err(refused)?,
            resources: params.all("resource").into_iter().map(str::to_owned).collect(),
            redirect_named: params.get("redirect_uri").is_some(),
            challenge,
            nonce: params.get("nonce").map(str::to_owned),
        };
        // Before anybody is asked: what is wrong then would be told after they have said yes.
        grants.check_authorize(client, &wanted.authorize(&client.id, "").scopes(&wanted.scopes))?;
        Ok(wanted)
    }

    /// The grant by this person, to be given a code; its scopes and session are set by the caller.
    pub(crate) fn authorize<'a>(&'a self, client: &'a str, subject: &'a str) -> Authorize<'a> {
        let redirect_uri = self.redirect_named.then_some(&self.target.redirect_uri);
        let audience = (!self.resources.is_empty()).then_some(&self.resources);
        let new = Authorize::new(client, subject)
            .redirect_uri(redirect_uri)
            .audience(audience)
            .nonce(self.nonce.as_ref());
        match &self.challenge {
            Some((Method::S256, challenge)) => new.pkce_s256(challenge),
            Some((Method::Plain, challenge)) => new.pkce_plain(challenge),
            None => new,
        }
    }
}
