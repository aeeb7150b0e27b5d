//! Each endpoint as a router of its own, for a server that has others elsewhere or not at all.

use crate::world::*;
use axum::Router;

/// The paths of all endpoints.
const PATHS: [&str; 7] = [
    "/token",
    "/authorize",
    "/introspect",
    "/revoke",
    "/device_authorization",
    "/par",
    "/.well-known/oauth-authorization-server",
];

// Goal: each router works alone: its endpoint answers as it does among all of them, and none of the
// others is there. Method: a server of each single router; one request that it grants, and one to
// each path of the others.
#[test]
fn each_router_is_served_alone() {
    let mut world = world();
    let oauth = world.oauth.clone();
    let token = world.post("/token", &[("grant_type", "client_credentials")]).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let request = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let authorize = format!("/authorize?{}", form(&request));
    let presented = [("token", token.as_str())];
    let routers: [Router; 7] = [
        oauth.token_endpoint(),
        oauth.authorization_endpoint(),
        oauth.introspection_endpoint(),
        oauth.revocation_endpoint(),
        oauth.device_endpoint(),
        oauth.push_endpoint(),
        oauth.metadata_endpoint(),
    ];
    for (path, router) in PATHS.into_iter().zip(routers) {
        world.app = router;
        let (answer, status) = match path {
            "/token" => (world.post(path, &[("grant_type", "client_credentials")]), 200),
            "/authorize" => (world.get(&authorize, None), 303),
            "/introspect" | "/revoke" => (world.post(path, &presented), 200),
            "/device_authorization" => (world.post(path, &[]), 200),
            "/par" => (world.post(path, &[request[0], request[2], request[3]]), 201),
            _ => (world.get(path, None), 200),
        };
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        match path {
            "/token" => assert!(answer.json()["access_token"].is_string()),
            "/authorize" => assert!(answer.redirected("code").is_some()),
            "/introspect" => assert_eq!(answer.json()["active"], true),
            "/device_authorization" => assert!(answer.json()["user_code"].is_string()),
            "/par" => assert!(answer.json()["request_uri"].is_string()),
            "/revoke" => assert_eq!(answer.json(), serde_json::json!({})),
            _ => assert_eq!(answer.json()["issuer"], "https://as.example"),
        }
        for other in PATHS.into_iter().filter(|other| *other != path) {
            assert_eq!(world.get(other, None).status, 404, "{other} beside {path}");
            assert_eq!(world.post(other, &[]).status, 404, "{other} beside {path}");
        }
    }
    // Some of them on one server: what was revoked at one is not in force at another.
    world.app = oauth.introspection_endpoint().merge(oauth.token_endpoint());
    assert_eq!(world.post("/introspect", &presented).json()["active"], false);
    assert_eq!(world.get("/authorize", None).status, 404);
}
