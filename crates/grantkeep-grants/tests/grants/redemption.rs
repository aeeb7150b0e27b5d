//! Codes: granted once, replayed, expired, revoked, unknown.

use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{ErrorKind, RevocationReason, Wait};
use grantkeep_grants::{Mismatch, OAuthError, Policy, Presented, Redeemed};

// Goal: a code is granted with all it stands for. Method: authorize, redeem, compare the pair and
// both introspections.
#[test]
fn a_code_is_granted_with_what_it_stands_for() {
    let world = World::new();
    let pair = world.pair();
    assert_eq!(pair.expires_in, s(900));
    assert_eq!(pair.scopes.as_str(), "read write");
    assert_eq!((pair.subject.as_deref(), pair.nonce.as_deref()), (Some(SUBJECT), Some("nonce-1")));
    let claims = world.claims(pair.access.expose()).unwrap();
    assert_eq!(claims.family, pair.family);
    assert_eq!(claims.client.as_deref(), Some(CLIENT));
    assert_eq!((claims.issued_at, claims.expires_at), (world.now(), Some(world.now() + s(900))));
    assert!(world.is_active(refresh_of(&pair)));
}

// Goal: P3, a code is accepted once; its replay ends everything the first redemption produced,
// also after rotations. Method: redeem, rotate twice, redeem again, look at all tokens.
#[test]
fn a_replay_revokes_the_family_also_after_rotations() {
    let world = World::new();
    let code = world.code();
    let first = granted(world.redeem(&code));
    let second = rotated(world.refresh(refresh_of(&first)));
    let third = rotated(world.refresh(refresh_of(&second)));
    let answer = world.redeem(&code);
    assert!(matches!(answer, Redeemed::Replayed { family } if family == first.family));
    assert_eq!(answer.oauth_error().map(OAuthError::as_str), Some("invalid_grant"));
    for pair in [&first, &second, &third] {
        assert!(!world.is_active(pair.access.expose()));
        assert!(!world.is_active(refresh_of(pair)));
    }
    let family = world.grants.store().get::<grantkeep::Family>(first.family.unwrap().digest());
    let state = family.wait().unwrap().unwrap().record.state;
    let reason = RevocationReason::CodeReplayed;
    assert!(matches!(state, grantkeep::FamilyState::Revoked { reason: r, .. } if r == reason));
    assert!(matches!(world.redeem(&code), Redeemed::Replayed { .. }));
}

// Goal: a spent code keeps no more than what a replay is recognized by. Method: redeem one with all
// that it can be bound to, and look at its row.
#[test]
fn a_spent_code_keeps_next_to_nothing() {
    let world = World::new();
    let request = authorize().payload(b"claims");
    let code = world.grants.authorize(request).wait().unwrap();
    let row = || {
        let found = world.grants.store().find::<grantkeep::Code>(code.expose().as_bytes());
        found.wait().unwrap().unwrap().record
    };
    let fresh = row();
    assert!(fresh.redirect_uri.is_some() && fresh.challenge.is_some() && fresh.nonce.is_some());
    assert!(fresh.payload.is_some() && !fresh.scopes.is_empty());
    granted(world.redeem(&code));
    let spent = row();
    assert_eq!((spent.client, spent.subject), (fresh.client, fresh.subject));
    assert!(spent.redirect_uri.is_none() && spent.challenge.is_none() && spent.nonce.is_none());
    assert!(spent.payload.is_none() && spent.confirmation.is_none());
    assert!(spent.scopes.is_empty() && spent.audience.is_empty());
}

// Goal: who stole a code cannot log its owner out without being the client. Method: replay as
// another client, then look at the family; replay as the client with nothing else right.
#[test]
fn a_replay_by_another_client_changes_nothing() {
    let world = World::new();
    let code = world.code();
    let pair = granted(world.redeem(&code));
    let other = Presented::by("client-2").redirect_uri(REDIRECT).verifier(VERIFIER);
    let answer = world.grants.redeem(code.expose(), &other).wait().unwrap();
    assert!(matches!(answer, Redeemed::Mismatch(_)));
    assert!(world.is_active(pair.access.expose()));
    let bare = world.grants.redeem(code.expose(), &Presented::by(CLIENT)).wait().unwrap();
    assert!(matches!(bare, Redeemed::Replayed { .. }));
    assert!(!world.is_active(pair.access.expose()));
}

// Goal: P5, the lifetime of a code is exact, and a spent code is a replay whatever its age.
// Method: redeem a millisecond before and at the end, fresh and spent.
#[test]
fn code_lifetime_is_exact() {
    let world = World::new();
    let (early, late) = (world.code(), world.code());
    world.clock.advance(s(60) - MS);
    granted(world.redeem(&early));
    world.clock.advance(MS);
    assert!(matches!(world.redeem(&late), Redeemed::Expired));
    assert!(matches!(world.redeem(&early), Redeemed::Replayed { .. }));
    world.clock.advance(s(3600));
    world.grants.store().sweep(Budget::ALL).wait().unwrap();
    assert!(matches!(world.redeem(&late), Redeemed::Unknown));
}

