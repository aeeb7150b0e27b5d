//! What a recovered store must refuse and do, which changes it: for images that are thrown away.

use super::facts::Facts;
use super::world::Opened;
use grantkeep::{Burned, Timestamp, Wait as _};
use grantkeep_grants::{
    ClientCredentials, Introspection, Polled, Presented, Redeemed, RefreshRequest, Refreshed,
};

/// Tries everything that the facts say is over, and what is not: P2, P3, P4, P6. Answers how many
/// attempts were made.
///
/// # Panics
/// Where something is accepted that is not to be, or the reverse.
pub fn probe(opened: &Opened, facts: &Facts, what: &str) -> u64 {
    // The grants first: a replayed code takes its grant along.
    let tried = grants(opened, facts, what) + codes(opened, facts, what);
    let tried = tried + rest(opened, facts, what);
    // It works: what is issued now is in force, and no token that nobody issued is.
    let grants = &opened.grants;
    let issued = grants.client_credentials(ClientCredentials::new("client-9")).wait();
    let text = issued.unwrap_or_else(|error| panic!("{what}: {error:?}")).access;
    let active = grants.introspect(text.expose()).wait().unwrap();
    assert!(matches!(active, Introspection::Active(_)), "{what}: what was just issued");
    let mut forged = text.expose().to_owned();
    let changed = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(changed);
    let answer = grants.introspect(&forged).wait().unwrap();
    assert!(matches!(answer, Introspection::Inactive), "{what}: a token that nobody issued");
    tried + 2
}

fn grants(opened: &Opened, facts: &Facts, what: &str) -> u64 {
    let mut tried = 0;
    for (number, grant) in facts.grants.iter().enumerate() {
        let request = RefreshRequest::by(&grant.owner.client);
        for (generation, text) in grant.refresh.iter().enumerate().rev() {
            let answer = opened.grants.refresh(text, &request).wait().unwrap();
            let rotated = matches!(answer, Refreshed::Rotated(_));
            let present = grant.in_force(facts.now_ms) && generation + 1 == grant.refresh.len();
            assert_eq!(rotated, present, "{what}: refresh {number}.{generation}: {answer:?}");
            // Whatever came before the present one, its successor is used by now.
            let retried = matches!(answer, Refreshed::Retried(_));
            assert!(!retried, "{what}: refresh {number}.{generation}: {answer:?}");
            tried += 1;
        }
    }
    tried
}

fn codes(opened: &Opened, facts: &Facts, what: &str) -> u64 {
    for (number, code) in facts.codes.iter().enumerate() {
        let usable = code.is_usable(facts.now_ms);
        let presented = Presented::by(&code.owner.client);
        for attempt in 0..2 {
            let answer = opened.grants.redeem(&code.text, &presented).wait().unwrap();
            let granted = matches!(answer, Redeemed::Granted(_));
            assert_eq!(granted, usable && attempt == 0, "{what}: code {number}: {answer:?}");
        }
    }
    2 * facts.codes.len() as u64
}

fn rest(opened: &Opened, facts: &Facts, what: &str) -> u64 {
    let store = opened.grants.store();
    for (value, until_ms) in &facts.burnt {
        let until = Timestamp::from_millis(facts.now_ms + 60_000);
        let answer = store.burn("jti", value.as_bytes(), until).wait().unwrap();
        let expected = if facts.now_ms < *until_ms { Burned::Seen } else { Burned::First };
        assert_eq!(answer, expected, "{what}: {value}");
    }
    for (number, device) in facts.devices.iter().enumerate() {
        let granted_to = device.approved.is_some() && !device.revoked;
        let expected = granted_to && facts.now_ms < device.dies_ms;
        for attempt in 0..2 {
            let presented = Presented::by(&device.client);
            let answer = opened.grants.poll_device(&device.device_code, &presented).wait().unwrap();
            let granted = matches!(answer, Polled::Granted(_));
            assert_eq!(granted, expected && attempt == 0, "{what}: device {number}: {answer:?}");
        }
    }
    (facts.burnt.len() + 2 * facts.devices.len()) as u64
}
