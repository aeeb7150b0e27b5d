//! Texts from outside: keyrings, scopes, the forms of minted tokens, and whatever is presented.

#![no_main]

use grantkeep::{Keyring, Store, SystemClock, Wait};
use grantkeep_grants::{DeviceRequested, Format, Grants, Introspection, Policy, Polled, Presented};
use grantkeep_grants::{Redeemed, RefreshRequest, Refreshed, Scopes, Taken};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static GRANTS: LazyLock<Grants<grantkeep::Memory>> = LazyLock::new(|| {
    let store = Store::in_memory(Arc::new(SystemClock::new())).expect("a store in memory");
    Grants::new(store, Policy::default()).expect("the default policy fits")
});

fuzz_target!(|text: &str| {
    if let Ok(keyring) = Keyring::from_text(text) {
        let again = Keyring::from_text(&keyring.to_text()).expect("what was written is read");
        assert_eq!(*again.to_text(), *keyring.to_text());
    }
    if let Ok(scopes) = Scopes::read(text) {
        assert!(scopes.is_subset(&scopes));
    }
    let _ = Format::classify(text);
    // Nothing was issued, so nothing is in force, whatever it looks like.
    assert!(matches!(GRANTS.introspect(text).wait(), Ok(Introspection::Inactive)));
    let redeemed = GRANTS.redeem(text, &Presented::by("client")).wait();
    assert!(matches!(redeemed, Ok(Redeemed::Unknown) | Err(_)));
    let refreshed = GRANTS.refresh(text, &RefreshRequest::by("client")).wait();
    assert!(matches!(refreshed, Ok(Refreshed::Unknown) | Err(_)));
    let requested = GRANTS.device_request(text).wait();
    assert!(matches!(requested, Ok(DeviceRequested::Unknown)));
    let polled = GRANTS.poll_device(text, &Presented::by("client")).wait();
    assert!(matches!(polled, Ok(Polled::Unknown) | Err(_)));
    let taken = GRANTS.take_pushed(text, "client").wait();
    assert!(matches!(taken, Ok(Taken::Unknown) | Err(_)));
    assert!(GRANTS.revoke(text).wait().is_ok() || text.len() > grantkeep::TOKEN_BYTES_MAX);
});
