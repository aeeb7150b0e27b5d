//! The four systems whose documents the profiles answer, each end to end.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{
    Authorize, ClientCredentials, Grant, NewPersonal, Presented, Profile, Refreshed,
};

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

// Goal: Hourfleet's documents hold: opaque 15-minute tokens, client application tokens with a
// subset of scopes that cannot be renewed, user tokens renewable for much longer, by code and by
// password. Method: each flow, and the clock.
#[test]
fn hourfleet() {
    let world = World::under(Profile::hourfleet().unwrap());
    let request = ClientCredentials::new("operators").scopes(["reports"]);
    let application = world.grants.client_credentials(request).wait().unwrap();
    assert_eq!(application.expires_in, s(900));
    let by_code = world.pair();
    let by_password = world.grants.open(Grant::new(CLIENT, "bob")).wait().unwrap();
    for pair in [&by_code, &by_password] {
        assert_eq!((pair.expires_in, pair.access.expose().len()), (s(900), 128));
        assert!(world.is_active(pair.access.expose()));
    }
    world.clock.advance(s(80 * DAY_S));
    for pair in [by_code, by_password] {
        assert!(!world.is_active(pair.access.expose()));
        assert!(world.is_active(rotated(world.refresh(refresh_of(&pair))).access.expose()));
    }
}

// Goal: REST API v1's documents hold: 64 hex characters each, 7200 s, password and code grants, no
// PKCE, the redirect URI sent with the exchange. Method: both flows.
#[test]
fn rest_api_v1() {
    let world = World::under(Profile::rest_api_v1().unwrap());
    let request = Authorize::new(CLIENT, SUBJECT).redirect_uri(REDIRECT);
    let code = world.grants.authorize(request).wait().unwrap();
    assert!(code.expose().len() == 64 && is_hex(code.expose()));
    let presented = Presented::by(CLIENT).redirect_uri(REDIRECT);
    let by_code = granted(world.grants.redeem(code.expose(), &presented).wait().unwrap());
    let by_password = world.grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    for pair in [by_code, by_password] {
        let next = rotated(world.refresh(refresh_of(&pair)));
        for pair in [pair, next] {
            assert_eq!(pair.expires_in, s(7_200));
            for token in [pair.access.expose(), refresh_of(&pair)] {
                assert!(token.len() == 64 && is_hex(token));
            }
        }
    }
}

// Goal: Hospitable's documents hold: access tokens of about 1,200 characters and 12 hours, refresh
// tokens of about 1,000 and 90 days, a new pair each time, personal tokens. Method: redeem, live
// through two years of late refreshes, then be too late.
#[test]
fn hospitable() {
    let world = World::under(Profile::hospitable().unwrap());
    let code = world.grants.authorize(Authorize::new("vendor", SUBJECT)).wait().unwrap();
    let presented = Presented::by("vendor");
    let mut pair = granted(world.grants.redeem(code.expose(), &presented).wait().unwrap());
    for _ in 0..8 {
        assert_eq!((pair.access.expose().len(), refresh_of(&pair).len()), (1_200, 1_000));
        assert_eq!(pair.expires_in, s(43_200));
        assert!(world.is_active(pair.access.expose()));
        world.clock.advance(s(90 * DAY_S - 1));
        let request = grantkeep_grants::RefreshRequest::by("vendor");
        let next = rotated(world.grants.refresh(refresh_of(&pair), &request).wait().unwrap());
        assert_ne!(refresh_of(&next), refresh_of(&pair));
        pair = next;
    }
    world.clock.advance(s(90 * DAY_S));
    let request = grantkeep_grants::RefreshRequest::by("vendor");
    let late = world.grants.refresh(refresh_of(&pair), &request).wait().unwrap();
    assert!(matches!(late, Refreshed::Expired));
    let new = NewPersonal::new(SUBJECT, "my script");
    let personal = world.grants.create_personal(new).wait().unwrap();
    assert!(world.is_active(personal.token.expose()));
}

// Goal: Hapn's documents hold: 3600 s, a new token before the old one has expired. Method: two
// tokens half an hour apart.
#[test]
fn hapn() {
    let world = World::under(Profile::hapn().unwrap());
    let issue = || world.grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    let first = issue();
    assert_eq!(first.expires_in, s(3_600));
    world.clock.advance(s(1_800));
    let second = issue();
    assert!(world.is_active(first.access.expose()) && world.is_active(second.access.expose()));
    world.clock.advance(s(1_800));
    assert!(!world.is_active(first.access.expose()) && world.is_active(second.access.expose()));
}
