//! The two endpoints, on any store.

use super::Tokens;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use constant_time_eq::constant_time_eq_32;
use grantkeep_axum::{Params, Rejection, json};
use grantkeep_benches::served::{CLIENT, INTROSPECT, SECRET, TOKEN};
use grantkeep_grants::OAuthError;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Under what secrets of clients are digested.
const SECRETS_KEY: [u8; 32] = [9; 32];

/// What the handlers share.
struct App<T> {
    tokens: T,
    clients: Clients,
}

/// The clients, in memory: digests of their secrets by their ids.
struct Clients(HashMap<String, [u8; 32]>);

/// A token that is not in force.
#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// The endpoints, at the paths that the generator asks.
pub(crate) fn router<T: Tokens>(tokens: T) -> Router {
    let clients = HashMap::from([(CLIENT.to_owned(), digest(SECRET))]);
    let app = Arc::new(App { tokens, clients: Clients(clients) });
    Router::new()
        .route(TOKEN, post(token::<T>))
        .route(INTROSPECT, post(introspect::<T>))
        .with_state(app)
}

async fn token<T: Tokens>(
    State(app): State<Arc<App<T>>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = Params::of_body(&parts.headers, body).await?;
    let client = app.clients.authenticated(&params)?;
    if params.require("grant_type")? != "refresh_token" {
        return Err(OAuthError::UnsupportedGrantType.into());
    }
    match app.tokens.refresh(client, params.require("refresh_token")?).await {
        Some(issued) => Ok(json(StatusCode::OK, &issued)),
        None => Err(OAuthError::InvalidGrant.into()),
    }
}

async fn introspect<T: Tokens>(
    State(app): State<Arc<App<T>>>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = Params::of_body(&parts.headers, body).await?;
    let client = app.clients.authenticated(&params)?;
    match app.tokens.introspect(client, params.require("token")?).await {
        Some(told) => Ok(json(StatusCode::OK, &told)),
        None => Ok(json(StatusCode::OK, &Inactive { active: false })),
    }
}

impl Clients {
    /// The client that a request is from.
    fn authenticated<'p>(&self, params: &'p Params) -> Result<&'p str, Rejection> {
        let id = params.require("client_id")?;
        let presented = digest(params.get("client_secret").unwrap_or_default());
        let held = self.0.get(id).ok_or_else(Rejection::client)?;
        constant_time_eq_32(held, &presented).then_some(id).ok_or_else(Rejection::client)
    }
}

fn digest(secret: &str) -> [u8; 32] {
    *blake3::keyed_hash(&SECRETS_KEY, secret.as_bytes()).as_bytes()
}
