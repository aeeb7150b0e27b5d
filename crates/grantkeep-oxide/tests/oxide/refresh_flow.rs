//! Refreshing: rotation, retries, reuse, narrowed scopes.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{ClientEdit, GrantType, Policy, Refreshing};
use oxide_auth::frontends::simple::endpoint::refresh_flow;
use oxide_auth::frontends::simple::request::Status;
use oxide_auth::primitives::issuer::Issuer as _;
use std::time::Duration;

// Goal: P7, refreshing works over a store that is opened anew for each step, and a narrowed scope
// holds for one access token only. Method: refresh with less, with all, with more.
#[test]
fn a_narrowed_scope_does_not_stick() {
    let world = World::new();
    let first = world.tokens(&world.code(CLIENT, &[]));
    let narrowed = world.refresh(first.refresh(), &[("scope", "read")]);
    assert_eq!((narrowed.status, narrowed.field("scope")), (Status::Ok, Some("read")));
    assert_ne!(narrowed.refresh(), first.refresh());
    assert!(world.resource(narrowed.access(), "read").is_some());
    assert!(world.resource(narrowed.access(), "write").is_none());
    assert_eq!(world.refresh(narrowed.refresh(), &[("scope", "admin")]).error(), "invalid_scope");
    let whole = world.refresh(narrowed.refresh(), &[("scope", "write read")]);
    assert!(world.resource(whole.access(), "read write").is_some());
    let same = world.refresh(whole.refresh(), &[]);
    assert!(world.resource(same.access(), "read write").is_some());
}

// Goal: a lost response is asked for again within grace, and any earlier generation that comes
// again ends the family, in `recover_refresh` already. Method: the predecessor twice, then the
// first one.
#[test]
fn a_retry_is_answered_and_reuse_ends_the_family() {
    let world = World::new();
    let first = world.tokens(&world.code(CLIENT, &[]));
    let second = world.refresh(first.refresh(), &[]);
    let again = world.refresh(first.refresh(), &[]);
    assert_eq!(again.refresh(), second.refresh());
    assert_ne!(again.access(), second.access());
    let third = world.refresh(second.refresh(), &[]);
    assert!(world.is_active(third.access()));
    assert_eq!(world.refresh(first.refresh(), &[]).error(), "invalid_grant");
    for answer in [&first, &second, &again, &third] {
        assert!(!world.is_active(answer.access()));
        assert_eq!(world.refresh(answer.refresh(), &[]).error(), "invalid_grant");
    }
}

// Goal: without grace the predecessor is reuse as well. Method: present it.
#[test]
fn without_grace_a_retry_is_reuse() {
    let world = World::under(Policy { refresh_grace: Duration::ZERO, ..Policy::default() });
    let first = world.tokens(&world.code(CLIENT, &[]));
    let second = world.refresh(first.refresh(), &[]);
    assert_eq!(world.refresh(first.refresh(), &[]).error(), "invalid_grant");
    assert!(!world.is_active(second.access()));
}

// Goal: a token is told to last as long as it does: the refresh token until its own expiry, the
// access token until its. Method: recover both.
#[test]
fn each_token_has_its_own_expiry() {
    let world = World::new();
    let tokens = world.tokens(&world.code(CLIENT, &[]));
    let (access, refresh) = world.step(|oxide| {
        let issuer = oxide.issuer();
        let access = issuer.recover_token(tokens.access()).unwrap().unwrap();
        (access, issuer.recover_refresh(tokens.refresh()).unwrap().unwrap())
    });
    let left = |until: chrono::DateTime<chrono::Utc>| {
        let until = std::time::SystemTime::from(until);
        until.duration_since(std::time::SystemTime::now()).unwrap().as_secs()
    };
    assert!((880..900).contains(&left(access.until)));
    let month = 30 * 24 * 3600;
    assert!((month - 20..month).contains(&left(refresh.until)));
    assert_eq!((access.scope, access.owner_id), (refresh.scope, refresh.owner_id));
    world.step(|oxide| {
        let issuer = oxide.issuer();
        assert_eq!(issuer.recover_token(tokens.refresh()), Ok(None));
        assert_eq!(issuer.recover_refresh(tokens.access()), Ok(None));
        for text in ["", "x", &"x".repeat(100), &"x".repeat(9_000)] {
            assert_eq!(issuer.recover_token(text), Ok(None));
            assert_eq!(issuer.recover_refresh(text), Ok(None));
        }
    });
}

// Goal: a refresh token is its client's. Method: another client that authenticates, a public client
// without a secret, a client that may not refresh any more.
#[test]
fn a_refresh_token_is_its_clients() {
    let world = World::new();
    let tokens = world.tokens(&world.code(CLIENT, &[]));
    let other = Answer::of(world.step(|oxide| {
        let body = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
        let mut request = form(&body);
        request.auth = Some(basic("machine"));
        refresh_flow(&oxide.registrar(), &mut oxide.issuer()).execute(request)
    }));
    assert_eq!(other.error(), "invalid_grant");
    let bare = Answer::of(world.step(|oxide| {
        let body = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
        refresh_flow(&oxide.registrar(), &mut oxide.issuer()).execute(form(&body))
    }));
    assert_eq!((bare.status, bare.error()), (Status::Unauthorized, "invalid_client"));
    world.step(|oxide| {
        let edit = |edit: &mut ClientEdit| edit.grants = vec![GrantType::AuthorizationCode];
        oxide.grants().update_client(CLIENT, edit).wait().unwrap();
    });
    assert_eq!(world.refresh(tokens.refresh(), &[]).error(), "invalid_grant");
}

// Goal: where tokens are fixed the same one stays, and none is answered; where they are off there
// is none. Method: both policies.
#[test]
fn fixed_refresh_tokens_and_none() {
    let world = World::under(Policy { refreshing: Refreshing::Fixed, ..Policy::default() });
    let first = world.tokens(&world.code(CLIENT, &[]));
    for _ in 0..2 {
        let answer = world.refresh(first.refresh(), &[]);
        assert_eq!((answer.status, answer.field("refresh_token")), (Status::Ok, None));
        assert!(world.is_active(answer.access()));
    }
    let world = World::under(Policy { refreshing: Refreshing::Off, ..Policy::default() });
    let tokens = world.tokens(&world.code(CLIENT, &[]));
    assert!(tokens.field("refresh_token").is_none());
    assert!(world.resource(tokens.access(), "read").is_some());
}
