//! Audiences, RFC 8707: granted, narrowed for one access token, never widened.

use crate::world::*;
use grantkeep::Wait;
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
    let redeem = |audience| {
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

// Goal: an empty `resource` does not widen an access token to any audience. Method: none, an empty
// one, and spaces, at a redemption, a poll, and a refresh of a grant for one audience.
#[test]
fn an_empty_audience_is_all_that_was_granted() {
    let world = World::new();
    let bound = |access: &str| {
        let claims = world.claims(access).unwrap();
        claims.is_for(A) && !claims.is_for(C) && !claims.is_for("")
    };
    for asked in [&[][..], &[""], &[" "], &["", " "]] {
        let request = grantkeep_grants::Authorize::new(CLIENT, SUBJECT).audience([A]);
        let code = world.grants.authorize(request).wait().unwrap();
        let presented = Presented::by(CLIENT).audience(asked);
        let pair = granted(world.grants.redeem(code.expose(), &presented).wait().unwrap());
        assert!(bound(pair.access.expose()), "{asked:?}");
        let request = RefreshRequest::by(CLIENT).audience(asked);
        let next = rotated(world.grants.refresh(refresh_of(&pair), &request).wait().unwrap());
        assert!(bound(next.access.expose()), "{asked:?}");
        let request = grantkeep_grants::DeviceRequest::new(CLIENT).audience([A]);
        let device = world.grants.device(request).wait().unwrap();
        let approval = grantkeep_grants::DeviceApproval::by(SUBJECT);
        world.grants.approve_device(device.user_code.expose(), &approval).wait().unwrap();
        let polled = world.grants.poll_device(device.device_code.expose(), &presented).wait();
        let Polled::Granted(pair) = polled.unwrap() else { panic!("not granted") };
        assert!(bound(pair.access.expose()), "{asked:?}");
    }
}
