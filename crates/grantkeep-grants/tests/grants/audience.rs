//! Audiences, RFC 8707: granted, narrowed for one access token, never widened.

use crate::world::*;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{OAuthError, Polled, Presented, Redeemed, RefreshRequest, Refreshed};

const A: &str = "https://a.example";
const B: &str = "https://b.example";
const C: &str = "https://c.example";

// Goal: a redemption narrows the audience of its access token only, and asks for no other without
// spending the code. Method: ask for an audience not granted, for one of two, then refresh.
#[test]
fn a_redemption_narrows_the_audience() {
    let world = World::new();
    let request = grantkeep_grants::Authorize::new(CLIENT, SUBJECT).audience([A, B]);
    let code = world.grants.authorize(request).wait().unwrap();
    let redeem = |audience: &[&str]| {
        let presented = Presented::by(CLIENT).audience(audience);
        world.grants.redeem(code.expose(), &presented).wait().unwrap()
    };
    let wider = redeem(&[A, C]);
    assert!(matches!(wider, Redeemed::InvalidTarget));
    assert_eq!(wider.oauth_error(), Some(OAuthError::InvalidTarget));
    let pair = granted(redeem(&[B]));
    let claims = world.claims(pair.access.expose()).unwrap();
    assert!(claims.is_for(B) && !claims.is_for(A));
    let next = rotated(world.refresh(refresh_of(&pair)));
    let claims = world.claims(next.access.expose()).unwrap();
    assert!(claims.is_for(A) && claims.is_for(B) && !claims.is_for(C), "narrowing does not stick");
}

// Goal: a refresh narrows the audience of its access token only, and widening changes nothing.
// Method: a family for two audiences; ask for one, for another, then for none in particular.
#[test]
fn a_refresh_narrows_the_audience() {
    let world = World::new();
    let grant = grantkeep_grants::Grant::new(CLIENT, SUBJECT).audience([A, B]);
    let pair = world.grants.open(grant).wait().unwrap();
    let refresh = |token: &str, audience: &[&str]| {
        let request = RefreshRequest::by(CLIENT).audience(audience);
        world.grants.refresh(token, &request).wait().unwrap()
    };
    let wider = refresh(refresh_of(&pair), &[C]);
    assert!(matches!(wider, Refreshed::InvalidTarget));
    assert_eq!(wider.oauth_error(), Some(OAuthError::InvalidTarget));
    let next = rotated(refresh(refresh_of(&pair), &[A]));
    let claims = world.claims(next.access.expose()).unwrap();
    assert!(claims.is_for(A) && !claims.is_for(B));
    let last = rotated(world.refresh(refresh_of(&next)));
    assert!(world.claims(last.access.expose()).unwrap().is_for(B));
}

// Goal: a grant for any audience may be narrowed to any. Method: a grant without one.
#[test]
fn a_grant_for_any_audience_narrows_to_any() {
    let world = World::new();
    let pair = world.pair();
    assert!(world.claims(pair.access.expose()).unwrap().is_for(C));
    let request = RefreshRequest::by(CLIENT).audience([C]);
    let next = rotated(world.grants.refresh(refresh_of(&pair), &request).wait().unwrap());
    let claims = world.claims(next.access.expose()).unwrap();
    assert!(claims.is_for(C) && !claims.is_for(A));
}