// Goal: the lifetime asked for is kept to, and bounded. Method: the policy's maximum, a second
// more, zero, and a fraction.
#[test]
fn asked_code_lifetime_is_bounded() {
    let world = World::new();
    let ask = |lifetime| world.grants.authorize(authorize().lifetime(lifetime)).wait();
    let code = ask(s(600)).unwrap();
    for lifetime in [s(601), s(0), s(1) + MS] {
        assert_eq!(ask(lifetime).unwrap_err().kind(), ErrorKind::Lifetime);
    }
    world.clock.advance(s(599));
    granted(world.redeem(&code));
}

// Goal: P4, a code that nobody issued is unknown, whatever its length; only one over the limit is
// an error. Method: texts around both token limits.
#[test]
fn unknown_codes() {
    let world = World::new();
    for len in [0, 1, 15, 16, 55, 8_192] {
        let answer = world.grants.redeem(&"x".repeat(len), &presented()).wait().unwrap();
        assert!(matches!(answer, Redeemed::Unknown), "{len}");
    }
    let over = world.grants.redeem(&"x".repeat(8_193), &presented()).wait().unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Limit);
    assert_eq!(OAuthError::from(&over).as_str(), "invalid_request");
    let code = world.code();
    let cut = &code.expose()[..code.expose().len() - 1];
    assert!(matches!(world.grants.redeem(cut, &presented()).wait().unwrap(), Redeemed::Unknown));
}

// Goal: P6, a code issued before its subject or client was revoked is worth nothing; one issued
// after is. Method: revoke each, redeem the code from before and one from after.
#[test]
fn a_code_from_before_a_revocation_is_revoked() {
    let world = World::new();
    let code = world.code();
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    assert!(matches!(world.redeem(&code), Redeemed::Revoked));
    let code = world.code();
    world.grants.revoke_client("client-2").wait().unwrap();
    granted(world.redeem(&code));
    let code = world.code();
    world.grants.revoke_client(CLIENT).wait().unwrap();
    assert!(matches!(world.redeem(&code), Redeemed::Revoked));
    world.pair();
}

