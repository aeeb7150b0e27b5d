//! The example of a whole server, `examples/server.rs`.

use crate::world::*;
use axum::body::Body;
use axum::http::{Request, header};
use grantkeep::Wait as _;
use grantkeep_grants::{GrantType, NewClient};

#[path = "../../examples/server.rs"]
#[expect(dead_code, reason = "its `main` opens a socket: a test serves its router")]
mod server;

/// A whole server has fewer lines; without the pieces it takes about 440.
const LINES_MAX: usize = 90;

/// What the notes are answered with this token.
fn notes(world: &World, token: Option<&str>) -> Answer {
    let mut request = Request::get("/notes");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    world.send(request.body(Body::empty()).unwrap())
}

// Goal: a whole server takes fewer than 90 lines with the pieces, and the one that shows it works:
// a person refuses or allows a client on its page (RFC 6749 section 4.1), the code is redeemed, the
// pair is refreshed, a password is exchanged, and the API opens to their tokens alone. Method:
// count the lines of the example, and go through its flows on its own router.
#[test]
fn the_example_is_a_server_in_fewer_than_90_lines() {
    let lines = include_str!("../../examples/server.rs").lines().count();
    assert!(lines < LINES_MAX, "{lines} lines");

    let mut world = world();
    let grants = [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::Password];
    let client = NewClient::confidential("writer").secret(SECRET).redirect_uri(REDIRECT);
    world.grants.create_client(client.grants(grants).scopes("notes")).wait().unwrap();
    world.app = server::app(world.grants.clone(), ([127, 0, 0, 1], 8_081).into());
    let own = [("client_id", "writer"), ("client_secret", SECRET)];
    let post = |pairs: &[(&str, &str)]| {
        world.post_as(None, "/token", &form(&[&own, pairs].concat())).json()
    };

    let request = "/authorize?response_type=code&client_id=writer&state=s";
    let page = world.get(request, None);
    assert!(page.status == 200 && page.body.contains("writer asks for: notes"), "{}", page.body);
    let decided = |decision, password| {
        let pairs = [("decision", decision), ("password", password)];
        world.post_as(None, request, &form(&pairs))
    };
    assert_eq!(decided("yes", "guess").status, 200);
    let denied = decided("no", "");
    assert_eq!(denied.redirected("error").as_deref(), Some("access_denied"));
    let code = decided("yes", "wonderland").redirected("code").unwrap();

    let pair = post(&[("grant_type", "authorization_code"), ("code", &code)]);
    let refresh = pair["refresh_token"].as_str().unwrap();
    let next = post(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]);
    let alice = [("grant_type", "password"), ("username", "alice"), ("password", "wonderland")];
    for issued in [&pair, &next, &post(&alice)] {
        let served = notes(&world, issued["access_token"].as_str());
        assert_eq!((served.status, served.body.as_str()), (200, "the notes of alice\n"));
    }
    for token in [None, Some("none"), Some(refresh)] {
        assert_eq!(notes(&world, token).status, 401, "{token:?}");
    }
}
