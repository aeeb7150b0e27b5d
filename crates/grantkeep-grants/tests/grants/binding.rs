//! What a code is bound to: client, redirect URI, verifier, proven key.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{Authorize, Mismatch, Policy, Presented, Redeemed};

fn mismatch(world: &World, code: &str, presented: Presented<'_>) -> Option<Mismatch> {
    match world.grants.redeem(code, &presented).wait().unwrap() {
        Redeemed::Mismatch(mismatch) => Some(mismatch),
        Redeemed::Granted(_) => None,
        other => panic!("{other:?}"),
    }
}

// Goal: each thing a code is bound to is demanded, a wrong or missing one spends nothing, and the
// right one still works. Method: all wrong and missing values on one code, then the right ones.
#[test]
fn a_mismatch_refuses_without_spending() {
    let world = World::new();
    let code = world.grants.authorize(authorize().confirmation(key(1))).wait().unwrap();
    let right = presented().confirmation(key(1));
    let long = "a".repeat(129);
    for (presented, expected) in [
        (Presented::by("client-2").redirect_uri(REDIRECT).verifier(VERIFIER), Mismatch::Client),
        (Presented::by(CLIENT).verifier(VERIFIER), Mismatch::RedirectUri),
        (right.redirect_uri("https://app.example/cb/"), Mismatch::RedirectUri),
        (Presented::by(CLIENT).redirect_uri(REDIRECT), Mismatch::Verifier),
        (right.verifier(CHALLENGE), Mismatch::Verifier),
        (right.verifier("short"), Mismatch::Verifier),
        (right.verifier(&long), Mismatch::Verifier),
        (presented(), Mismatch::Confirmation),
        (right.confirmation(key(2)), Mismatch::Confirmation),
    ] {
        assert_eq!(mismatch(&world, code.expose(), presented), Some(expected));
    }
    assert_eq!(mismatch(&world, code.expose(), right), None);
}

// Goal: where the policy says so, a mismatch spends the code for nothing. Method: a mismatch, then
// the right values.
#[test]
fn a_mismatch_burns_where_the_policy_says_so() {
    let world = World::under(Policy { burn_on_mismatch: true, ..Policy::default() });
    let code = world.code();
    let wrong = presented().verifier(CHALLENGE);
    assert_eq!(mismatch(&world, code.expose(), wrong), Some(Mismatch::Verifier));
    assert!(matches!(world.redeem(&code), Redeemed::Replayed { family: None }));
}

// Goal: a request stripped of its challenge is noticed (RFC 9700 section 4.8.2). Method: authorize
// without one, redeem with a verifier and without.
#[test]
fn a_verifier_without_a_challenge_is_a_downgrade() {
    let world = World::new();
    let code = world.grants.authorize(Authorize::new(CLIENT, SUBJECT)).wait().unwrap();
    let downgraded = Presented::by(CLIENT).verifier(VERIFIER);
    assert_eq!(mismatch(&world, code.expose(), downgraded), Some(Mismatch::Verifier));
    assert_eq!(mismatch(&world, code.expose(), Presented::by(CLIENT)), None);
}

// Goal: a code issued without a redirect URI is redeemed with one or without. Method: both.
#[test]
fn a_redirect_uri_is_compared_only_if_the_request_had_one() {
    let world = World::new();
    for presented in [Presented::by(CLIENT), Presented::by(CLIENT).redirect_uri(REDIRECT)] {
        let code = world.grants.authorize(Authorize::new(CLIENT, SUBJECT)).wait().unwrap();
        assert_eq!(mismatch(&world, code.expose(), presented), None);
    }
}

// Goal: plain challenges work only where the policy allows them. Method: both policies.
#[test]
fn plain_pkce_is_a_policy() {
    let world = World::under(Policy { allow_plain_pkce: true, ..Policy::default() });
    let request = Authorize::new(CLIENT, SUBJECT).pkce_plain(VERIFIER);
    assert!(World::new().grants.authorize(request.clone()).wait().is_err());
    let code = world.grants.authorize(request).wait().unwrap();
    let wrong = Presented::by(CLIENT).verifier(CHALLENGE);
    assert_eq!(mismatch(&world, code.expose(), wrong), Some(Mismatch::Verifier));
    let right = Presented::by(CLIENT).verifier(VERIFIER);
    assert_eq!(mismatch(&world, code.expose(), right), None);
}
