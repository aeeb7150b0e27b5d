//! A whole authorization server for one person, on 127.0.0.1:8081: code with PKCE, refresh,
//! password, client credentials, introspection, revocation, and an API that asks for a token.
//!
//! ```console
//! cargo run --release -p grantkeep-axum --example server
//! ```

use axum::Router;
use axum::response::{Html, IntoResponse as _};
use axum::routing::get;
use grantkeep::{Store, Wait as _};
use grantkeep_axum::{Asking, Bearer, Consent, Granted, OAuth, Resource};
use grantkeep_grants::{Creation, Demand, GrantType, Grants, NewClient, Policy, Secret};
use std::error::Error;
use std::net::SocketAddr;

const PASSWORD: &str = "wonderland"; // from a hash in your own table

struct Notes;

impl Resource for Notes {
    fn demand() -> Demand<'static> {
        Demand::new("https://api.example").scopes("notes")
    }
}

async fn notes(token: Bearer<Notes>) -> String {
    format!("the notes of {}\n", token.claims.subject.as_deref().unwrap_or("nobody"))
}

/// Asks for the password with each request of a client: a server with sessions asks once.
async fn ask(asking: Asking) -> Consent {
    let form = asking.form.as_ref();
    let typed = |name| form.and_then(|form| form.get(name));
    match (typed("decision"), typed("password")) {
        (Some("no"), _) => Consent::Denied,
        (Some(_), Some(PASSWORD)) => Consent::Granted(Granted::by("alice")),
        _ => Consent::Page(Box::new(
            Html(format!(
                "<p>{} asks for: {}<form method=post>Your password \
                 <input type=password name=password><button name=decision value=yes>Allow</button>\
                 <button name=decision value=no>Refuse</button></form>",
                asking.client.id,
                asking.scopes // an id has no character that HTML minds
            ))
            .into_response(),
        )),
    }
}

pub(crate) fn app(grants: Grants, address: SocketAddr) -> Router {
    let oauth: OAuth = grantkeep_axum::oauth(grants)
        .issuer(format!("http://{address}"))
        .password(async |name: String, password: zeroize::Zeroizing<String>| {
            Ok((name == "alice" && password.as_str() == PASSWORD).then_some(name))
        })
        .consent(ask);
    Router::new().route("/notes", get(notes)).with_state(oauth.clone()).merge(oauth)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?; // a directory of your own, kept
    let grants = Grants::new(Store::open(directory.path().join("store"))?, Policy::default())?;
    let client = NewClient::confidential("app")
        .redirect_uri("https://app.example/cb")
        .grants([GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::Password])
        .scopes("notes");
    if let Creation::Created(made) = grants.create_client(client).await? {
        println!("client app, secret {:?}", made.secret.as_ref().map(Secret::expose));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    let app = app(grants.clone(), listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    tokio::task::spawn_blocking(move || grants.close().wait()).await??;
    Ok(())
}
