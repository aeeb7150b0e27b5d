//! Answers as the JSON of their RFCs.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{
    ClientCredentials, DeviceRequest, Grant, Introspection, OAuthError, Policy, Refreshing, proof,
};
use serde::Serialize;
use serde_json::{Value, json};

fn json(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

// Goal: RFC 6749 section 5.1, the token response; RFC 9449 section 5, `DPoP`; sections 4.4.3 and
// 3.3, no refresh token and no scope where there is none. Method: a redemption, a bound grant, and
// a client's own token, each member.
#[test]
fn a_token_response_is_that_of_rfc_6749() {
    let world = World::new();
    let redeemed = world.redeem(&world.code());
    let told = json(&redeemed);
    let issued = granted(redeemed);
    let expected = json!({
        "access_token": issued.access.expose(),
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": refresh_of(&issued),
        "scope": "read write",
    });
    assert_eq!(told, expected);
    assert_eq!(json(&issued), expected, "by itself as well");
    let text = serde_json::to_string(&issued).unwrap();
    assert!(text.starts_with(r#"{"access_token":""#), "an object of plain members");

    let grant = Grant::new(CLIENT, SUBJECT).confirmation(key(1)).payload(b"claims");
    let bound = world.grants.open(grant).wait().unwrap();
    let expected = json!({
        "access_token": bound.access.expose(),
        "token_type": "DPoP",
        "expires_in": 900,
        "refresh_token": refresh_of(&bound),
    });
    assert_eq!(json(&bound), expected, "no scope is not an empty one");

    let request = ClientCredentials::new(CLIENT).scopes(["read"]);
    let own = world.grants.client_credentials(request).wait().unwrap();
    let expected = json!({
        "access_token": own.access.expose(),
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "read",
    });
    assert_eq!(json(&own), expected);
    let off = world.with(Policy { refreshing: Refreshing::Off, ..Policy::default() });
    let alone = off.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    assert_eq!(json(&alone).get("refresh_token"), None);
}

// Goal: RFC 6749 section 5.2, an answer that is none is its error, with a description and an
// address of the characters that they may have. Method: a replay, a retry, a poll that waits; the
// example of the RFC; texts with quotes, control characters, and others.
#[test]
fn an_error_is_that_of_rfc_6749() {
    let world = World::without_repeats();
    let code = world.code();
    let first = granted(world.redeem(&code));
    assert_eq!(json(&world.redeem(&code)), json!({ "error": "invalid_grant" }));
    assert_eq!(json(&world.refresh(refresh_of(&first))), json!({ "error": "invalid_grant" }));
    let device = world.grants.device(DeviceRequest::new(CLIENT)).wait().unwrap();
    let by = grantkeep_grants::Presented::by(CLIENT);
    let polled = world.grants.poll_device(device.device_code.expose(), &by).wait().unwrap();
    assert_eq!(json(&polled), json!({ "error": "authorization_pending" }));

    let error = OAuthError::InvalidRequest;
    assert_eq!(json(&error), json!({ "error": "invalid_request" }), "the example");
    let described = error.response().description("a \"resource\"\\\n\u{e9} is no URI: ~!#[]");
    let described = described.uri("https://as.example/e?q=\"\\ \u{e9}#x");
    let expected = json!({
        "error": "invalid_request",
        "error_description": "a ?resource???? is no URI: ~!#[]",
        "error_uri": "https://as.example/e?q=%22%5C%20%C3%A9#x",
    });
    assert_eq!(json(&described), expected);
    assert_eq!(described.status(), 400);
    let nothing = error.response().description("").uri(None::<&str>);
    assert_eq!(json(&nothing), json!({ "error": "invalid_request" }));
}

// Goal: RFC 7662 section 2.2, an introspection, with `cnf` (RFC 9449 section 6.2, RFC 8705 section
// 3.2), and of what is not in force nothing but that. Method: tokens that are bound to a key, to a
// certificate, and to none; for one resource, for two, and for any; a refresh token; then revoked.
#[test]
fn an_introspection_is_that_of_rfc_7662() {
    let world = World::new();
    let told = |token: &str| json(&world.grants.introspect(token).wait().unwrap());
    let iat = 1_800_000_000;
    let grant = Grant::new(CLIENT, SUBJECT).scopes(["read", "write"]).confirmation(key(1));
    let one = world.grants.open(grant.audience(["https://api.example"])).wait().unwrap();
    let (_, jkt) = proof::cnf(&key(1));
    let expected = json!({
        "active": true,
        "scope": "read write",
        "client_id": CLIENT,
        "token_type": "DPoP",
        "exp": iat + 900,
        "iat": iat,
        "sub": SUBJECT,
        "aud": "https://api.example",
        "cnf": { "jkt": jkt },
    });
    assert_eq!(told(one.access.expose()), expected);

    let certificate = proof::of_certificate(b"der");
    let (_, x5t) = proof::cnf(&certificate);
    let request = ClientCredentials::new(CLIENT).confirmation(certificate);
    let request = request.audience(["https://a.example", "https://b.example"]);
    let own = world.grants.client_credentials(request).wait().unwrap();
    let expected = json!({
        "active": true,
        "client_id": CLIENT,
        "token_type": "Bearer",
        "exp": iat + 900,
        "iat": iat,
        "aud": ["https://a.example", "https://b.example"],
        "cnf": { "x5t#S256": x5t },
    });
    assert_eq!(told(own.access.expose()), expected);

    let pair = world.pair();
    let refresh = told(refresh_of(&pair));
    assert_eq!((&refresh["active"], refresh.get("token_type")), (&json!(true), None));
    assert_eq!((refresh.get("cnf"), refresh.get("aud")), (None, None));
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    for dead in [pair.access.expose(), refresh_of(&pair), "a text that was never a token"] {
        assert_eq!(told(dead), json!({ "active": false }));
    }
    let text = serde_json::to_string(&Introspection::Inactive).unwrap();
    assert_eq!(text, r#"{"active":false}"#);
}

// Goal: RFC 8628 section 3.2, a device's codes and where to type them; RFC 9126 section 2.2, a
// pushed request. P9: none of these bodies prints its texts. Method: each member, with and without
// the complete address, in the form of the RFC's examples; `Debug` of each.
#[test]
fn device_and_pushed_responses_are_those_of_their_rfcs() {
    let world = World::new();
    let device = world.grants.device(DeviceRequest::new("tv")).wait().unwrap();
    let (code, typed) = (device.device_code.expose(), device.user_code.expose());
    let expected = json!({
        "device_code": code,
        "user_code": typed,
        "verification_uri": "https://example.com/device",
        "expires_in": 600,
        "interval": 5,
    });
    let response = device.response("https://example.com/device");
    assert_eq!(json(&response), expected);
    for (uri, complete) in [
        ("https://example.com/device", format!("https://example.com/device?user_code={typed}")),
        ("https://example.com/?a=b", format!("https://example.com/?a=b&user_code={typed}")),
    ] {
        let told = json(&device.response(uri).with_complete());
        assert_eq!(told["verification_uri_complete"], complete);
        assert_eq!(told["verification_uri"], uri);
    }

    let pushed = world.grants.push(CLIENT, b"scope=read").wait().unwrap();
    let expected = json!({ "request_uri": pushed.request_uri.expose(), "expires_in": 60 });
    assert_eq!(json(&pushed), expected);

    let printed = format!("{response:?} {pushed:?} {:?}", world.pair());
    let minted = pushed.request_uri.expose().rsplit(':').next().unwrap();
    for secret in [code, typed, minted] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
