//! Families that are opened without a code, with lifetimes of their own.

use crate::world::*;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{Grant, Grants, Policy, RefreshRequest, Refreshed, Refreshing};
use std::time::Duration;

fn lives(world: &World, pair: &grantkeep_grants::Issued) -> [bool; 2] {
    [pair.access.expose(), refresh_of(pair)].map(|token| world.is_active(token))
}

// Goal: P5, a family lives as long as it was asked to, unused and at all, exact to the millisecond,
// and each refresh counts anew (RFC 6749 section 6). Method: an idle lifetime of 10 minutes and an
// absolute one of 25; look around each end; refresh in between.
#[test]
fn a_grant_has_lifetimes_of_its_own() {
    let world = World::new();
    let grant = || Grant::new(CLIENT, SUBJECT).idle(s(600)).absolute(s(1_500));
    let pair = world.grants.open(grant()).wait().unwrap();
    assert_eq!(pair.expires_in, s(600), "no access token outlives its family");
    world.clock.advance(s(600) - MS);
    assert_eq!(lives(&world, &pair), [true; 2]);
    world.clock.advance(MS);
    assert_eq!(lives(&world, &pair), [false; 2]);
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Expired));

    let first = world.grants.open(grant()).wait().unwrap();
    world.clock.advance(s(599));
    let second = rotated(world.refresh(refresh_of(&first)));
    world.clock.advance(s(599));
    let third = rotated(world.refresh(refresh_of(&second)));
    assert_eq!(third.expires_in, s(302), "the grant ends");
    world.clock.advance(s(302) - MS);
    assert_eq!(lives(&world, &third), [true; 2]);
    world.clock.advance(MS);
    assert_eq!(lives(&world, &third), [false; 2]);

    let longer = world.grants.open(Grant::new(CLIENT, SUBJECT).absolute(s(60))).wait().unwrap();
    assert_eq!(longer.expires_in, s(60));
    let usual = Grant::new(CLIENT, SUBJECT).idle(None).absolute(None);
    assert_eq!(world.grants.open(usual).wait().unwrap().expires_in, s(900));
}

// Goal: a lifetime of its own is none that the policy would not give, now or later. Method: at the
// policy's, a second over, none, and parts of a second; a policy that is made stricter and one that
// is made laxer, for a family that was opened before.
#[test]
fn lifetimes_of_its_own_are_within_the_policy() {
    let world = World::new();
    let (idle, absolute) = (s(30 * DAY_S), s(90 * DAY_S));
    let open = |grants: &Grants<_>, idle: Duration, absolute: Duration| {
        grants.open(Grant::new(CLIENT, SUBJECT).idle(idle).absolute(absolute)).wait()
    };
    open(&world.grants, idle, absolute).unwrap();
    open(&world.grants, s(1), s(1)).unwrap();
    for (idle, absolute, name) in [
        (idle + s(1), absolute, "idle"),
        (idle, absolute + s(1), "absolute"),
        (Duration::ZERO, absolute, "idle"),
        (idle, Duration::ZERO, "absolute"),
        (Duration::from_millis(1_500), absolute, "idle"),
    ] {
        let error = open(&world.grants, idle, absolute).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lifetime);
        assert!(error.to_string().contains(name), "{error}");
    }
    let pair = open(&world.grants, s(10 * DAY_S), absolute).unwrap();
    let refresh = |policy: Policy, token: &str| {
        let grants = world.with(policy);
        let request = RefreshRequest::by(CLIENT);
        let next = rotated(grants.refresh(token, &request).wait().unwrap());
        let listed = grants.families_of(SUBJECT, None, 10).wait().unwrap().items;
        let item = listed.iter().find(|item| item.family == pair.family.unwrap()).unwrap();
        (item.expires_at.duration_since(world.now()).unwrap(), next)
    };
    let with = |days| Policy { refresh_idle: s(days * DAY_S), ..Policy::default() };
    let (left, next) = refresh(with(5), refresh_of(&pair));
    assert_eq!(left, s(5 * DAY_S), "stricter");
    let (left, _) = refresh(with(60), refresh_of(&next));
    assert_eq!(left, s(10 * DAY_S), "laxer");
    let off = world.with(Policy { refreshing: Refreshing::Off, ..Policy::default() });
    assert_eq!(open(&off, idle, s(60)).unwrap().expires_in, s(60));
}

// Goal: a lifetime unused holds without refresh tokens as well: what is opened ends with it (RFC
// 6749 section 5.1, `expires_in`). Method: one below and above the lifetime of an access token; a
// millisecond before the end of family and token and at it, and what is listed.
#[test]
fn a_lifetime_unused_holds_without_refresh_tokens() {
    for (idle, lives) in [(60, 60), (300, 300), (301, 300)] {
        let access_lifetime = s(300);
        let policy = Policy { refreshing: Refreshing::Off, access_lifetime, ..Policy::default() };
        let world = World::under(policy);
        let issued = world.grants.open(Grant::new(CLIENT, SUBJECT).idle(s(idle))).wait().unwrap();
        assert_eq!(issued.expires_in, s(lives));
        world.clock.advance(s(lives) - MS);
        assert!(world.is_active(issued.access.expose()));
        let listed = || world.grants.families_of(SUBJECT, None, 10).wait().unwrap().items;
        assert_eq!(listed()[0].expires_at, world.now() + MS);
        world.clock.advance(MS);
        assert!(!world.is_active(issued.access.expose()));
        assert!(listed().is_empty());
    }
}
