//! Revoking what a client has on behalf of a subject, through the epoch of the pair.

use crate::device::polled;
use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{
    ClientCredentials, DeviceRequested, Grant, NewPersonal, Polled, Redeemed, Refreshed, Verified,
};

// Goal: P6, RFC 7009 section 2.1: what a client has on behalf of a subject goes in one write, codes
// and devices that are pending among it. Method: one of each; the epoch of the pair; each again.
#[test]
fn a_pair_goes_with_its_codes_and_devices() {
    let world = World::new();
    let (code, pair) = (world.code(), world.pair());
    let [approved, done] = [world.device(), world.device()];
    for device in [&approved, &done] {
        assert!(matches!(world.approve(device), Verified::Done));
    }
    world.clock.advance(s(5));
    let by_device = polled(world.poll(&done));
    let commits = world.grants.store().stats().commits;
    world.grants.revoke_pair(SUBJECT, CLIENT).wait().unwrap();
    assert_eq!(world.grants.store().stats().commits, commits + 1, "one write");

    assert!(matches!(world.redeem(&code), Redeemed::Revoked));
    assert!(matches!(world.poll(&approved), Polled::Revoked));
    for pair in [&pair, &by_device] {
        assert!(!world.is_active(pair.access.expose()) && !world.is_active(refresh_of(pair)));
        assert!(matches!(world.refresh(refresh_of(pair)), Refreshed::Revoked));
    }
    assert!(world.grants.families_of(SUBJECT, None, 10).wait().unwrap().items.is_empty());
    let again = world.pair();
    assert!(world.is_active(again.access.expose()) && world.is_active(refresh_of(&again)));
}

// Goal: a pair goes alone: what its subject has elsewhere, what its client has for others and for
// itself, and what no subject has decided yet stays; and so do personal tokens, which may live
// longer than the epoch of a pair. Method: one of each; the epoch of the pair; each again.
#[test]
fn a_pair_goes_alone() {
    let world = World::new();
    let open = |client, subject| world.grants.open(Grant::new(client, subject)).wait().unwrap();
    let others = [open(CLIENT, "bob"), open("client-2", SUBJECT)];
    let own = world.grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    let create = || {
        let new = NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
        world.grants.create_personal(new).wait().unwrap().token
    };
    let (personal, pending) = (create(), world.device());
    world.grants.revoke_pair(SUBJECT, CLIENT).wait().unwrap();
    for other in &others {
        assert!(world.is_active(other.access.expose()));
        assert!(world.is_active(refresh_of(other)));
    }
    assert!(world.is_active(own.access.expose()));
    for token in [personal, create()] {
        assert!(world.is_active(token.expose()), "it rests on no pair");
    }
    assert_eq!(world.grants.personal_of(SUBJECT, None, 10).wait().unwrap().items.len(), 2);
    assert!(matches!(world.requested(&pending), DeviceRequested::Pending(_)));
    assert!(matches!(world.approve(&pending), Verified::Done));
    assert!(matches!(world.poll(&pending), Polled::Granted(_)));
}
