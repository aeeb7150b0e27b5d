//! Policies as TOML: what is accepted is within the limits, is written and read back, and can be
//! worked by; what is not names where it is wrong.

use grantkeep::{ErrorKind, LIFETIME_MAX, Store, Wait as _};
use grantkeep_grants::{
    Authorize, CLOCK_SKEW_MAX, CODE_LIFETIME_MAX, DEVICE_LIFETIME_MAX, GRACE_MAX, Grants,
    Introspection, LAST_USED_RESOLUTION_MAX, PUSH_LIFETIME_MAX, Policy, Presented, Profile,
    Redeemed, Refreshing,
};
use grantkeep_tests::manual_clock;
use std::time::Duration;

/// RFC 7636 appendix B. A policy may demand it.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Reads `data` as a policy, and as the name of one.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Profile::named(text);
    let policy = match Policy::from_toml(text) {
        Ok(policy) => policy,
        Err(error) => {
            let kinds = [ErrorKind::Limit, ErrorKind::Lifetime];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message}");
            if let Some((line, _)) = message.strip_prefix("line ").and_then(|m| m.split_once(':')) {
                let line: usize = line.parse().expect("a line number");
                assert!((1..=text.matches('\n').count() + 1).contains(&line), "{message}");
            }
            return;
        }
    };
    check_limits(&policy);
    let written = policy.to_toml().expect("every policy can be written");
    assert_eq!(Policy::from_toml(&written).expect("what was written is read"), policy);
    work_by(policy);
}

/// The bounds, as `docs/limits.md` has them.
fn check_limits(policy: &Policy) {
    let second = Duration::from_secs(1);
    for (lifetime, most) in [
        (policy.code_lifetime_max, CODE_LIFETIME_MAX),
        (policy.code_lifetime, policy.code_lifetime_max),
        (policy.device_lifetime, DEVICE_LIFETIME_MAX),
        (policy.device_interval, policy.device_lifetime),
        (policy.push_lifetime, PUSH_LIFETIME_MAX),
        (policy.client_credentials_lifetime, LIFETIME_MAX),
        (policy.personal_lifetime, LIFETIME_MAX),
        (policy.last_used_resolution, LAST_USED_RESOLUTION_MAX),
        (policy.refresh_absolute, LIFETIME_MAX),
        (policy.refresh_idle, policy.refresh_absolute),
        (policy.access_lifetime, policy.refresh_idle),
    ] {
        assert!((second..=most).contains(&lifetime), "{policy:?}");
    }
    assert!(policy.clock_skew <= CLOCK_SKEW_MAX && policy.refresh_grace <= GRACE_MAX, "{policy:?}");
}

/// A code is issued and redeemed under the policy, where the store allows its lifetimes.
fn work_by(policy: Policy) {
    let store = Store::in_memory(manual_clock()).expect("a store in memory");
    let refreshing = policy.refreshing;
    let grants = match Grants::new(store, policy) {
        Ok(grants) => grants,
        Err(error) => return assert_eq!(error.kind(), ErrorKind::Lifetime, "{error:?}"),
    };
    let request = Authorize::new("client", "alice").pkce_s256(CHALLENGE);
    let code = grants.authorize(request).wait().expect("a code");
    let presented = Presented::by("client").verifier(VERIFIER);
    let redeemed = grants.redeem(code.expose(), &presented).wait();
    let Ok(Redeemed::Granted(pair)) = redeemed else { panic!("{redeemed:?}") };
    assert_eq!(pair.refresh.is_some(), refreshing != Refreshing::Off);
    let looked = grants.introspect(pair.access.expose()).wait();
    assert!(matches!(looked, Ok(Introspection::Active(_))), "{looked:?}");
}
