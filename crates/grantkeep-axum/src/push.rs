//! The endpoint for pushed authorization requests: RFC 9126 section 2.

use crate::client::{authenticate, peer};
use crate::device::pending;
use crate::oauth::OAuth;
use crate::params::Params;
use crate::rejection::{Rejection, json};
use crate::wanted::Wanted;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep::backend::Backend;
use grantkeep_grants::OAuthError;

/// What authenticates a client: not kept with its request.
const CREDENTIALS: &[&str] = &["client_secret"];

/// The request is checked as at the authorization endpoint (section 2.1), and then kept.
pub(crate) async fn push<B: Backend>(
    State(OAuth(oauth)): State<OAuth<B>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = Params::of_body(&parts.headers, body).await?;
    let from = peer(&parts.extensions);
    let client = authenticate(&oauth.grants, &oauth.guesses, from, &parts.headers, &params).await?;
    if params.get("request_uri").is_some() {
        let told = Rejection::new(OAuthError::InvalidRequest);
        return Err(told.because("request_uri may not be pushed"));
    }
    Wanted::read(&oauth.grants, &client, &params).map_err(|wrong| wrong.rejection)?;
    let kept = params.to_form_without(CREDENTIALS);
    pending(&oauth, &client, from, oauth.grants.policy().push_lifetime, kept.len())?;
    let pushed = oauth.grants.push(&client.id, kept.as_bytes()).await?;
    Ok(json(StatusCode::CREATED, &pushed))
}
