//! Policies.

use crate::world::*;
use grantkeep::{ErrorKind, LIFETIME_DEFAULT_MAX};
use grantkeep_grants::{
    CODE_LIFETIME_MAX, Format, GRACE_MAX, Grants, Policy, Profile, Refreshing, Style,
};

// Goal: every bound of a policy is exact. Method: each field at its bound and one step outside.
#[test]
fn policy_bounds_are_exact() {
    let max = LIFETIME_DEFAULT_MAX;
    let second = s(1);
    let set: [fn(&mut Policy, std::time::Duration); 7] = [
        |policy, to| policy.code_lifetime = to,
        |policy, to| policy.code_lifetime_max = to,
        |policy, to| policy.access_lifetime = to,
        |policy, to| policy.client_credentials_lifetime = to,
        |policy, to| policy.personal_lifetime = to,
        |policy, to| policy.refresh_idle = to,
        |policy, to| policy.refresh_absolute = to,
    ];
    let most = [CODE_LIFETIME_MAX, CODE_LIFETIME_MAX, s(30 * DAY_S), max, max, s(90 * DAY_S), max];
    for (at, (set, most)) in set.into_iter().zip(most).enumerate() {
        let check = |to| {
            let mut policy = Policy::default();
            set(&mut policy, to);
            policy.check(max)
        };
        assert!(check(most).is_ok(), "field {at}");
        for bad in [s(0), most + second, s(61) + MS] {
            assert_eq!(check(bad).unwrap_err().kind(), ErrorKind::Lifetime, "field {at}");
        }
    }
    let shortest = Policy {
        code_lifetime: second,
        code_lifetime_max: second,
        access_lifetime: second,
        client_credentials_lifetime: second,
        personal_lifetime: second,
        refresh_idle: second,
        refresh_absolute: second,
        refresh_grace: second,
        ..Policy::default()
    };
    assert!(shortest.check(max).is_ok());
    let grace = |grace| Policy { refresh_grace: grace, ..Policy::default() }.check(max);
    assert!(grace(s(0)).is_ok() && grace(GRACE_MAX).is_ok());
    assert_eq!(grace(GRACE_MAX + second).unwrap_err().kind(), ErrorKind::Lifetime);
    let short = Policy { code_format: Format::hex().chars(63), ..Policy::default() };
    assert_eq!(short.check(max).unwrap_err().kind(), ErrorKind::Limit);
}

// Goal: grants refuse a policy that their store cannot keep. Method: a personal token longer than
// the store's longest lifetime.
#[test]
fn a_policy_over_the_store_is_refused() {
    let world = World::new();
    let policy = Policy { personal_lifetime: LIFETIME_DEFAULT_MAX + s(1), ..Policy::default() };
    let refused = Grants::new(world.grants.store().clone(), policy).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Lifetime);
}

// Goal: a policy is data. Method: every profile to JSON and back; a part of one; a misspelled
// field.
#[test]
fn a_policy_is_read_from_a_file() {
    let profiles =
        [Profile::hourfleet(), Profile::rest_api_v1(), Profile::hospitable(), Profile::hapn()];
    for policy in profiles {
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
    let text = r#"{
        "access_lifetime": 300,
        "refreshing": "fixed",
        "code_format": { "style": "hex", "chars": 64 },
        "access_format": { "style": { "prefixed": { "app": "acme" } }, "chars": 100 }
    }"#;
    let policy: Policy = serde_json::from_str(text).unwrap();
    assert_eq!((policy.access_lifetime, policy.code_lifetime), (s(300), s(60)));
    assert_eq!((policy.refreshing, policy.code_format), (Refreshing::Fixed, Format::hex()));
    assert_eq!(policy.access_format.style, Style::Prefixed { app: "acme".to_owned() });
    assert!(serde_json::from_str::<Policy>(r#"{ "acess_lifetime": 300 }"#).is_err());
}
