//! Refresh tokens: rotated, retried, reused, expired, revoked, narrowed, forged.

use crate::world::*;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{Format, Grant, Mismatch, Policy, RefreshRequest, Refreshed, Refreshing};

// Goal: P3, each generation is accepted once, and each answers the next. Method: rotate ten times
// over, past the grace period each time, then present the last but one.
#[test]
fn each_generation_is_accepted_once() {
    let world = World::new();
    let mut pairs = vec![world.pair()];
    for _ in 0..10 {
        let next = rotated(world.refresh(refresh_of(pairs.last().unwrap())));
        assert_ne!(refresh_of(&next), refresh_of(pairs.last().unwrap()));
        assert!(!world.is_active(refresh_of(pairs.last().unwrap())), "only the present one is");
        pairs.push(next);
        world.clock.advance(s(30));
    }
    let family = pairs[0].family;
    assert!(pairs.iter().all(|pair| pair.family == family));
    let answer = world.refresh(refresh_of(&pairs[9]));
    assert!(matches!(answer, Refreshed::Reused { family: f, revoked: true } if Some(f) == family));
    assert!(matches!(world.refresh(refresh_of(&pairs[10])), Refreshed::Revoked));
    assert!(pairs.iter().all(|pair| !world.is_active(pair.access.expose())));
}

// Goal: P3, reuse of *any* earlier generation is noticed, though only one row is kept. Method:
// rotate five times; for each spent generation a family of its own.
#[test]
fn reuse_of_any_generation_revokes() {
    for spent in 0..4 {
        let world = World::new();
        let mut pairs = vec![world.pair()];
        for _ in 0..5 {
            pairs.push(rotated(world.refresh(refresh_of(pairs.last().unwrap()))));
        }
        assert!(matches!(world.refresh(refresh_of(&pairs[spent])), Refreshed::Reused { .. }));
        assert!(matches!(world.refresh(refresh_of(&pairs[spent])), Refreshed::Reused { .. }));
        assert!(matches!(world.refresh(refresh_of(&pairs[5])), Refreshed::Revoked));
    }
}

// Goal: a lost response logs nobody out: within grace, and until the successor is used, the
// predecessor answers the same successor. Method: retry around the end of grace, and after use.
#[test]
fn a_lost_response_is_retried() {
    let world = World::new();
    let first = world.pair();
    let second = rotated(world.refresh(refresh_of(&first)));
    world.clock.advance(s(30) - MS);
    let Refreshed::Retried(again) = world.refresh(refresh_of(&first)) else { panic!() };
    assert_eq!(refresh_of(&again), refresh_of(&second));
    assert_ne!(again.access.expose(), second.access.expose());
    assert!(world.is_active(again.access.expose()) && world.is_active(second.access.expose()));
    world.clock.advance(MS);
    assert!(matches!(world.refresh(refresh_of(&first)), Refreshed::Reused { .. }));

    let first = world.pair();
    let second = rotated(world.refresh(refresh_of(&first)));
    rotated(world.refresh(refresh_of(&second)));
    assert!(matches!(world.refresh(refresh_of(&first)), Refreshed::Reused { .. }));
}

// Goal: without grace every second use is reuse. Method: the same token twice in one instant.
#[test]
fn no_grace_means_none() {
    let world = World::under(Policy { refresh_grace: s(0), ..Policy::default() });
    let pair = world.pair();
    rotated(world.refresh(refresh_of(&pair)));
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Reused { .. }));
}

// Goal: a fixed refresh token stays, is renewed by use, and still expires. Method: use it past
// its idle time in steps, then leave it.
#[test]
fn a_fixed_token_stays_the_same() {
    let world = World::under(Policy { refreshing: Refreshing::Fixed, ..Policy::default() });
    let pair = world.pair();
    for _ in 0..3 {
        world.clock.advance(s(29 * DAY_S));
        let next = rotated(world.refresh(refresh_of(&pair)));
        assert_eq!(refresh_of(&next), refresh_of(&pair));
        assert!(world.is_active(next.access.expose()));
    }
    world.clock.advance(s(3 * DAY_S));
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Expired), "absolute end");
}

// Goal: P5, idle and absolute expiry are exact, and no access token outlives its grant. Method:
// present at the idle bound; refresh just before the absolute one and look at the lifetimes.
#[test]
fn idle_and_absolute_expiry_are_exact() {
    let world = World::new();
    let idle = world.pair();
    world.clock.advance(s(30 * DAY_S));
    assert!(matches!(world.refresh(refresh_of(&idle)), Refreshed::Expired));
    assert!(!world.is_active(refresh_of(&idle)));

    let mut pair = world.pair();
    let ends_at = world.now() + s(90 * DAY_S);
    for _ in 0..3 {
        world.clock.advance(s(30 * DAY_S - 20));
        pair = rotated(world.refresh(refresh_of(&pair)));
    }
    assert_eq!(pair.expires_in, s(60), "capped by the end of the grant");
    assert_eq!(world.claims(pair.access.expose()).unwrap().expires_at, Some(ends_at));
    assert_eq!(world.claims(refresh_of(&pair)).unwrap().expires_at, Some(ends_at));
    world.clock.advance(s(60) - MS);
    assert!(world.is_active(pair.access.expose()));
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Expired), "under a second");
    world.clock.advance(MS);
    assert!(!world.is_active(pair.access.expose()));
}

