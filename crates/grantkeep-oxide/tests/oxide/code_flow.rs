//! The code flow, with and without PKCE, replays, and what protects a resource.

use crate::world::*;
use grantkeep::Wait;
use oxide_auth::frontends::simple::request::Status;

// Goal: P7, the code flow works over a store that is opened anew for each step. Method: authorize,
// redeem, use the access token for a resource; look at what the answers say.
#[test]
fn a_code_is_redeemed_and_its_token_used() {
    let world = World::new();
    let code = world.code(CLIENT, &[("state", "abc")]);
    let tokens = world.tokens(&code);
    assert_eq!(tokens.status, Status::Ok);
    assert_eq!(tokens.field("token_type"), Some("bearer"));
    let expires_in: u64 = tokens.field("expires_in").unwrap().parse().unwrap();
    assert!((890..=900).contains(&expires_in), "{expires_in}");
    let mut scope: Vec<_> = tokens.field("scope").unwrap().split(' ').collect();
    scope.sort_unstable();
    assert_eq!(scope, ["read", "write"]);

    let grant = world.resource(tokens.access(), "read").unwrap();
    assert_eq!((grant.owner_id.as_str(), grant.client_id.as_str()), (OWNER, CLIENT));
    assert_eq!(grant.redirect_uri.as_str(), REDIRECT);
    assert!(world.resource(tokens.access(), "read write").is_some());
    assert!(world.resource(tokens.access(), "admin").is_none());
    assert!(world.resource(tokens.refresh(), "read").is_none(), "a refresh token");
    assert!(world.resource(&code, "read").is_none());
    assert!(world.resource("unknown, and long enough", "read").is_none());
    world.step(|oxide| oxide.grants().revoke(tokens.access()).wait().unwrap());
    assert!(world.resource(tokens.access(), "read").is_none());
}

// Goal: P3, a replay of the code, however late, ends what its first use produced. Method: redeem,
// refresh, redeem again, in a store that was reopened each time.
#[test]
fn a_replay_ends_what_the_code_produced() {
    let world = World::new();
    let code = world.code(CLIENT, &[]);
    let first = world.tokens(&code);
    let second = world.refresh(first.refresh(), &[]);
    assert!(world.is_active(first.access()) && world.is_active(second.access()));
    assert_eq!(world.tokens(&code).error(), "invalid_request");
    assert!(!world.is_active(first.access()) && !world.is_active(second.access()));
    assert_eq!(world.refresh(second.refresh(), &[]).error(), "invalid_grant");
}

// Goal: P3, a replay between extract and issue refuses the issue. Method: the primitives by hand.
#[test]
fn a_replay_before_the_issue_refuses_it() {
    use oxide_auth::primitives::authorizer::Authorizer as _;
    use oxide_auth::primitives::issuer::Issuer as _;
    let world = World::new();
    let code = world.code(CLIENT, &[]);
    world.step(|oxide| {
        let grant = oxide.authorizer().extract(&code).unwrap().unwrap();
        assert_eq!(oxide.authorizer().extract(&code), Ok(None));
        assert!(oxide.issuer().issue(grant).is_err());
    });
    let families = world.step(|oxide| oxide.grants().families_of(OWNER, None, 10).wait());
    assert!(families.unwrap().items.is_empty());
}

// Goal: a code is bound to its client, its redirect URI, and its PKCE challenge; whatever does not
// match leaves nothing usable. Method: a public client with PKCE; each thing wrong on a fresh code.
#[test]
fn a_code_is_bound_with_pkce() {
    let world = World::new();
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let redeem_as = |code: &str, more: &[(&str, &str)]| {
        Answer::of(world.step(|oxide| redeem(oxide, code, more)))
    };
    let good = [("client_id", "spa"), ("code_verifier", VERIFIER)];
    let tokens = redeem_as(&world.code("spa", &pkce), &good);
    assert_eq!(tokens.status, Status::Ok);
    assert!(world.resource(tokens.access(), "read").is_some());
    for wrong in [
        &[("client_id", "spa")][..],
        &[("client_id", "spa"), ("code_verifier", CHALLENGE)],
        &[("client_id", "nobody"), ("code_verifier", VERIFIER)],
        // The client is confidential, and does not authenticate.
        &[("client_id", CLIENT), ("code_verifier", VERIFIER)],
    ] {
        let code = world.code("spa", &pkce);
        let answer = redeem_as(&code, wrong);
        assert!(["invalid_request", "invalid_client"].contains(&answer.error()), "{answer:?}");
    }
    // Another client with good credentials: the code is spent, and not granted.
    let code = world.code("spa", &pkce);
    assert_eq!(redeem_as(&code, &[("code_verifier", VERIFIER)]).error(), "invalid_grant");
    assert_eq!(redeem_as(&code, &good).error(), "invalid_request");
    let listed = world.step(|oxide| oxide.grants().families_of(OWNER, None, 10).wait().unwrap());
    assert_eq!(listed.items.len(), 1, "only the good one");
}

// Goal: a public client gets no code without PKCE, though the endpoint leaves it to the client (RFC
// 9700 section 2.1.1). Method: a request without a challenge, by a public and by a confidential
// client.
#[test]
fn a_public_client_gets_no_code_without_pkce() {
    let world = World::new();
    let response = world.step(|oxide| authorize(oxide, "spa", &[]));
    assert!(!matches!(&response, Ok(response) if response.location.is_some()));
    assert_eq!(world.tokens(&world.code(CLIENT, &[])).status, Status::Ok);
}

// Goal: a client that is disabled in between gets nothing. Method: disable before the redemption,
// and after it.
#[test]
fn a_disabled_client_gets_nothing() {
    let world = World::new();
    let (code, other) = (world.code(CLIENT, &[]), world.code(CLIENT, &[]));
    let tokens = world.tokens(&code);
    world.step(|oxide| oxide.grants().disable_client(CLIENT).wait().unwrap());
    assert_eq!(world.tokens(&other).error(), "invalid_client");
    assert_eq!(world.refresh(tokens.refresh(), &[]).error(), "invalid_client");
    assert!(world.resource(tokens.access(), "read").is_none());
    let response = world.step(|oxide| authorize(oxide, CLIENT, &[]));
    assert!(response.is_err(), "shown to the user, and redirected nowhere");
}
