//! Personal access tokens.

use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{ClaimsKind, NewPersonal, PersonalId, Policy, Tag};

// Goal: a personal token is made, listed by name, introspected, and revoked by its owner only.
// Method: two of one owner; revoke one by id as a stranger and as the owner, one by its text.
#[test]
fn made_listed_and_revoked() {
    let world = World::new();
    let make = |name: &'static str| {
        let new = NewPersonal::new(SUBJECT, name).scopes(["read"]).sealed_payload(b"note");
        world.grants.create_personal(new).wait().unwrap()
    };
    let (laptop, server) = (make("laptop"), make("server"));
    assert_eq!(grantkeep_grants::Format::classify(laptop.token.expose()), Some(Tag::Personal));
    let claims = world.claims(laptop.token.expose()).unwrap();
    assert_eq!((claims.kind, claims.subject.as_deref()), (ClaimsKind::Personal, Some(SUBJECT)));
    assert_eq!((claims.client.as_deref(), claims.scopes.as_str()), (None, "read"));
    let opened = world.grants.payload(&claims, laptop.token.expose()).unwrap();
    assert_eq!(opened.as_deref(), Some(&b"note"[..]));

    let names = || {
        let listed = world.grants.personal_of(SUBJECT, None, 10).wait().unwrap();
        let mut names: Vec<_> = listed.items.into_iter().map(|item| item.name).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["laptop", "server"]);
    let id: PersonalId = laptop.id.to_string().parse().unwrap();
    assert_eq!(id, laptop.id);
    world.grants.revoke_personal("mallory", id).wait().unwrap();
    assert!(world.is_active(laptop.token.expose()));
    world.grants.revoke_personal(SUBJECT, id).wait().unwrap();
    assert!(!world.is_active(laptop.token.expose()));
    assert_eq!(names(), ["server"]);
    world.grants.revoke(server.token.expose()).wait().unwrap();
    assert!(!world.is_active(server.token.expose()));
    assert!(names().is_empty());
}

// Goal: many tokens of one owner are listed page by page, each once, and die with their owner or
// their client. Method: 25 in pages of 10; then revoke the client of some, then the owner.
#[test]
fn many_are_listed_in_pages() {
    let world = World::new();
    let names: Vec<String> = (0..25).map(|n| format!("token {n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let client = if n < 5 { CLIENT } else { "" };
        let new = NewPersonal::new(SUBJECT, name).client(client);
        world.grants.create_personal(new).wait().unwrap();
    }
    let count = || {
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let page = world.grants.personal_of(SUBJECT, cursor, 10).wait().unwrap();
            seen.extend(page.items.into_iter().map(|item| item.name));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        seen.sort();
        seen.dedup();
        seen.len()
    };
    assert_eq!(count(), 25);
    world.grants.revoke_client(CLIENT).wait().unwrap();
    assert_eq!(count(), 20);
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    assert_eq!(count(), 0);
}

// Goal: lifetimes are bounded by the policy and exact. Method: the maximum, a second more, and the
// last millisecond of a short one.
#[test]
fn lifetimes_are_bounded() {
    let world = World::new();
    let make = |lifetime| {
        world.grants.create_personal(NewPersonal::new(SUBJECT, "x").lifetime(lifetime)).wait()
    };
    assert!(make(s(365 * DAY_S)).is_ok());
    assert_eq!(make(s(365 * DAY_S + 1)).unwrap_err().kind(), ErrorKind::Lifetime);
    let short = make(s(60)).unwrap();
    world.clock.advance(s(60) - MS);
    assert!(world.is_active(short.token.expose()));
    world.clock.advance(MS);
    assert!(!world.is_active(short.token.expose()));
    assert!("abc".parse::<PersonalId>().is_err());
    let nobody = world.grants.create_personal(NewPersonal::new("", "x")).wait();
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Limit);
}

// Goal: a token without expiry is refused unless the policy allows it, lives as long as anybody
// looks, and dies by revocation. Method: both policies, a hundred years, a sweep, a last use.
#[test]
fn a_token_may_live_until_it_is_revoked() {
    let world = World::new();
    let new = || NewPersonal::new(SUBJECT, "robot").without_expiry();
    let refused = world.grants.create_personal(new()).wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Lifetime);
    assert!(refused.to_string().contains("personal_without_expiry"), "{refused}");
    let policy = Policy { personal_without_expiry: true, ..Policy::default() };
    let world = World::under(policy);
    let made = world.grants.create_personal(new()).wait().unwrap();
    assert_eq!(made.expires_at, None);
    for _ in 0..10 {
        world.clock.advance(s(10 * 365 * DAY_S));
        world.grants.store().sweep(Budget::ALL).wait().unwrap();
        let claims = world.claims(made.token.expose()).unwrap();
        assert_eq!((claims.kind, claims.expires_at), (ClaimsKind::Personal, None));
    }
    let written = world.grants.write_last_uses().wait().unwrap();
    let listed = world.grants.personal_of(SUBJECT, None, 10).wait().unwrap().items;
    assert_eq!((written, listed[0].expires_at), (1, None));
    assert_eq!(listed[0].last_used_at, Some(world.now()));
    world.grants.revoke_personal(SUBJECT, made.id).wait().unwrap();
    assert!(!world.is_active(made.token.expose()));
}

// Goal: P2 and P6, what was revoked of a token without expiry stays so for as long as the token
// would have lived. Method: revoke its subject, and another's client; let far more time pass than
// any other row of the store lives, and sweep.
#[test]
fn a_token_without_expiry_stays_revoked() {
    let policy = Policy { personal_without_expiry: true, ..Policy::default() };
    let world = World::under(policy);
    let make = |subject: &str, client: &str| {
        let new = NewPersonal::new(subject, "robot").client(client).without_expiry();
        world.grants.create_personal(new).wait().unwrap().token
    };
    let (by_subject, by_client) = (make(SUBJECT, ""), make("bob", "vendor"));
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    world.grants.revoke_client("vendor").wait().unwrap();
    for _ in 0..30 {
        for token in [&by_subject, &by_client] {
            assert!(!world.is_active(token.expose()));
        }
        world.clock.advance(s(365 * DAY_S));
        world.grants.store().sweep(Budget::ALL).wait().unwrap();
    }
}
