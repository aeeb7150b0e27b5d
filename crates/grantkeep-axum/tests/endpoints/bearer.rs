use crate::world::*;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::{Router, routing::get};
use grantkeep::Wait as _;
use grantkeep_axum::{AuthenticatedClient, Bearer, OAuth, Resource};
use grantkeep_grants::{ClientCredentials, Demand};

struct Notes;

impl Resource for Notes {
    fn demand() -> Demand<'static> {
        Demand::new("https://api.example").scopes("read")
    }
}

async fn notes(token: Bearer<Notes>) -> String {
    token.claims.client.unwrap_or_default()
}

async fn whoami(client: AuthenticatedClient) -> String {
    format!("{} {:?}", client.client.id, client.params.get("q"))
}

// Goal: a handler gets the claims of a token that is good for it, and everybody else what RFC 6750
// section 3.1 says. Method: a good token, one without the scope, for another resource, revoked,
// none, and texts that no token is.
#[test]
fn a_handler_is_called_with_a_good_token_alone() {
    let mut world = world();
    let routes: Router<OAuth> = Router::new().route("/notes", get(notes));
    world.app = routes.route("/who", axum::routing::post(whoami)).with_state(world.oauth.clone());
    let issue = |scopes: &str, audience: &str| {
        let asked = ClientCredentials::new("app").scopes(scopes).audience([audience]);
        world.grants.client_credentials(asked).wait().unwrap().access.expose().to_owned()
    };
    let ask = |field: Option<&str>| {
        let request = Request::get("/notes");
        let request = match field {
            Some(field) => request.header(header::AUTHORIZATION, field),
            None => request,
        };
        world.send(request.body(Body::empty()).unwrap())
    };
    let good = issue("read", "https://api.example");
    let answer = ask(Some(&format!("bearer {good}")));
    assert_eq!((answer.status, answer.body.as_str()), (200, "app"));
    let narrow = ask(Some(&format!("Bearer {}", issue("write", "https://api.example"))));
    assert_eq!((narrow.status, narrow.error().as_str()), (403, "insufficient_scope"));
    let elsewhere = issue("read", "https://other.example");
    let revoked = issue("read", "https://api.example");
    assert_eq!(ask(Some(&format!("Bearer {revoked}"))).status, 200);
    world.grants.revoke(&revoked).wait().unwrap();
    for token in [&elsewhere, &revoked, "none", "two words", "", "\u{e9}"] {
        let answer = ask(Some(&format!("Bearer {token}")));
        assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_token"), "{token}");
        assert_eq!(answer.field("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    }
    for field in [None, Some("Basic YTpi"), Some("Bear")] {
        let answer = ask(field);
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("Bearer")));
    }
    let form = form(&[("client_id", "app"), ("client_secret", SECRET), ("q", "a b")]);
    let answer = world.post_as(None, "/who", &form);
    assert_eq!(answer.body, "app Some(\"a b\")");
    assert_eq!(world.post_as(None, "/who", "client_id=app").status, 401);
}
