//! The device authorization endpoint: RFC 8628 section 3.1.

use crate::client::{authenticate, peer};
use crate::oauth::OAuth;
use crate::params::Params;
use crate::rejection::{Rejection, json};
use crate::token::refused;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep::backend::Backend;
use grantkeep_grants::{DeviceRequest, GrantType};

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
    let issued = oauth.grants.device(asked).await?;
    let page = oauth.address(&oauth.paths.verification);
    Ok(json(StatusCode::OK, &issued.response(&page).with_complete()))
}
