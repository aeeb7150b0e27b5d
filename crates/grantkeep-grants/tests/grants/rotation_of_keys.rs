//! Rotation and retirement of root keys.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{Keyring, ManualClock, Memory, Wait};
use grantkeep_grants::{Grants, Introspection, Policy, Redeemed, RefreshRequest, Refreshed};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

// Goal: what was issued under a root key works under its successors, and nothing of it once the
// key is retired. Method: issue under key 1, reopen with keys 1 and 2, then with key 2 alone.
#[test]
fn what_was_issued_works_until_its_key_is_retired() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let memory = Arc::new(Memory::with_clock(clock));
    let open = |keys: &[(u32, [u8; 32])]| {
        let keyring = Keyring::from_keys(keys.iter().copied()).unwrap();
        let store = Interposed::store(&memory, keyring).unwrap();
        Grants::new(store, Policy::default()).unwrap()
    };
    let is_active = |grants: &Grants<Interposed>, token: &str| {
        matches!(grants.introspect(token).wait().unwrap(), Introspection::Active(_))
    };
    let request = RefreshRequest::by(CLIENT);
    let (first, second) = ((1, [1; 32]), (2, [2; 32]));

    let grants = open(&[first]);
    let payload = authorize().sealed_payload(b"claims");
    let [used, left] = [0, 1].map(|_| grants.authorize(payload.clone()).wait().unwrap());
    let old = granted(grants.redeem(used.expose(), &presented()).wait().unwrap());

    let grants = open(&[first, second]);
    assert!(is_active(&grants, old.access.expose()));
    let pair = rotated(grants.refresh(refresh_of(&old), &request).wait().unwrap());
    let other = granted(grants.redeem(left.expose(), &presented()).wait().unwrap());

    let grants = open(&[second]);
    for token in [old.access.expose(), refresh_of(&old), refresh_of(&pair)] {
        assert!(!is_active(&grants, token));
        let answer = grants.refresh(token, &request).wait().unwrap();
        assert!(matches!(answer, Refreshed::Unknown));
    }
    let answer = grants.redeem(left.expose(), &presented()).wait().unwrap();
    assert!(matches!(answer, Redeemed::Unknown));
    assert!(is_active(&grants, other.access.expose()));
    assert!(is_active(&grants, pair.access.expose()), "an access token of the new key");
    rotated(grants.refresh(refresh_of(&other), &request).wait().unwrap());
}
