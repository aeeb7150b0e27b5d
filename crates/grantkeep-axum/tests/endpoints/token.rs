use crate::world::*;
use data_encoding::BASE64;

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()))
}

// Goal: a client authenticates in the two ways of RFC 6749 section 2.3.1, or names itself where it
// is public, and never in two at once. Method: each way, right and wrong; a refusal is 401 with a
// challenge (section 5.2), and no cache keeps an answer (section 5.1).
#[test]
fn clients_authenticate_in_one_way() {
    let world = world();
    let grant = "grant_type=client_credentials";
    let encoded = basic("app", &SECRET.replace(' ', "+"));
    let by_basic = world.post_as(Some(&encoded), "/token", grant);
    assert_eq!(by_basic.status, 200, "{}", by_basic.body);
    assert_eq!(by_basic.field("cache-control"), Some("no-store"));
    assert_eq!(world.post("/token", &[("grant_type", "client_credentials")]).status, 200);
    let both = format!("{grant}&client_id=app&client_secret=x");
    assert_eq!(world.post_as(Some(&encoded), "/token", &both).error(), "invalid_request");
    let other = format!("{grant}&client_id=phone");
    assert_eq!(world.post_as(Some(&encoded), "/token", &other).error(), "invalid_request");
    for (field, form) in [
        (Some(basic("app", "wrong secret")), grant.to_owned()),
        (Some("Basic !".to_owned()), grant.to_owned()),
        (Some("Digest abcdef".to_owned()), grant.to_owned()),
        (None, format!("{grant}&client_id=app&client_secret=wrong+secret")),
        (None, format!("{grant}&client_id=app")),
        (None, format!("{grant}&client_id=nobody")),
        (None, format!("{grant}&client_id=phone&client_secret=one+of+nobodys")),
    ] {
        let refused = world.post_as(field.as_deref(), "/token", &form);
        assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_client"), "{form}");
        assert!(refused.field("www-authenticate").unwrap().starts_with("Basic "));
    }
    assert_eq!(world.post_as(None, "/token", grant).error(), "invalid_request");
}

// Goal: every grant of RFC 6749 and the device code of RFC 8628, over the endpoint. Method: one
// after the other, and each spent text once more.
#[test]
fn every_grant_is_served() {
    let world = world();
    let asked = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let answer = world.get(&format!("/authorize?{}", form(&asked)), None);
    let code = answer.redirected("code").unwrap();
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let pair = world.post("/token", &redeem);
    assert_eq!(pair.status, 200, "{}", pair.body);
    let refresh = pair.json()["refresh_token"].as_str().unwrap().to_owned();
    let rotate = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let next = world.post("/token", &rotate);
    assert_eq!((next.status, next.json()["scope"].as_str()), (200, Some("read write")));
    assert_eq!(world.post("/token", &redeem).error(), "invalid_grant");

    let password = [("grant_type", "password"), ("username", "alice"), ("scope", "read")];
    let right = [&password[..], &[("password", "wonderland")]].concat();
    assert_eq!(world.post("/token", &right).json()["scope"], "read");
    let wrong = [&password[..], &[("password", "guess")]].concat();
    assert_eq!(world.post("/token", &wrong).error(), "invalid_grant");

    let device = world.post("/device_authorization", &[("scope", "read")]).json();
    assert_eq!(device["verification_uri"], "https://as.example/device");
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", device["device_code"].as_str().unwrap()),
    ];
    assert_eq!(world.post("/token", &poll).error(), "authorization_pending");
    let typed = device["user_code"].as_str().unwrap();
    let approval = grantkeep_grants::DeviceApproval::by("alice");
    grantkeep::Wait::wait(world.grants.approve_device(typed, &approval)).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(world.post("/token", &poll).json()["scope"], "read");

    let wide = [("grant_type", "client_credentials"), ("scope", "admin")];
    assert_eq!(world.post("/token", &wide).error(), "invalid_scope");
    let other = [("grant_type", "urn:example:other")];
    assert_eq!(world.post("/token", &other).error(), "unsupported_grant_type");
    let not_its = "grant_type=client_credentials&client_id=phone";
    assert_eq!(world.post_as(None, "/token", not_its).error(), "unauthorized_client");
}

