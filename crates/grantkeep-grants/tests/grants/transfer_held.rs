//! What an import is held to beyond its lines: the owners of families, what has ended here, and the
//! size of a batch.

use crate::transfer_in::{import, line};
use crate::world::*;
use grantkeep::{ErrorKind, Wait as _};
use grantkeep_grants::{Creation, Introspection, NewClient};

/// A family of this subject under this name, with a refresh token of its own.
fn family(name: &str, subject: &str, refresh: &str) -> String {
    let owners = format!(r#""name":"{name}","client":"c","subject":"{subject}""#);
    let whole = format!(r#""text":"{refresh} of the old server","expires_in":86400"#);
    line("family", &format!("{owners},{whole}"))
}

fn token(text: &str, subject: &str, family: &str) -> String {
    let owners = format!(r#""client":"c","subject":"{subject}","family":"{family}""#);
    line("token", &format!(r#""text":"{text} of the old server",{owners},"expires_in":600"#))
}

fn is_active(world: &World, text: &str) -> bool {
    let told = world.grants.introspect(&format!("{text} of the old server")).wait().unwrap();
    matches!(told, Introspection::Active(_))
}

/// The number of rows, which a refused import leaves as it was.
fn rows(world: &World) -> u64 {
    world.grants.store().stats().rows.iter().map(|rows| rows.rows).sum()
}

// Goal: families of many log-in sessions fit into batches: each session has an epoch that is
// required. Method: fifty families of fifty subjects and sessions.
#[test]
fn families_of_many_sessions_come_in() {
    let world = World::new();
    let lines: Vec<String> = (0..50)
        .map(|number| {
            let family =
                family(&format!("f-{number}"), &format!("s-{number}"), &format!("r{number:09}"));
            family.replace(r#""client":"#, &format!(r#""session":"log-in {number}","client":"#))
        })
        .collect();
    assert_eq!(import(&world.grants, &lines.join("\n")).unwrap().families, 50);
    world.grants.revoke_session("log-in 7").wait().unwrap();
    assert!(!is_active(&world, "r000000007") && is_active(&world, "r000000008"));
}

// Goal: what is imported after a session has ended is of the session that begins then, the family
// and its tokens alike. Method: end a session, then import a family of that name and its tokens, in
// one import and in another.
#[test]
fn tokens_are_of_the_session_of_their_family() {
    let world = World::new();
    world.grants.revoke_session("log-in").wait().unwrap();
    let of = family("f", "alice", "refresh");
    let of = of.replace(r#""client":"#, r#""session":"log-in","client":"#);
    import(&world.grants, &[of, token("first", "alice", "f")].join("\n")).unwrap();
    import(&world.grants, &token("second", "alice", "f")).unwrap();
    assert!(["refresh", "first", "second"].iter().all(|text| is_active(&world, text)));
    world.grants.revoke_session("log-in").wait().unwrap();
    assert!(!["refresh", "first", "second"].iter().any(|text| is_active(&world, text)));
}

// Goal: P6, a family and its tokens are of one subject and client, whatever the lines say, and
// wherever the family is: nobody's revocation misses a token. Method: a family that is there, and
// lines that give it or its tokens to somebody else; the same within one import, by a name and by a
// refresh token that two families have. Nothing is written.
#[test]
fn a_family_is_of_one_owner() {
    let world = World::new();
    import(&world.grants, &family("f", "alice", "refresh")).unwrap();
    let before = rows(&world);
    for (lines, told) in [
        ([family("f", "mallory", "another"), token("access", "mallory", "f")], "of this name"),
        ([family("g", "bob", "another"), token("access", "mallory", "f")], "another subject"),
        ([family("g", "bob", "another"), family("g", "mallory", "third")], "of this name"),
        ([family("g", "bob", "another"), family("h", "bob", "another")], "on a line before"),
    ] {
        let error = import(&world.grants, &lines.join("\n")).unwrap_err();
        assert!(error.kind() == ErrorKind::Limit && error.to_string().contains(told), "{error}");
        assert_eq!(rows(&world), before, "{told}");
    }
}

// Goal: P6, a token of a family that has ended here is passed over: its own epochs would be those
// of now. Method: end a family by its subject, then import a token of it.
#[test]
fn a_token_of_an_ended_family_is_passed_over() {
    let world = World::new();
    import(&world.grants, &family("f", "alice", "refresh")).unwrap();
    world.grants.revoke_subject("alice").wait().unwrap();
    let imported = import(&world.grants, &token("access", "alice", "f")).unwrap();
    assert_eq!((imported.tokens, imported.ended), (0, 1));
    assert!(!is_active(&world, "access"));
}

// Goal: what belongs to a client that was deleted here is refused before anything is written.
// Method: delete a client, then import a token of it behind a client of its own.
#[test]
fn what_a_deleted_client_has_is_refused() {
    let world = World::new();
    let made = world.grants.create_client(NewClient::public("c")).wait().unwrap();
    assert!(matches!(made, Creation::Created(_)));
    world.grants.delete_client("c").wait().unwrap();
    let before = rows(&world);
    let lines =
        [line("client", r#""id":"d","confidential":false"#), family("f", "alice", "refresh")];
    let error = import(&world.grants, &lines.join("\n")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disabled, "{error}");
    assert_eq!(rows(&world), before);
}

// Goal: a line that its epochs would make too long is refused before anything is written. Method:
// an owner of whom each epoch has a number, and lines up to the longest that is accepted, behind
// one that fills a batch.
#[test]
fn a_record_fits_with_its_epochs_or_is_refused() {
    let world = World::new();
    let (client, subject) = ("c".repeat(4_096), "s".repeat(4_096));
    world.grants.revoke_subject(&subject).wait().unwrap();
    world.grants.revoke_client(&client).wait().unwrap();
    world.grants.revoke_pair(&subject, &client).wait().unwrap();
    let audience = format!("https://{}", "a".repeat(4_088));
    let long = |number: u32, payload: usize| {
        let payload = data_encoding::BASE64.encode(&vec![7; payload]);
        let owners = format!(r#""client":"{client}","subject":"{subject}""#);
        let texts = format!(r#""scopes":"{}","audience":["{audience}"]"#, "x".repeat(4_096));
        let bearer = format!(r#""text":"token {number} of the old server","expires_in":60"#);
        line("token", &format!(r#"{bearer},{owners},{texts},"payload":"{payload}""#))
    };
    let before = rows(&world);
    let longest = (0..=16 * 1024).rev().find(|payload| {
        let imported = import(&world.grants, &[long(1, 16_000), long(2, *payload)].join("\n"));
        let Err(error) = imported else { return true };
        assert!(error.to_string().starts_with("line 2 of the import: "), "{error}");
        assert_eq!(rows(&world), before, "a payload of {payload} bytes");
        false
    });
    assert!(longest.unwrap() > 16_000 && is_active(&world, "token 2"));
}

// Goal: P5, an end beyond all lifetimes is refused, and is not taken for none. Method: a personal
// token that ends at a time in nanoseconds.
#[test]
fn an_end_beyond_all_lifetimes_is_refused() {
    let world = World::new();
    let fields =
        r#""text":"a token of the old server","subject":"alice","expires_at":1800000000000000000"#;
    let error = import(&world.grants, &line("personal", fields)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lifetime, "{error}");
}
