//! The client credentials flow, and servers that issue without a code.

use crate::world::*;
use grantkeep::{Family, Record as _, Wait};
use oxide_auth::frontends::simple::request::Status;
use oxide_auth::primitives::issuer::Issuer as _;
use std::time::Duration;

// Goal: a client gets a token for itself, without a refresh token and without a family behind it.
// Method: the flow, which is told to hand out refresh tokens; count the families.
#[test]
fn a_client_gets_a_token_for_itself() {
    let world = World::new();
    let own = |client: &str, more: &[(&str, &str)]| {
        Answer::of(world.step(|oxide| own_token(oxide, client, more)))
    };
    let answer = own("machine", &[]);
    assert_eq!((answer.status, answer.field("refresh_token")), (Status::Ok, None));
    let grant = world.resource(answer.access(), "read write").unwrap();
    assert_eq!((grant.owner_id.as_str(), grant.client_id.as_str()), (OWNER, "machine"));
    let narrowed = own("machine", &[("scope", "read")]);
    assert!(world.resource(narrowed.access(), "write").is_none());
    world.step(|oxide| {
        assert_eq!(oxide.grants().store().stats().rows_of(Family::KIND), 0);
        oxide.grants().revoke_subject(OWNER).wait().unwrap();
    });
    assert!(world.resource(answer.access(), "read").is_none());
    let refused = world.step(|oxide| own_token(oxide, CLIENT, &[]));
    assert_eq!(Answer::of(refused).error(), "server_error", "it may not use this grant");
}

// Goal: a server that issues without a code gets a refresh token only if it asks for one, and a
// grant whose time has passed is never a token. Method: issue by hand, under both choices.
#[test]
fn issuing_without_a_code() {
    let world = World::new();
    let mine = |left| {
        let mut grant = grant(left);
        grant.client_id = "machine".to_owned();
        grant
    };
    let minute = Duration::from_secs(60);
    let issued = world.step(|oxide| {
        assert!(oxide.issuer().issue(mine(Duration::ZERO)).is_err());
        oxide.issuer().issue(mine(minute)).unwrap()
    });
    assert!(!issued.refreshable());
    let recovered = world.step(|oxide| oxide.issuer().recover_token(&issued.token).unwrap());
    let recovered = recovered.unwrap();
    assert_eq!(recovered.extensions, mine(minute).extensions);
    assert_eq!(recovered.redirect_uri, mine(minute).redirect_uri);
    assert!(issued.until <= recovered.until);
    assert!((recovered.until - issued.until).num_seconds() < 1);

    let issued = world.step_with(
        |options| options.refresh_without_code(true),
        |oxide| oxide.issuer().issue(grant(minute)).unwrap(),
    );
    let refresh = issued.refresh.unwrap();
    let recovered = world.step(|oxide| oxide.issuer().recover_refresh(&refresh).unwrap());
    assert_eq!(recovered.unwrap().extensions, grant(minute).extensions);
    let answer = world.refresh(&refresh, &[]);
    let recovered = world.step(|oxide| oxide.issuer().recover_token(answer.access()).unwrap());
    assert_eq!(recovered.unwrap().extensions, grant(minute).extensions);
}
