//! Texts from outside: scopes, the forms of minted tokens, and whatever is presented. Nothing was
//! issued, so nothing is in force, whatever it looks like.

use grantkeep::{Memory, Store, SystemClock, TOKEN_BYTES_MAX, Wait as _};
use grantkeep_grants::{
    DeviceRequested, Format, Grants, Introspection, Policy, Polled, Presented, Redeemed,
    RefreshRequest, RefreshStanding, Refreshed, Scopes, Taken,
};
use std::sync::{Arc, LazyLock};

static GRANTS: LazyLock<Grants<Memory>> = LazyLock::new(|| {
    let store = Store::in_memory(Arc::new(SystemClock::new())).expect("a store in memory");
    Grants::new(store, Policy::default()).expect("the default policy fits")
});

/// Presents a text in every way.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(scopes) = Scopes::read(text) {
        assert!(scopes.is_subset(&scopes));
        let again = Scopes::read(scopes.as_str()).expect("what was read is read again");
        assert_eq!(again.as_str(), scopes.as_str());
    }
    let _ = Format::classify(text);
    let too_long = text.len() > TOKEN_BYTES_MAX;
    assert!(matches!(GRANTS.introspect(text).wait(), Ok(Introspection::Inactive)));
    let redeemed = GRANTS.redeem(text, &Presented::by("client")).wait();
    assert!(matches!((redeemed, too_long), (Ok(Redeemed::Unknown), false) | (Err(_), true)));
    let refreshed = GRANTS.refresh(text, &RefreshRequest::by("client")).wait();
    assert!(matches!((refreshed, too_long), (Ok(Refreshed::Unknown), false) | (Err(_), true)));
    let standing = GRANTS.refresh_standing(text).wait();
    assert!(matches!(standing, Ok(RefreshStanding::Unusable)));
    let requested = GRANTS.device_request(text).wait();
    assert!(matches!(requested, Ok(DeviceRequested::Unknown)));
    let polled = GRANTS.poll_device(text, &Presented::by("client")).wait();
    assert!(matches!((polled, too_long), (Ok(Polled::Unknown), false) | (Err(_), true)));
    let taken = GRANTS.take_pushed(text, "client").wait();
    assert!(matches!((taken, too_long), (Ok(Taken::Unknown), _) | (Err(_), true)));
    // Success, whatever is there: RFC 7009 section 2.2.
    assert!(GRANTS.revoke(text).wait().is_ok());
}
