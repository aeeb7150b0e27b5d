//! The revocation endpoint: RFC 7009.

use crate::client::{authenticate, peer};
use crate::oauth::OAuth;
use crate::params::Params;
use crate::rejection::{Rejection, json};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep::backend::Backend;

/// A token that is none is as good as revoked (section 2.2), and so the answer is the same.
pub(crate) async fn revoke<B: Backend>(
    State(OAuth(oauth)): State<OAuth<B>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = Params::of_body(&parts.headers, body).await?;
    let from = peer(&parts.extensions);
    let client = authenticate(&oauth.grants, &oauth.guesses, from, &parts.headers, &params).await?;
    let revoked = oauth.grants.revoke_by(&client.id, params.require("token")?).await?;
    match revoked.oauth_error() {
        None => Ok(json(StatusCode::OK, &serde_json::Map::new())),
        Some(error) => Err(error.into()),
    }
}
