//! Sequences of grant operations: a code and each generation are accepted at most once, and what
//! was revoked stays revoked.

#![no_main]

use arbitrary::Arbitrary;
use grantkeep::{ManualClock, Store, Wait};
use grantkeep_grants::{
    Authorize, Grants, Introspection, Pair, Policy, Presented, Redeemed, RefreshRequest, Refreshed,
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Arbitrary, Debug)]
enum Step {
    Redeem,
    Refresh(u8),
    Pass(u16),
    ClockBack(u16),
    RevokeFamily,
    RevokeSubject,
    Sweep,
}

fuzz_target!(|steps: Vec<Step>| {
    let start: SystemTime = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let clock = Arc::new(ManualClock::at(start));
    let store = Store::in_memory(clock.clone()).expect("a store in memory");
    let grants = Grants::new(store.clone(), Policy::default()).expect("the default policy fits");
    let code = grants.authorize(Authorize::new("client", "alice")).wait().expect("a code");
    let mut pairs: Vec<Pair> = Vec::new();
    let mut granted = 0;
    let mut revoked = false;
    for step in steps.into_iter().take(64) {
        match step {
            Step::Redeem => {
                let redeemed = grants.redeem(code.expose(), &Presented::by("client")).wait();
                match redeemed.expect("memory does not fail") {
                    Redeemed::Granted(pair) => {
                        granted += 1;
                        pairs.push(*pair);
                    }
                    Redeemed::Replayed { .. } => revoked |= granted > 0,
                    _ => {}
                }
            }
            Step::Refresh(which) if !pairs.is_empty() => {
                let pair = &pairs[usize::from(which) % pairs.len()];
                let token = pair.refresh.as_ref().expect("the policy issues refresh tokens");
                let request = RefreshRequest::by("client");
                let refreshed = grants.refresh(token.expose(), &request).wait();
                match refreshed.expect("memory does not fail") {
                    Refreshed::Rotated(pair) | Refreshed::Retried(pair) => {
                        assert!(!revoked, "a revoked family was refreshed");
                        pairs.push(*pair);
                    }
                    Refreshed::Reused { .. } => revoked = true,
                    _ => {}
                }
            }
            Step::Pass(seconds) => clock.advance(Duration::from_secs(seconds.into())),
            Step::ClockBack(seconds) => {
                clock.step_to(start - Duration::from_secs(seconds.into()));
            }
            Step::RevokeFamily if !pairs.is_empty() => {
                grants.revoke_family(pairs[0].family).wait().expect("memory does not fail");
                revoked = true;
            }
            Step::RevokeSubject => {
                grants.revoke_subject("alice").wait().expect("memory does not fail");
                revoked = true;
            }
            Step::Sweep => {
                store.sweep(grantkeep::backend::Budget::ALL).wait().expect("memory does not fail");
            }
            Step::Refresh(_) | Step::RevokeFamily => {}
        }
        assert!(granted <= 1, "a code was redeemed twice");
        for pair in pairs.iter().filter(|_| revoked) {
            let answer = grants.introspect(pair.access.expose()).wait();
            assert!(matches!(answer, Ok(Introspection::Inactive)), "a revoked token is active");
        }
    }
});
