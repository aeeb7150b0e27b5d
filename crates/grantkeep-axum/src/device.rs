//! The device authorization endpoint: RFC 8628 section 3.1.

use crate::client::{authenticate, peer};
use crate::guesses::{Guessed, Whose};
use crate::oauth::{OAuth, Shared};
use crate::params::Params;
use crate::rejection::{Rejection, json};
use crate::token::refused;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep::backend::Backend;
use grantkeep_grants::{ClientInfo, DeviceRequest, GrantType};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) async fn device<B: Backend>(
    State(OAuth(oauth)): State<OAuth<B>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = Params::of_body(&parts.headers, body).await?;
    let from = peer(&parts.extensions);
    let client = authenticate(&oauth.grants, &oauth.guesses, from, &parts.headers, &params).await?;
    client.permits(GrantType::DeviceCode).map_err(refused)?;
    let scopes = client.narrow(params.get("scope")).map_err(refused)?;
    let resources = params.all("resource");
    let named = (!resources.is_empty()).then_some(resources);
    let asked = DeviceRequest::new(&client.id).scopes(&scopes).audience(named);
    let bytes = scopes.as_str().len() + params.all("resource").concat().len();
    pending(&oauth, &client, from, oauth.grants.policy().device_lifetime, bytes)?;
    let issued = oauth.grants.device(asked).await?;
    let page = oauth.address(&oauth.paths.verification);
    Ok(json(StatusCode::OK, &issued.response(&page).with_complete()))
}

/// Notes a row of so many bytes that is about to be stored until somebody decides, or `lifetime` is
/// over. The id of a public client is no secret, so anybody could fill the disk with its rows: they
/// are bounded by where they come from first, so that nobody there takes all that the client has.
///
/// # Errors
/// A refusal with status 429 (RFC 6585 section 4) where too many wait.
pub(crate) fn pending<B>(
    oauth: &Shared<B>,
    client: &ClientInfo,
    from: Option<IpAddr>,
    lifetime: Duration,
    bytes: usize,
) -> Result<(), Rejection> {
    if !client.confidential {
        oauth.guesses.stored(Guessed::Unasked, Whose::Address(from), bytes)?;
    }
    oauth.guesses.stored(Guessed::Pending(lifetime), Whose::Client(&client.id), bytes)
}
