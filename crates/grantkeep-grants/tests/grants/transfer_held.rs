//! What an import is held to beyond its lines: the owners of families, what has ended here, and the
//! size of a batch.

use crate::interposed::Interposed;
use crate::transfer_in::{import, line};
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{ErrorKind, ManualClock, PairFamilies, Record as _, Wait as _};
use grantkeep_grants::{Creation, Grant, Grants, ImportStep, Introspection, NewClient, Policy};
use std::io::Cursor;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

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

fn registered(world: &World, id: &str) -> bool {
    world.grants.client(id).wait().unwrap().is_some()
}

/// A client, a family of it, a token of that, and a token and a personal token without one.
fn of_client(client: &str) -> Vec<String> {
    let own = |line: String| line.replace(r#""client":"c""#, &format!(r#""client":"{client}""#));
    let text = |what: &str| format!(r#""text":"{what} of {client} of the old server""#);
    let personal = format!(r#"{},"subject":"alice","expires_in":600"#, text("personal"));
    let apart = format!(r#"{},"expires_in":600"#, text("apart"));
    vec![
        line("client", &format!(r#""id":"{client}","confidential":false"#)),
        own(family(&format!("f of {client}"), "alice", &format!("refresh of {client}"))),
        own(token(&format!("access of {client}"), "alice", &format!("f of {client}"))),
        own(line("token", &format!(r#""client":"c",{apart}"#))),
        own(line("personal", &format!(r#""client":"c",{personal}"#))),
    ]
}

// Goal: P2, an import that is run again registers no client anew that was deleted here, and issues
// nothing to it, and adds the rest; a client that is made anew is issued to. Method: delete one of
// whose lines a part was imported, and run the whole again, before and after it is made anew.
#[test]
fn a_deleted_client_does_not_come_again() {
    let world = World::new();
    let texts = ["refresh of c", "access of c", "apart of c", "personal of c"];
    let (c, d) = (of_client("c"), of_client("d"));
    assert_eq!(import(&world.grants, &c[..3].join("\n")).unwrap().lines(), 3);
    world.grants.delete_client("c").wait().unwrap();
    let all = [c, d].concat().join("\n");
    let imported = import(&world.grants, &all).unwrap();
    assert_eq!((imported.clients, imported.families), (1, 1));
    // Of the deleted client the family and one token are there, revoked.
    assert_eq!((imported.skipped, imported.ended, imported.lines()), (2, 3, 10));
    assert!(!registered(&world, "c") && registered(&world, "d"));
    assert!(!texts.iter().any(|text| is_active(&world, text)));
    assert!(texts.iter().all(|text| is_active(&world, &text.replace(" c", " d"))));

    let made = world.grants.create_client(NewClient::public("c")).wait().unwrap();
    assert!(matches!(made, Creation::Created(_)));
    let imported = import(&world.grants, &all).unwrap();
    assert_eq!((imported.tokens, imported.personal, imported.skipped), (1, 1, 8));
    let active = texts.map(|text| is_active(&world, text));
    assert_eq!(active, [false, false, true, true], "what was revoked stays so");
}

// Goal: P2, a client that is deleted while an import runs is not registered anew by it. Method:
// delete it between the two passes, from where their progress is told.
#[test]
fn a_client_that_is_deleted_meanwhile_stays_so() {
    let world = World::new();
    let lines = of_client("c").join("\n");
    world.grants.create_client(NewClient::public("c")).wait().unwrap();
    let mut input = std::io::Cursor::new(&lines);
    let imported = world.grants.import(&mut input, |step| {
        if matches!(step, ImportStep::Checked(_)) {
            world.grants.delete_client("c").wait().unwrap();
        }
    });
    let imported = imported.wait().unwrap();
    assert_eq!((imported.ended, imported.lines()), (5, 5));
    assert!(!registered(&world, "c"));
}

// Goal: P2, a revocation is remembered for as long as the store can: until the end of what was
// revoked, or, where that has none, for the longest lifetime. Method: revoke imported tokens and a
// family, and import again, up to the last millisecond before and after a sweep.
#[test]
fn an_import_that_is_run_again_undoes_no_revocation() {
    let world = World::under(Policy { personal_without_expiry: true, ..Policy::default() });
    let subject = r#""subject":"alice""#;
    let ends = r#""expires_at":1800000600"#;
    let lines = [
        family("f", "alice", "refresh").replace(r#""expires_in":86400"#, ends),
        line("token", &format!(r#""text":"access of the old server","client":"c",{ends}"#)),
        line("personal", &format!(r#""text":"with end of the old server",{subject},{ends}"#)),
        line(
            "personal",
            &format!(r#""text":"without end of the old server",{subject},"without_expiry":true"#),
        ),
    ];
    let (lines, texts) = (lines.join("\n"), ["refresh", "access", "with end", "without end"]);
    assert_eq!(import(&world.grants, &lines).unwrap().skipped, 0);
    for text in texts {
        world.grants.revoke(&format!("{text} of the old server")).wait().unwrap();
    }
    let year = s(365 * DAY_S);
    for (wait, there) in [(s(0), 4), (s(600) - MS, 4), (MS, 1), (10 * year - s(600) - MS, 1)] {
        world.clock.advance(wait);
        world.grants.store().accept_clock();
        for _ in 0..2 {
            let again = import(&world.grants, &lines).unwrap();
            assert_eq!((again.skipped, again.ended), (there, 4 - there), "{wait:?}");
            assert!(!texts.iter().any(|text| is_active(&world, text)));
            world.grants.store().sweep(Budget::rows(1_000)).wait().unwrap();
        }
    }
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

// Goal: families that are imported count against the bound of their pair, whether one was opened
// there before, since, or while they came; two that meet are a conflict. Method: a bound of 3;
// import 4 families of alice beside none, one, and an opening that comes between; open one more.
#[test]
fn imported_families_count_against_the_bound() {
    let policy = || Policy { families_per_pair_max: 3, ..Policy::default() };
    let families = |from: u32| {
        let family = |number| {
            let fields = format!(r#""name":"f-{number}","client":"client-1","subject":"alice""#);
            line("family", &format!(r#"{fields},"expires_in":86400,"ends_in":864000"#))
        };
        (from..from + 4).map(family).collect::<Vec<_>>().join("\n")
    };
    for before in [0, 1, 3] {
        let world = World::under(policy());
        let open = || world.grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
        let count = || world.grants.families_of(SUBJECT, None, 100).wait().unwrap().items.len();
        for _ in 0..before {
            open();
        }
        for round in 0..2 {
            assert_eq!(import(&world.grants, &families(round * 4)).unwrap().families, 4);
            world.clock.advance(MS);
            let newest = open();
            assert_eq!(count(), 3, "{before} before, round {round}");
            assert!(world.is_active(newest.access.expose()));
        }
    }
    let world = World::new();
    import(&world.grants, &families(0)).unwrap();
    assert_eq!(world.grants.store().stats().rows_of(PairFamilies::KIND), 0, "no bound, no row");

    for has_row in [false, true] {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
        let stage: Grants<Interposed> = Interposed::grants(clock, policy());
        let open = |grants: &Grants<Interposed>| {
            grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
        };
        if has_row {
            open(&stage);
        }
        let (same, lines) = (stage.clone(), families(0));
        stage.store().backend().before_commit(move || {
            same.import(&mut Cursor::new(&lines), |_| {}).wait().unwrap();
        });
        open(&stage);
        let count = || stage.families_of(SUBJECT, None, 100).wait().unwrap().items.len();
        assert_eq!(count(), 3, "imported while one was opened");
        let same = stage.clone();
        stage.store().backend().before_commit(move || open(&same));
        stage.import(&mut Cursor::new(&families(4)), |_| {}).wait().unwrap();
        open(&stage);
        assert_eq!(count(), 3, "opened while others were imported");
    }
}