// Goal: a token is told of to whom it concerns (RFC 7662 sections 2.1, 2.2), and revoked by whom it
// was issued to (RFC 7009). Method: a client's own token, another's, the resource server's look,
// a public client, and a token that is none.
#[test]
fn tokens_are_introspected_and_revoked_by_their_own() {
    let world = world();
    let token = world.post("/token", &[("grant_type", "client_credentials")]).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let named = [("token", token.as_str())];
    let own = world.post("/introspect", &named).json();
    assert_eq!((&own["active"], &own["client_id"]), (&true.into(), &"app".into()));
    let looks = [("client_id", "api"), ("client_secret", SECRET), named[0]];
    let seen = world.post_as(None, "/introspect", &form(&looks)).json();
    assert_eq!(seen["active"], true);
    let alice = [("grant_type", "password"), ("username", "alice"), ("password", "wonderland")];
    let phone = [&[("client_id", "phone")], &alice[..]].concat();
    let others = world.post_as(None, "/token", &form(&phone)).json();
    let others = others["access_token"].as_str().unwrap();
    let hidden = world.post("/introspect", &[("token", others)]).json();
    assert_eq!(hidden, serde_json::json!({ "active": false }));
    let public = [("client_id", "phone"), ("token", others)];
    assert_eq!(world.post_as(None, "/introspect", &form(&public)).status, 401);

    assert_eq!(
        world.post_as(None, "/revoke", &form(&[("client_id", "phone"), named[0]])).status,
        400
    );
    for _ in 0..2 {
        assert_eq!(world.post("/revoke", &named).status, 200);
    }
    assert_eq!(world.post("/introspect", &named).json()["active"], false);
    assert_eq!(world.post("/revoke", &[("token", "none at all")]).status, 200);
}

// Goal: the metadata of RFC 8414 names each endpoint where it is. Method: read it.
#[test]
fn metadata_names_what_is_served() {
    let world = world();
    let metadata = world.get("/.well-known/oauth-authorization-server", None).json();
    assert_eq!(metadata["issuer"], "https://as.example");
    for (member, path) in [
        ("token_endpoint", "/token"),
        ("authorization_endpoint", "/authorize"),
        ("introspection_endpoint", "/introspect"),
        ("revocation_endpoint", "/revoke"),
        ("device_authorization_endpoint", "/device_authorization"),
        ("pushed_authorization_request_endpoint", "/par"),
    ] {
        assert_eq!(metadata[member], format!("https://as.example{path}"));
        // Something is there, though not for this method.
        assert_ne!(world.get(path, None).status, 404, "{path}");
    }
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}

// Goal: the metadata of an issuer with a path is where RFC 8414 section 3.1 looks for it, whatever
// the path is made of. Method: issuers with paths, some of signs that routers give a meaning.
#[test]
fn metadata_of_an_issuer_with_a_path_is_found() {
    let well_known = "/.well-known/oauth-authorization-server";
    for (path, own) in [("/tenant", true), ("/a/b", true), ("/%7Bz%7D", true), ("/:x/*y", false)] {
        let mut world = world();
        let issuer = format!("https://as.example{path}");
        world.app = world.oauth.clone().issuer(format!("{issuer}/")).into();
        let place = format!("{well_known}{path}");
        assert_eq!(world.get(&place, None).status, if own { 200 } else { 404 });
        for place in own.then_some(place).into_iter().chain([well_known.to_owned()]) {
            let metadata = world.get(&place, None).json();
            assert_eq!(metadata["issuer"], issuer);
            assert_eq!(metadata["token_endpoint"], format!("{issuer}/token"));
        }
        assert_eq!(world.get(&format!("{well_known}/another"), None).status, 404);
    }
}