// Goal: input outside its limits is refused with the field's name, and issues nothing. Method:
// an empty name, a bad scope, long texts, malformed challenges.
#[test]
fn malformed_grants_are_refused() {
    let world = World::new();
    let (long, large) = ("x".repeat(4_097), vec![0; 16 * 1024 + 1]);
    let bad = [
        grantkeep_grants::Authorize::new("", SUBJECT),
        grantkeep_grants::Authorize::new(CLIENT, ""),
        grantkeep_grants::Authorize::new(CLIENT, &long),
        authorize().scopes(["a\"b"]),
        authorize().redirect_uri(&long),
        authorize().audience([&long]),
        authorize().nonce(&long),
        authorize().pkce_s256("short"),
        authorize().pkce_plain(VERIFIER),
        authorize().payload(&large),
        authorize().sealed_payload(&large),
    ];
    let rows = world.grants.store().stats().rows_total();
    for request in bad {
        let error = world.grants.authorize(request).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
    assert_eq!(world.grants.store().stats().rows_total(), rows);
}

// Goal: without refresh tokens the pair has none, and the replay still ends its access token.
// Method: a policy that issues none; redeem twice; present a refresh token of another policy.
#[test]
fn a_policy_without_refresh_tokens() {
    use grantkeep_grants::Refreshing;
    let world = World::new();
    let before = world.pair();
    let grants = world.with(Policy { refreshing: Refreshing::Off, ..Policy::default() });
    let code = grants.authorize(authorize()).wait().unwrap();
    let pair = granted(grants.redeem(code.expose(), &presented()).wait().unwrap());
    assert!(pair.refresh.is_none());
    assert_eq!(pair.expires_in, s(900));
    assert!(world.is_active(pair.access.expose()));
    grants.redeem(code.expose(), &presented()).wait().unwrap();
    assert!(!world.is_active(pair.access.expose()));
    let request = grantkeep_grants::RefreshRequest::by(CLIENT);
    let answer = grants.refresh(refresh_of(&before), &request).wait().unwrap();
    assert!(matches!(answer, grantkeep_grants::Refreshed::Unknown));
}

// Goal: a server on a multi-threaded executor can spawn every call. Method: the compiler, over
// the future of each.
#[test]
fn futures_are_send() {
    fn assert_send<T: Send>(_: &T) {}
    let world = World::new();
    let grants = &world.grants;
    let (presented, request) = (presented(), grantkeep_grants::RefreshRequest::by(CLIENT));
    assert_send(&grants.authorize(authorize()));
    assert_send(&grants.claim(""));
    let completion = grantkeep_grants::Completion::by(CLIENT);
    assert_send(&grants.complete(grantkeep::FamilyId([0; 12]), &completion));
    assert_send(&grants.refresh_standing(""));
    assert_send(&grants.create_client(grantkeep_grants::NewClient::public(CLIENT)));
    assert_send(&grants.update_client(CLIENT, |_| ()));
    assert_send(&grants.disable_client(CLIENT));
    assert_send(&grants.authenticate_client(CLIENT, None));
    assert_send(&grants.redeem("", &presented));
    assert_send(&grants.refresh("", &request));
    assert_send(&grants.open(grantkeep_grants::Grant::new(CLIENT, SUBJECT)));
    assert_send(&grants.client_credentials(grantkeep_grants::ClientCredentials::new(CLIENT)));
    assert_send(&grants.create_personal(grantkeep_grants::NewPersonal::new(SUBJECT, "laptop")));
    assert_send(&grants.personal_of(SUBJECT, None, 10));
    assert_send(&grants.families_of(SUBJECT, None, 10));
    assert_send(&grants.introspect(""));
    assert_send(&grants.revoke(""));
    assert_send(&grants.revoke_subject(SUBJECT));
}

// Goal: a decision is one batch. Method: count what the store applied for a redemption, a refresh,
// a retry, a replay, and each form of issuing.
#[test]
fn each_decision_is_one_batch() {
    let world = World::new();
    let batches = |what: &str, count: u64, decide: &dyn Fn()| {
        let before = world.grants.store().stats().commits;
        decide();
        assert_eq!(world.grants.store().stats().commits - before, count, "{what}");
    };
    let (code, spare) = (world.code(), world.code());
    batches("authorize", 1, &|| drop(world.code()));
    batches("redeem", 1, &|| drop(granted(world.redeem(&code))));
    batches("replay", 1, &|| drop(world.redeem(&code)));
    batches("replay again", 0, &|| drop(world.redeem(&code)));
    let pair = granted(world.redeem(&spare));
    batches("introspect", 0, &|| drop(world.claims(pair.access.expose())));
    batches("refresh", 1, &|| drop(rotated(world.refresh(refresh_of(&pair)))));
    batches("retry", 1, &|| drop(world.refresh(refresh_of(&pair))));
    batches("revoke", 1, &|| {
        world.grants.revoke(refresh_of(&pair)).wait().unwrap();
    });
}

// Goal: RFC 6749 section 3.1, the parameters of a request go in as they come, and one that is empty
// counts as left out; section 6 for the scope of a refresh, which a blank one is not. Method:
// requests from maps of parameters, present, absent, and empty, from the code to the refresh.
#[test]
fn parameters_go_in_as_they_come() {
    use grantkeep_grants::{Authorize, RefreshRequest, Refreshed};
    use std::collections::HashMap;
    let world = World::new();
    let names = ["redirect_uri", "code_challenge", "code_verifier", "nonce", "scope", "resource"];
    let filled = [REDIRECT, CHALLENGE, VERIFIER, "n-1", "read", "https://api.example"];
    let params = |values: &[&str]| -> HashMap<String, String> {
        names.iter().zip(values).map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let (full, empty, absent) = (params(&filled), params(&[""; 5]), HashMap::new());
    let play = |params: &HashMap<String, String>, later: &HashMap<String, String>| {
        let request = Authorize::new(CLIENT, SUBJECT)
            .redirect_uri(params.get("redirect_uri"))
            .pkce_s256(params.get("code_challenge"))
            .pkce_plain(None::<&str>)
            .nonce(params.get("nonce"))
            .scopes(params.get("scope"))
            .audience(params.get("resource"))
            .confirmation(None)
            .lifetime(None)
            .payload(None::<&[u8]>);
        let code = world.grants.authorize(request).wait().unwrap();
        let presented = Presented::by(CLIENT)
            .redirect_uri(later.get("redirect_uri"))
            .verifier(later.get("code_verifier"))
            .confirmation(None);
        world.grants.redeem(code.expose(), &presented).wait().unwrap()
    };
    let issued = granted(play(&full, &full));
    assert_eq!((issued.nonce.as_deref(), issued.scopes.as_str()), (Some("n-1"), "read"));
    assert!(world.claims(issued.access.expose()).unwrap().is_for("https://api.example"));
    for without in [&empty, &absent] {
        for later in [&empty, &absent] {
            let issued = granted(play(without, later));
            assert_eq!((issued.nonce.as_deref(), issued.scopes.as_str()), (None, ""));
            let answer = play(&full, later);
            assert!(matches!(answer, Redeemed::Mismatch(_)), "what was asked with is demanded");
        }
        let answer = play(without, &full);
        assert!(matches!(answer, Redeemed::Mismatch(Mismatch::Verifier)), "RFC 9700 section 4.8.2");
    }
    let last = granted(play(&full, &full));
    let refresh = |token: &str, scope: Option<&str>| {
        let request = RefreshRequest::by(CLIENT).scopes(scope).audience(None::<&str>);
        world.grants.refresh(token, &request).wait().unwrap()
    };
    let next = rotated(refresh(refresh_of(&last), Some("")));
    assert_eq!(next.scopes.as_str(), "read", "empty is left out");
    assert!(matches!(refresh(refresh_of(&next), Some(" ")), Refreshed::InvalidScope));
    assert_eq!(rotated(refresh(refresh_of(&next), None)).scopes.as_str(), "read");
}
