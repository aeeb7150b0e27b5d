//! One token that was imported in both ways: by its text, and then as its SHA-256.

use crate::transfer_in::{import, line, sha256};
use crate::world::*;
use grantkeep::Wait as _;
use grantkeep::backend::Budget;
use grantkeep_grants::{Refreshed, RevokedBy};

const TEXT: &str = "a token of the old server";

/// Lines of one token: by its text for 60 s, and as its SHA-256 for an hour.
fn twice(kind: &str, first: &str, second: &str) -> [String; 2] {
    let by_text = format!(r#""text":"{TEXT}","expires_in":60,{first}"#);
    let by_sha256 = format!(r#""sha256":"{}","expires_in":3600,{second}"#, sha256(TEXT));
    [line(kind, &by_text), line(kind, &by_sha256)]
}

fn tokens(second_client: &str) -> [String; 2] {
    let of = |client: &str, scope: &str| {
        format!(r#""client":"{client}","subject":"alice","scopes":"{scope}""#)
    };
    twice("token", &of("c", "own"), &of(second_client, "imported"))
}

fn personal() -> [String; 2] {
    let of = |scope: &str| format!(r#""subject":"alice","scopes":"{scope}""#);
    twice("personal", &of("own"), &of("imported"))
}

fn families() -> [String; 2] {
    let of = |name: &str, scope: &str| {
        format!(r#""name":"{name}","client":"c","subject":"alice","scopes":"{scope}""#)
    };
    twice("family", &of("f-1", "own"), &of("f-2", "imported"))
}

/// A store that took the lines in two imports: within one it would notice.
fn world(lines: &[String; 2]) -> World {
    let world = World::new();
    for line in lines {
        assert_eq!(import(&world.grants, line).unwrap().skipped, 0);
    }
    world
}

fn scopes(world: &World) -> Option<String> {
    world.claims(TEXT).map(|claims| claims.scopes.as_str().to_owned())
}

fn sweep(world: &World) {
    world.grants.store().sweep(Budget::rows(1_000)).wait().unwrap();
}

// Goal: P2 and RFC 7009 section 2.1, a token that is revoked by its text is revoked however often
// and in whichever way it was imported. Method: an access token, a personal one, and a refresh
// token in both ways; revoke by the text; look when the first row has ended, and is swept.
#[test]
fn a_token_that_came_twice_is_revoked_as_a_whole() {
    for lines in [tokens("c"), personal(), families()] {
        let world = world(&lines);
        assert_eq!(scopes(&world).as_deref(), Some("own"));
        assert_eq!(world.grants.revoke(TEXT).wait().unwrap(), RevokedBy::Done);
        assert!(!world.is_active(TEXT));
        world.clock.advance(s(60));
        for _ in 0..2 {
            assert!(!world.is_active(TEXT), "{lines:?}");
            sweep(&world);
        }
        let families = world.grants.families_of("alice", None, 10).wait().unwrap();
        let personal = world.grants.personal_of("alice", None, 10).wait().unwrap();
        assert!(families.items.is_empty() && personal.items.is_empty());
    }
}

// Goal: P2 and RFC 7009 section 2.1, one that was revoked before it came again is revoked then, and
// a client takes no more than what is its own. Method: revoke between the two imports, and after;
// two rows of two clients, each revoked by its own.
#[test]
fn each_row_of_a_text_is_revoked_by_its_client() {
    let [by_text, by_sha256] = tokens("c");
    let first = World::new();
    import(&first.grants, &by_text).unwrap();
    first.grants.revoke(TEXT).wait().unwrap();
    import(&first.grants, &by_sha256).unwrap();
    assert_eq!(first.grants.revoke_by("c", TEXT).wait().unwrap(), RevokedBy::Done);
    first.clock.advance(s(60));
    assert!(!first.is_active(TEXT));

    let second = world(&tokens("d"));
    let by = |client: &str| second.grants.revoke_by(client, TEXT).wait().unwrap();
    assert_eq!((by("e"), by("c")), (RevokedBy::NotYours, RevokedBy::Done));
    assert!(!second.is_active(TEXT), "its own row says what it is");
    second.clock.advance(s(60));
    assert_eq!(scopes(&second).as_deref(), Some("imported"));
    assert_eq!(by("d"), RevokedBy::Done);
    assert!(!second.is_active(TEXT));
}

// Goal: RFC 7662 section 2.2, a text's own row says what it is until that row has ended, to the
// millisecond, whether it was swept or not. Method: a token of each type in both ways, to the end
// of its own row, and past it before and after a sweep; the same where its own row was revoked.
#[test]
fn a_texts_own_row_says_what_it_is() {
    for lines in [tokens("c"), personal(), families()] {
        let world = world(&lines);
        world.clock.advance(s(60) - MS);
        assert_eq!(scopes(&world).as_deref(), Some("own"));
        world.clock.advance(MS);
        for _ in 0..2 {
            assert_eq!(scopes(&world).as_deref(), Some("imported"), "{lines:?}");
            sweep(&world);
        }
    }
    let with_personal = world(&personal());
    let listed = with_personal.grants.personal_of("alice", None, 10).wait().unwrap().items;
    let own = listed.iter().find(|item| item.scopes.as_str() == "own").unwrap().id;
    with_personal.grants.revoke_personal("alice", own).wait().unwrap();
    assert!(!with_personal.is_active(TEXT));

    let with_families = world(&families());
    let listed = with_families.grants.families_of("alice", None, 10).wait().unwrap().items;
    let own = listed.iter().find(|item| item.scopes.as_str() == "own").unwrap().family;
    with_families.grants.revoke_family(own).wait().unwrap();
    assert!(!with_families.is_active(TEXT));
    let answer = with_families.grants.refresh(TEXT, &by_c()).wait().unwrap();
    assert!(matches!(answer, Refreshed::Revoked), "{answer:?}");
}

fn by_c() -> grantkeep_grants::RefreshRequest<'static> {
    grantkeep_grants::RefreshRequest::by("c")
}
