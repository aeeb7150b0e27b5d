//! The API for operators.

use crate::world::*;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use grantkeep::{ErrorKind, Wait as _};
use std::sync::Arc;

const OPERATORS: &str = "a secret of operators";

/// A world that is asked as operators ask, with the client `phone` as its own.
fn operated() -> World {
    let mut world = world();
    let guesses = Arc::clone(world.oauth.table_of_guesses());
    let admin = grantkeep_axum::admin(world.grants.clone(), OPERATORS, guesses, ["phone"]);
    // The endpoints are beside it, as no server should have them, to fail there.
    world.app = world.app.clone().merge(Router::from(admin.unwrap()));
    world
}

fn asked(method: &str, path: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .extension(from(7))
        .header(header::AUTHORIZATION, format!("Bearer {OPERATORS}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_owned().into())
        .unwrap()
}

// Goal: nobody keeps operators out, with wrong secrets of clients or of theirs: whoever has the
// right one is let in. Method: fill either bucket from the operators' own address.
#[test]
fn wrong_secrets_do_not_keep_operators_out() {
    let world = operated();
    let wrong = "grant_type=client_credentials&client_id=app&client_secret=a+wrong+secret";
    until_refused(401, SECRETS, |_| world.post_as(None, "/token", wrong));
    let of = |secret: &str| {
        let mut request = asked("GET", "/admin/clients", "");
        let field = format!("Bearer {secret}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, field);
        world.send(request)
    };
    until_refused(401, SECRETS, |_| of("another secret"));
    assert_eq!(of(OPERATORS).status, 200);
}

// Goal: the secret comes in one field, whose scheme is read without regard to case (RFC 9110
// section 11.1), and is no short one. Method: spellings, two fields, none, and short secrets.
#[test]
fn operators_bring_one_long_secret() {
    let world = operated();
    let with = |fields: &[&str]| {
        let mut request = asked("GET", "/admin/stats", "");
        request.headers_mut().remove(header::AUTHORIZATION);
        for field in fields {
            request.headers_mut().append(header::AUTHORIZATION, field.parse().unwrap());
        }
        world.send(request)
    };
    let spelled = |scheme: &str| format!("{scheme} {OPERATORS}");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(with(&[&spelled(scheme)]).status, 200, "{scheme}");
    }
    let basic = spelled("Basic");
    for fields in [&[][..], &[basic.as_str()], &["Bearer"], &["Bearer "]] {
        let refused = with(fields);
        assert_eq!((refused.status, refused.field("www-authenticate")), (401, Some("Bearer")));
    }
    let twice = with(&[&spelled("Bearer"), &spelled("Bearer")]);
    assert_eq!((twice.status, twice.error().as_str()), (400, "invalid_request"));
    for short in ["", "fifteen letters"] {
        let guesses = Arc::clone(world.oauth.table_of_guesses());
        let made = grantkeep_axum::admin(world.grants.clone(), short, guesses, ["phone"]);
        let said = made.unwrap_err();
        assert_eq!(said.kind(), ErrorKind::Limit);
        assert!(short.is_empty() || !said.to_string().contains(short));
    }
}

// Goal: a client's state is a word. Method: a client in each state that it can be brought into.
#[test]
fn a_state_is_a_word() {
    let world = operated();
    let state = |method: &str, path: &str| {
        world.send(asked(method, path, "")).json()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("GET", "/admin/clients/app"), "enabled");
    assert_eq!(state("POST", "/admin/clients/app/disable"), "disabled");
    assert_eq!(state("GET", "/admin/clients/app"), "disabled");
    assert_eq!(state("POST", "/admin/clients/app/enable"), "enabled");
}

// Goal: a client of the server itself is not disabled, deleted, or given a secret that opens it.
// Method: each, for such a client and for another.
#[test]
fn clients_of_the_server_are_left_as_they_are() {
    let world = operated();
    for (method, path, status) in
        [("POST", "/disable", 200), ("POST", "/secrets", 201), ("DELETE", "", 204)]
    {
        let own = world.send(asked(method, &format!("/admin/clients/phone{path}"), ""));
        assert_eq!((own.status, own.error().as_str()), (409, "invalid_request"), "{path}");
        let other = world.send(asked(method, &format!("/admin/clients/app{path}"), ""));
        assert_eq!(other.status, status, "{path}: {}", other.body);
    }
    let kept = world.grants.client("phone").wait().unwrap().unwrap();
    assert!(kept.is_enabled() && kept.secrets.is_empty());
    assert_eq!(world.send(asked("POST", "/admin/clients/phone/enable", "")).status, 200);
    assert_eq!(world.send(asked("GET", "/admin/clients/phone", "")).status, 200);
}

// Goal: what cannot be done is refused in the API's own words, as JSON, and nothing of what was
// sent is told back: a secret may be in it. Method: queries, paths, and bodies that are not in
// order, each with a word that must not come back.
#[test]
fn what_is_not_in_order_is_refused_in_the_apis_words() {
    let world = operated();
    let long = format!("{{\"client_name\": \"{}\"}}", "hush".repeat(20_000));
    for (method, path, body, status) in [
        ("GET", "/admin/clients?limit=hush", "", 400),
        ("GET", "/admin/clients?limit=-1", "", 400),
        ("GET", "/admin/clients?limit=1&limit=2", "", 400),
        ("GET", "/admin/clients?after=hush", "", 400),
        ("GET", "/admin/clients?after=%FF", "", 400),
        ("GET", "/admin/clients/hush%FF", "", 400),
        ("GET", "/admin/subjects/%FF/grants", "", 400),
        ("DELETE", "/admin/subjects/%FF/grants/hush", "", 400),
        ("DELETE", "/admin/clients/app/secrets/hush", "", 400),
        ("GET", "/admin/clients/hush", "", 404),
        ("POST", "/admin/clients", r#"{"client_secret": "hush"}"#, 400),
        ("POST", "/admin/clients", r#"{"hush": 1}"#, 400),
        ("POST", "/admin/clients", r#"{"redirect_uris": "hush"}"#, 400),
        ("POST", "/admin/clients", r#"{"client_id": "a", "client_id": "hush"}"#, 400),
        ("POST", "/admin/clients", r#"{"grant_types": ["hush hush"]}"#, 400),
        ("POST", "/admin/clients", "{hush", 400),
        ("POST", "/admin/clients", "", 400),
        ("POST", "/admin/clients", &long, 413),
        ("POST", "/admin/clients", r#"{"client_id": "phone"}"#, 409),
        ("POST", "/admin/clients", r#"{"token_endpoint_auth_method": "hush"}"#, 400),
        ("POST", "/admin/clients", r#"{"token_endpoint_auth_method": "private_key_jwt"}"#, 400),
    ] {
        let refused = world.send(asked(method, path, body));
        let told = (refused.status, refused.error());
        assert_eq!(told, (status, "invalid_request".to_owned()), "{path} {body:.60}");
        assert!(!refused.body.contains("hush"), "{path}: {}", refused.body);
        assert_eq!(refused.field("cache-control"), Some("no-store"));
    }
    let mut plain = asked("POST", "/admin/clients", "{}");
    plain.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(world.send(plain).status, 415);
    let mut twice = asked("POST", "/admin/clients", "{}");
    twice.headers_mut().append(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(world.send(twice).status, 400);
    for (method, confidential) in
        [("none", false), ("client_secret_basic", true), ("client_secret_post", true)]
    {
        let body = format!(r#"{{"token_endpoint_auth_method": "{method}"}}"#);
        let made = world.send(asked("POST", "/admin/clients", &body));
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(made.json()["confidential"], confidential);
    }
}
