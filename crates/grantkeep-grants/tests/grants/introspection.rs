//! Introspection.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{ClaimsKind, Grant, Introspection};

// Goal: P4, whatever is not in force is inactive, and nothing more is said. Method: texts of every
// length class, a code, a cut token, and tokens of another store.
#[test]
fn what_was_not_issued_is_inactive() {
    let world = World::new();
    let code = world.code();
    let pair = world.pair();
    let foreign = World::new().pair();
    let cut = &pair.access.expose()[..54];
    let (short, limit, over) = ("x".repeat(15), "x".repeat(8_192), "x".repeat(8_193));
    for token in [
        "",
        &short,
        &limit,
        &over,
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        code.expose(),
        cut,
        foreign.access.expose(),
        refresh_of(&foreign),
    ] {
        let answer = world.grants.introspect(token).wait().unwrap();
        assert!(matches!(answer, Introspection::Inactive));
    }
}

// Goal: the fields of RFC 7662 are those of the grant. Method: a grant with all of them, by its
// access and its refresh token.
#[test]
fn claims_are_those_of_the_grant() {
    let world = World::new();
    let grant = Grant::new(CLIENT, SUBJECT)
        .scopes(["read write"])
        .audience(["https://a", "https://b"])
        .confirmation(key(1));
    let pair = world.grants.open(grant).wait().unwrap();
    let (access, refresh) =
        (world.claims(pair.access.expose()).unwrap(), world.claims(refresh_of(&pair)).unwrap());
    assert_eq!((access.kind, access.token_type), (ClaimsKind::Access, Some("DPoP")));
    assert_eq!(pair.token_type, "DPoP");
    assert_eq!((refresh.kind, refresh.token_type), (ClaimsKind::Refresh, None));
    assert_eq!(refresh.expires_at, Some(world.now() + s(30 * DAY_S)));
    for claims in [access, refresh] {
        assert_eq!(claims.client.as_deref(), Some(CLIENT));
        assert_eq!(claims.subject.as_deref(), Some(SUBJECT));
        assert_eq!(claims.scopes.as_str(), "read write");
        assert_eq!(claims.audience.as_deref(), Some("https://a https://b"));
        assert_eq!(claims.confirmation, Some(key(1)));
        assert!(claims.is_confirmed_by(Some(&key(1))));
        assert!(!claims.is_confirmed_by(Some(&key(2))) && !claims.is_confirmed_by(None));
        assert!(claims.is_for("https://b") && !claims.is_for("https://") && !claims.is_for(""));
        assert_eq!((claims.family, claims.issued_at), (pair.family, world.now()));
    }
}

// Goal: P5, an access token ends to the millisecond, and no clock step revives it. Method: just
// before and at the end, then the wall clock a day back.
#[test]
fn an_access_token_ends_on_time_and_stays_dead() {
    let world = World::new();
    let pair = world.pair();
    world.clock.advance(s(900) - MS);
    assert!(world.is_active(pair.access.expose()));
    world.clock.advance(MS);
    assert!(!world.is_active(pair.access.expose()));
    world.clock.step_to(world.now() - s(DAY_S));
    assert!(!world.is_active(pair.access.expose()));
}
