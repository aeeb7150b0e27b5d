//! The registrar: clients of the store as oxide-auth asks for them.

use crate::core::{Core, Failure};
use grantkeep::backend::Backend;
use grantkeep_grants::{Authenticated, ClientInfo, GrantType};
use oxide_auth::primitives::registrar::{
    BoundClient, ClientUrl, ExactUrl, PreGrant, RegisteredUrl, RegistrarError,
};
use oxide_auth::primitives::scope::Scope;
use std::borrow::Cow;

/// Where a client is redirected to that may ask for tokens of its own, and named no redirect URI:
/// nowhere (RFC 2606 section 2).
pub(crate) const NOWHERE: &str = "https://client.invalid/";

impl<B: Backend> Core<B> {
    pub(crate) async fn bound_redirect<'a>(
        &self,
        bound: ClientUrl<'a>,
    ) -> Result<BoundClient<'a>, Failure> {
        let client = self.registered(&bound.client_id).await?;
        let url = match &bound.redirect_uri {
            Some(presented) => authorized_redirect(&client, Some(presented.as_str()))?,
            None => default_redirect(&client)?,
        };
        let url = ExactUrl::new(url.to_owned()).map_err(|_| Failure::Refused)?;
        let redirect_uri = Cow::Owned(RegisteredUrl::Exact(url));
        Ok(BoundClient { client_id: bound.client_id, redirect_uri })
    }

    pub(crate) async fn negotiate(
        &self,
        bound: BoundClient<'_>,
        scope: Option<Scope>,
    ) -> Result<PreGrant, Failure> {
        let client = self.registered(&bound.client_id).await?;
        let asked = scope.map(|scope| scope.to_string());
        let granted = client.narrow(asked.as_deref()).map_err(|_| Failure::Refused)?;
        Ok(PreGrant {
            client_id: bound.client_id.into_owned(),
            redirect_uri: bound.redirect_uri.into_owned(),
            scope: granted.as_str().parse().map_err(|_| Failure::Refused)?,
        })
    }

    pub(crate) async fn check(
        &self,
        client: &str,
        passphrase: Option<&[u8]>,
    ) -> Result<(), Failure> {
        // To the store an empty secret is none (RFC 6749 section 3.1). To oxide-auth, whose suite
        // for registrars says so, it is a passphrase, and no client has it.
        if passphrase.is_some_and(<[u8]>::is_empty) {
            return Err(Failure::Refused);
        }
        match self.grants.authenticate_client(client, passphrase).await? {
            Authenticated::Client(_) => Ok(()),
            _ => Err(Failure::Refused),
        }
    }

    async fn registered(&self, client: &str) -> Result<ClientInfo, Failure> {
        let client = self.grants.client(client).await?;
        client.filter(ClientInfo::is_enabled).ok_or(Failure::Refused)
    }

    /// Refusals look alike; what the store could not decide is told.
    pub(crate) fn registrar_error(&self, failure: Failure) -> RegistrarError {
        match failure {
            Failure::Refused => RegistrarError::Unspecified,
            failure @ Failure::Store(_) => {
                let _ = self.tell::<()>(Err(failure));
                RegistrarError::PrimitiveError
            }
        }
    }
}

fn authorized_redirect<'a>(
    client: &'a ClientInfo,
    presented: Option<&'a str>,
) -> Result<&'a str, Failure> {
    client.permits(GrantType::AuthorizationCode).map_err(|_| Failure::Refused)?;
    client.redirect(presented).map_err(|_| Failure::Refused)
}

/// The URI of a request that names none: the only one (RFC 6749 section 3.1.2.3). The client
/// credentials flow asks in the same way as the authorization flow, and redirects nowhere. So a
/// client that may use that flow is redirected nowhere, which tells the grants of the two flows
/// apart: no code is made for nowhere ([`Core::authorize`]), and a client's own token for nothing
/// else ([`Core::issue`]).
fn default_redirect(client: &ClientInfo) -> Result<&str, Failure> {
    match client.permits(GrantType::ClientCredentials) {
        Ok(()) => Ok(NOWHERE),
        Err(_) => authorized_redirect(client, None),
    }
}
