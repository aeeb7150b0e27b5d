//! Payloads: handed back on redemption, carried to the family and its access tokens.

use crate::world::*;
use grantkeep::{Code, ErrorKind, Family, Payload, Token, Wait};

// Goal: P9, a sealed payload is sealed wherever it lies, goes with every access token, and opens
// only with its token. Method: redeem, rotate, look at each row, open with right and wrong texts.
#[test]
fn a_sealed_payload_goes_along_and_stays_sealed() {
    let world = World::new();
    let store = world.grants.store();
    let code = world.grants.authorize(authorize().sealed_payload(b"claims")).wait().unwrap();
    let row = store.find::<Code>(code.expose().as_bytes()).wait().unwrap().unwrap();
    assert!(matches!(row.record.payload, Some(Payload::Sealed { .. })));
    let first = granted(world.redeem(&code));
    let row = store.find::<Code>(code.expose().as_bytes()).wait().unwrap().unwrap();
    assert!(row.record.payload.is_none() && row.record.nonce.is_none(), "a spent code forgets");
    let family = store.get::<Family>(first.family.unwrap().digest()).wait().unwrap().unwrap();
    assert!(matches!(family.record.payload, Some(Payload::Sealed { .. })));
    let second = rotated(world.refresh(refresh_of(&first)));
    for pair in [&first, &second] {
        let access = pair.access.expose();
        assert_eq!(pair.payload.as_deref(), Some(&b"claims"[..]));
        let row = store.find::<Token>(access.as_bytes()).wait().unwrap().unwrap();
        assert!(matches!(row.record.payload, Some(Payload::Sealed { .. })));
        let claims = world.claims(access).unwrap();
        let open = |token: &str| world.grants.payload(&claims, token);
        assert_eq!(open(access).unwrap().as_deref(), Some(&b"claims"[..]));
        assert_eq!(open(code.expose()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let refresh = refresh_of(&second);
    let claims = world.claims(refresh).unwrap();
    let opened = world.grants.payload(&claims, refresh).unwrap();
    assert_eq!(opened.as_deref(), Some(&b"claims"[..]));
}

// Goal: the largest payload fits in every batch it goes through. Method: 16 KiB, sealed and plain,
// authorize, redeem, refresh.
#[test]
fn the_largest_payload_goes_through() {
    let world = World::new();
    let bytes = vec![7; 16 * 1024];
    for request in [authorize().payload(&bytes), authorize().sealed_payload(&bytes)] {
        let code = world.grants.authorize(request).wait().unwrap();
        let pair = rotated(world.refresh(refresh_of(&granted(world.redeem(&code)))));
        let claims = world.claims(pair.access.expose()).unwrap();
        let opened = world.grants.payload(&claims, pair.access.expose()).unwrap();
        assert_eq!(opened.as_deref(), Some(&bytes[..]));
    }
    let none = world.pair();
    let claims = world.claims(none.access.expose()).unwrap();
    assert!(world.grants.payload(&claims, none.access.expose()).unwrap().is_none());
}
