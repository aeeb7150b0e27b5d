//! The example API of a system: what its own would do with a token.
//!
//! A missing, expired, revoked, or malformed token is answered with 401 and what RFC 6750 says; one
//! of a client itself is told apart from a person's.

use crate::systems::System;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use grantkeep_axum::{Bearer, OAuth, Resource};
use grantkeep_grants::Demand;
use serde::Serialize;

/// The API, as a resource of RFC 8707.
pub(crate) const RESOURCE: &str = "https://api.example";

struct Example;

impl Resource for Example {
    fn demand() -> Demand<'static> {
        Demand::new(RESOURCE)
    }
}

/// What a caller is answered.
#[derive(Debug, Serialize)]
struct Answer {
    data: [&'static str; 0],
    /// What the system calls such a caller.
    caller: &'static str,
    client: Option<String>,
    subject: Option<String>,
    scope: String,
}

#[derive(Clone)]
struct Api {
    oauth: OAuth,
    system: &'static System,
}

impl axum::extract::FromRef<Api> for grantkeep_grants::Grants {
    fn from_ref(api: &Api) -> Self {
        api.oauth.grants().clone()
    }
}

impl axum::extract::FromRef<Api> for std::sync::Arc<grantkeep_axum::Guesses> {
    fn from_ref(api: &Api) -> Self {
        std::sync::Arc::clone(api.oauth.table_of_guesses())
    }
}

pub(crate) fn router(oauth: &OAuth, system: &'static System) -> Router {
    let api = Api { oauth: oauth.clone(), system };
    let paths = system.resources.iter();
    paths.fold(Router::new(), |router, path| router.route(path, get(answer))).with_state(api)
}

async fn answer(State(api): State<Api>, token: Bearer<Example>) -> Json<Answer> {
    let claims = *token.claims;
    let (person, client) = api.system.callers;
    Json(Answer {
        data: [],
        caller: if claims.subject.is_some() { person } else { client },
        client: claims.client,
        subject: claims.subject,
        scope: claims.scopes.as_str().to_owned(),
    })
}
