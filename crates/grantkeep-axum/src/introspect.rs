//! The introspection endpoint: RFC 7662.
//!
//! Whoever asks authenticates as a client (section 2.1). A client is told of its own tokens; one
//! that is registered for [`INTROSPECTION_GRANT`], as a resource server is, of all of them. To
//! anybody else a token of another is as one that was never issued (section 2.2).
//!
//! A client that asks about too many tokens that are none is refused for those; what it asks about
//! its own is answered, and other clients are not concerned.
//!
//! A resource server asks about whatever its own callers present, so it is not held to be guessing:
//! somebody else's rubbish must not keep it from asking.

use crate::client::{authenticate, peer};
use crate::guesses::{Guessed, Whose};
use crate::oauth::OAuth;
use crate::params::Params;
use crate::rejection::{Rejection, json};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep::backend::Backend;
use grantkeep_grants::{GrantType, Introspection};

/// The grant type of a client that may look at every token: a resource server's.
pub const INTROSPECTION_GRANT: &str = "urn:grantkeep:grant-type:introspection";

pub(crate) async fn introspect<B: Backend>(
    State(OAuth(oauth)): State<OAuth<B>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = Params::of_body(&parts.headers, body).await?;
    let from = peer(&parts.extensions);
    let client = authenticate(&oauth.grants, &oauth.guesses, from, &parts.headers, &params).await?;
    if !client.confidential {
        // Its id is no secret, so anybody could ask.
        return Err(Rejection::client());
    }
    let token = params.require("token")?;
    let sees_all = client.grants.iter().any(is_introspection);
    let told = match oauth.grants.introspect(token).await? {
        Introspection::Active(claims)
            if sees_all || claims.client.as_deref() == Some(client.id.as_str()) =>
        {
            Introspection::Active(claims)
        }
        Introspection::Active(_) => Introspection::Inactive,
        Introspection::Inactive => {
            if !sees_all {
                oauth.guesses.failed(Guessed::Token, Whose::Client(&client.id))?;
            }
            Introspection::Inactive
        }
    };
    Ok(json(StatusCode::OK, &told))
}

fn is_introspection(grant: &GrantType) -> bool {
    grant.as_str() == INTROSPECTION_GRANT
}