// Goal: narrowing holds for one access token, and widening is refused. Method: narrow, ask for
// more, ask for nothing.
#[test]
fn narrowed_scopes_do_not_stick() {
    let world = World::new();
    let pair = world.pair();
    let refresh = |token: &str, scopes: &str| {
        world.grants.refresh(token, &RefreshRequest::by(CLIENT).scopes([scopes])).wait().unwrap()
    };
    for scopes in ["read admin", "a\"b"] {
        let answer = refresh(refresh_of(&pair), scopes);
        assert!(matches!(answer, Refreshed::InvalidScope));
        assert_eq!(answer.oauth_error().unwrap().as_str(), "invalid_scope");
    }
    let narrowed = rotated(refresh(refresh_of(&pair), "read"));
    assert_eq!(narrowed.scopes.as_str(), "read");
    assert_eq!(world.claims(narrowed.access.expose()).unwrap().scopes.as_str(), "read");
    let whole = rotated(world.refresh(refresh_of(&narrowed)));
    assert_eq!(whole.scopes.as_str(), "read write");
}

// Goal: P4, a forged or foreign token is unknown, and nothing tells which. Method: change a
// character, present tokens of another store, garbage, and texts around the limits.
#[test]
fn forged_tokens_are_unknown() {
    let world = World::new();
    let pair = world.pair();
    let mut forged = refresh_of(&pair).to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == '0' { '1' } else { '0' });
    let foreign = World::new().pair();
    let access = pair.access.expose();
    for token in [forged.as_str(), refresh_of(&foreign), access, "", "x", &"x".repeat(8_192)] {
        assert!(matches!(world.refresh(token), Refreshed::Unknown));
    }
    let over = world.grants.refresh(&"x".repeat(8_193), &RefreshRequest::by(CLIENT)).wait();
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Limit);
    rotated(world.refresh(refresh_of(&pair)));
}

// Goal: another client, or another key, is refused and changes nothing. Method: present a bound
// token with wrong and missing values, present and spent ones, then with the right ones.
#[test]
fn a_mismatch_changes_nothing() {
    let world = World::new();
    let grant = Grant::new(CLIENT, SUBJECT).confirmation(key(1));
    let pair = world.grants.open(grant).wait().unwrap();
    let present = |token: &str, request: RefreshRequest<'_>| {
        world.grants.refresh(token, &request).wait().unwrap()
    };
    let right = RefreshRequest::by(CLIENT).confirmation(key(1));
    let next = rotated(present(refresh_of(&pair), right.clone()));
    assert_eq!(world.claims(next.access.expose()).unwrap().confirmation, Some(key(1)));
    world.clock.advance(s(3600));
    for token in [refresh_of(&pair), refresh_of(&next)] {
        let other = RefreshRequest::by("client-2").confirmation(key(1));
        assert!(matches!(present(token, other), Refreshed::Mismatch(Mismatch::Client)));
        for request in [RefreshRequest::by(CLIENT), right.clone().confirmation(key(2))] {
            let answer = present(token, request);
            assert!(matches!(answer, Refreshed::Mismatch(Mismatch::Confirmation)));
        }
    }
    rotated(present(refresh_of(&next), right));
}

// Goal: a new format logs nobody out. Method: issue under one format, refresh under another, with
// the old one retried.
#[test]
fn tokens_of_an_earlier_format_still_work() {
    let world = World::new();
    let mut pair = world.pair();
    for format in [Format::hex(), Format::base64url(), Format::hex().chars(1_000)] {
        let chars = format.chars;
        let grants = world.with(Policy { refresh_format: format, ..Policy::default() });
        let request = RefreshRequest::by(CLIENT);
        let next = rotated(grants.refresh(refresh_of(&pair), &request).wait().unwrap());
        assert_eq!(refresh_of(&next).len(), chars);
        let again = grants.refresh(refresh_of(&pair), &request).wait().unwrap();
        assert!(matches!(again, Refreshed::Retried(_)));
        pair = next;
    }
}

// Goal: P6, a refresh token from before its subject or client was revoked is revoked. Method:
// revoke each after a pair was issued.
#[test]
fn a_token_from_before_a_revocation_is_revoked() {
    let world = World::new();
    let pair = world.pair();
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Revoked));
    let pair = world.pair();
    world.grants.revoke_client(CLIENT).wait().unwrap();
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Revoked));
    rotated(world.refresh(refresh_of(&world.pair())));
}