/// The tokens of a grant for one audience, presented and refreshed with `asked`, and polled for.
fn narrowed(world: &World, asked: &[&str]) -> (Redeemed, Refreshed, Polled) {
    let request = grantkeep_grants::Authorize::new(CLIENT, SUBJECT).audience([A]);
    let code = world.grants.authorize(request).wait().unwrap();
    let presented = Presented::by(CLIENT).audience(asked);
    let redeemed = world.grants.redeem(code.expose(), &presented).wait().unwrap();
    let grant = grantkeep_grants::Grant::new(CLIENT, SUBJECT).audience([A]);
    let pair = world.grants.open(grant).wait().unwrap();
    let request = RefreshRequest::by(CLIENT).audience(asked);
    let refreshed = world.grants.refresh(refresh_of(&pair), &request).wait().unwrap();
    let request = grantkeep_grants::DeviceRequest::new(CLIENT).audience([A]);
    let device = world.grants.device(request).wait().unwrap();
    let approval = grantkeep_grants::DeviceApproval::by(SUBJECT);
    world.grants.approve_device(device.user_code.expose(), &approval).wait().unwrap();
    let polled = world.grants.poll_device(device.device_code.expose(), &presented).wait();
    (redeemed, refreshed, polled.unwrap())
}

// Goal: an empty `resource` counts as omitted (RFC 6749 section 3.1): it does not widen an access
// token to any audience. Method: none, an empty one, and two, at a redemption, a refresh, and a
// poll of a grant for one audience.
#[test]
fn an_empty_audience_is_all_that_was_granted() {
    let world = World::new();
    let bound = |access: &str| {
        let claims = world.claims(access).unwrap();
        claims.is_for(A) && !claims.is_for(C) && !claims.is_for("")
    };
    for asked in [&[][..], &[""], &["", ""]] {
        let (redeemed, refreshed, polled) = narrowed(&world, asked);
        assert!(bound(granted(redeemed).access.expose()), "{asked:?}");
        assert!(bound(rotated(refreshed).access.expose()), "{asked:?}");
        let Polled::Granted(pair) = polled else { panic!("not granted") };
        assert!(bound(pair.access.expose()), "{asked:?}");
    }
}

/// What is no resource, RFC 8707 section 2.
const MALFORMED: [&[&str]; 9] = [
    &[" "],
    &["", " "],
    &["\n"],
    &["api"],
    &["/v1"],
    &["https://a.example#f"],
    &["https://a.example https://c.example"],
    &["https://a.example\thttps://c.example"],
    &["https://a.example", "https://c.example\0"],
];

// Goal: what is no resource is no target (RFC 8707 section 2), and nothing is spent for it. Method:
// blanks, whitespace, control characters, relative URIs, and fragments in a request.
#[test]
fn a_malformed_resource_is_no_target() {
    let world = World::new();
    for asked in MALFORMED {
        let (redeemed, refreshed, polled) = narrowed(&world, asked);
        assert!(matches!(redeemed, Redeemed::InvalidTarget), "{asked:?}");
        assert!(matches!(refreshed, Refreshed::InvalidTarget), "{asked:?}");
        assert!(matches!(polled, Polled::InvalidTarget), "{asked:?}");
    }
}

// Goal: an audience that was set and names nobody is not one of anybody: no grant is made of it
// (RFC 8707 section 2). Method: empty lists, empty resources, and malformed ones, in each request
// that grants.
#[test]
fn an_audience_of_nobody_grants_nothing() {
    let world = World::new();
    let grants = &world.grants;
    let rows = grants.store().stats().rows_total();
    for audience in [&[][..], &[""], &["", ""]].into_iter().chain(MALFORMED) {
        let code = grantkeep_grants::Authorize::new(CLIENT, SUBJECT).audience(audience);
        let grant = grantkeep_grants::Grant::new(CLIENT, SUBJECT).audience(audience);
        let device = grantkeep_grants::DeviceRequest::new(CLIENT).audience(audience);
        let own = grantkeep_grants::ClientCredentials::new(CLIENT).audience(audience);
        for refused in [
            grants.authorize(code).wait().map(drop),
            grants.open(grant).wait().map(drop),
            grants.device(device).wait().map(drop),
            grants.client_credentials(own).wait().map(drop),
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit, "{audience:?}");
            assert!(error.to_string().contains("`resource`"), "{error}");
        }
    }
    assert_eq!(grants.store().stats().rows_total(), rows);
}
