//! What another server issued, taken over: `docs/transfer.md`.

use crate::world::*;
use data_encoding::HEXLOWER;
use grantkeep::{
    Embedded, ErrorKind, FamilyId, KeySource, Keyring, Memory, Personal, RefreshText, Store, Token,
    TokenSha256, Wait as _,
};
use grantkeep_grants::{
    ClaimsKind, Grants, IMPORT_LINE_BYTES_MAX, ImportStep, Imported, Introspection, NewClient,
    Policy, Refreshed, RevokedBy,
};
use proptest::prelude::*;
use std::io::Cursor;

const ACCESS: &str = "an access token of the old server";
const HASHED: &str = "another access token of the old server";
const REFRESH: &str = "a refresh token of the old server";

pub(crate) fn import(grants: &Grants<Memory>, lines: &str) -> grantkeep::Result<Imported> {
    grants.import(&mut Cursor::new(lines), |_| {}).wait()
}

pub(crate) fn sha256(text: &str) -> String {
    HEXLOWER.encode(TokenSha256::of(text.as_bytes()).as_bytes())
}

/// A line of this kind with these fields.
pub(crate) fn line(kind: &str, fields: &str) -> String {
    format!(r#"{{"kind":"{kind}",{fields}}}"#)
}

/// A line of alice and the client that she uses.
fn of_alice(kind: &str, fields: &str) -> String {
    line(kind, &format!(r#""client":"client-1","subject":"alice",{fields}"#))
}

/// A family and a token by SHA-256, tokens by text, and a client; a blank line before and none
/// after.
fn lines() -> String {
    let (access, refresh) = (sha256(HASHED), sha256(REFRESH));
    let personal = r#""text":"a personal token of alice","subject":"alice","expires_in":60"#;
    let secrets = r#""secrets":[{"text":"a secret of client-2"}],"grants":["client_credentials"]"#;
    let whole = r#""scopes":"read write","expires_in":86400,"ends_in":864000"#;
    let family = r#""scopes":"read","family":"f-1","expires_in":3600"#;
    let audience = r#""audience":["https://api.example"],"expires_in":60"#;
    let lines = [
        String::new(),
        of_alice("family", &format!(r#""name":"f-1","sha256":"{refresh}","generation":7,{whole}"#)),
        of_alice("token", &format!(r#""text":"{ACCESS}",{family}"#)),
        of_alice("token", &format!(r#""sha256":"{access}",{audience}"#)),
        line("personal", personal),
        line("client", &format!(r#""id":"client-2","confidential":true,{secrets}"#)),
        String::new(),
    ];
    lines.join("\n")
}

fn rows(world: &World) -> u64 {
    let stats = world.grants.store().stats();
    stats.rows.iter().map(|rows| rows.rows).sum()
}

// Goal: tokens are taken over as texts and as SHA-256, with what is left of their lifetimes, exact
// to the millisecond, and are listed and revoked as any other. Method: import each kind; introspect
// them to their ends; revoke them.
#[test]
fn tokens_come_as_texts_and_as_sha256() {
    let world = World::new();
    let mut steps = Vec::new();
    let imported = world.grants.import(&mut Cursor::new(lines()), |step| steps.push(step)).wait();
    let imported = imported.unwrap();
    assert_eq!((imported.tokens, imported.personal), (2, 1));
    assert_eq!((imported.families, imported.clients), (1, 1));
    assert_eq!((imported.skipped, imported.ended, imported.lines()), (0, 0, 5));
    assert_eq!(steps, [ImportStep::Checked(5), ImportStep::Written(5)]);

    let claims = world.claims(ACCESS).unwrap();
    assert_eq!((claims.kind, claims.scopes.as_str()), (ClaimsKind::Access, "read"));
    assert!(claims.family.is_some());
    let claims = world.claims(HASHED).unwrap();
    assert_eq!(claims.audience.as_deref(), Some("https://api.example"));
    assert_eq!(claims.subject.as_deref(), Some("alice"));
    assert_eq!(world.claims("a personal token of alice").unwrap().kind, ClaimsKind::Personal);
    assert_eq!(world.claims(REFRESH).unwrap().kind, ClaimsKind::Refresh);
    assert!(!world.is_active(&sha256(HASHED)), "the SHA-256 itself presents nothing");
    assert_eq!(world.grants.personal_of("alice", None, 10).wait().unwrap().items.len(), 1);
    assert_eq!(world.grants.families_of("alice", None, 10).wait().unwrap().items.len(), 1);

    world.clock.advance(s(60) - MS);
    assert!(world.is_active(HASHED));
    assert_eq!(world.grants.revoke_by("client-1", HASHED).wait().unwrap(), RevokedBy::Done);
    assert!(!world.is_active(HASHED));
    world.clock.advance(MS);
    assert!(!world.is_active("a personal token of alice"));
    world.grants.revoke_subject("alice").wait().unwrap();
    assert!(!world.is_active(ACCESS) && !world.is_active(REFRESH));
}

// Goal: RFC 9700 section 4.14.2, a family that was taken over rotates, a lost response is answered
// again, and reuse of its imported token ends it. Method: refresh by a text of which only the
// SHA-256 was imported; the same again within and after the grace.
#[test]
fn an_imported_family_rotates_with_reuse_detection() {
    let world = World::new();
    import(&world.grants, &lines()).unwrap();
    let pair = rotated(world.refresh(REFRESH));
    assert!(world.is_active(ACCESS) && world.is_active(refresh_of(&pair)));
    assert!(!world.is_active(REFRESH), "it is spent");
    let Refreshed::Retried(again) = world.refresh(REFRESH) else { panic!("not retried") };
    assert_eq!(refresh_of(&again), refresh_of(&pair));
    world.clock.advance(s(31));
    let answer = world.refresh(REFRESH);
    assert!(matches!(answer, Refreshed::Reused { revoked: true, .. }), "{answer:?}");
    assert!(!world.is_active(ACCESS) && !world.is_active(refresh_of(&pair)));
}

// Goal: a wrong line is named by its number and what is wrong with it, changes nothing, and nothing
// of it is repeated. Method: each thing that can be wrong, on the last line of a good import.
#[test]
fn a_wrong_line_is_named_and_changes_nothing() {
    let world = World::new();
    let new = NewClient::public("off");
    world.grants.create_client(new).wait().unwrap();
    world.grants.disable_client("off").wait().unwrap();
    let before = rows(&world);
    let long = "x".repeat(IMPORT_LINE_BYTES_MAX);
    let token = |rest: &str| {
        format!(r#"{{"kind":"token","text":"secret-secret-secret","client":"c"{rest}}}"#)
    };
    let end = r#","expires_in":60"#;
    for (wrong, kind, words) in [
        ("secret-secret-secret".to_owned(), ErrorKind::Limit, "it is not a JSON object"),
        (r#"{"kind":"token""#.to_owned(), ErrorKind::Limit, "not JSON from column"),
        (r#"["secret-secret-secret"]"#.to_owned(), ErrorKind::Limit, "it is not a JSON object"),
        (r#"{"kind":"secret-secret-secret"}"#.to_owned(), ErrorKind::Limit, "none of"),
        (token(""), ErrorKind::Limit, "it has no end"),
        (token(r#","expires_in":60,"expires_at":1"#), ErrorKind::Limit, "it ends twice"),
        (token(r#","expires_in":"secret-secret-secret""#), ErrorKind::Limit, "another type"),
        (token(r#","expires_in":1,"secret":1"#), ErrorKind::Limit, "a field that it has not"),
        (token(&format!(r#"{end},"sha256":"00""#)), ErrorKind::Limit, "give one of them"),
        (token(&format!(r#"{end},"scopes":"\u00e9""#)), ErrorKind::Limit, "a scope has"),
        (token(&format!(r#"{end},"audience":[]"#)), ErrorKind::Limit, "names no `resource`"),
        (token(&format!(r#"{end},"audience":["a b"]"#)), ErrorKind::Limit, "absolute URI"),
        (token(&format!(r#"{end},"jkt":"x""#)), ErrorKind::Limit, "thumbprint"),
        (token(&format!(r#"{end},"payload":"*""#)), ErrorKind::Limit, "not base64"),
        (token(&format!(r#"{end},"family":"f-1""#)), ErrorKind::Limit, "names its subject"),
        (
            token(&format!(r#"{end},"family":"f-2","subject":"alice""#)),
            ErrorKind::Limit,
            "its family is neither here nor on a line before",
        ),
        (
            token(&format!(r#"{end},"family":"f-1","subject":"bob""#)),
            ErrorKind::Limit,
            "of another subject or client",
        ),
        (token(r#","expires_in":99999999999"#), ErrorKind::Lifetime, "`lifetime_max`"),
        (
            token(&format!(r#"{end},"subject":"{}""#, "s".repeat(4_097))),
            ErrorKind::Limit,
            "a subject is 4097 bytes",
        ),
        (
            r#"{"kind":"token","text":"off-off-off-off-off","client":"off","expires_in":9}"#.into(),
            ErrorKind::Disabled,
            "its client is disabled here",
        ),
        (
            r#"{"kind":"token","text":"short","client":"c","expires_in":9}"#.into(),
            ErrorKind::Limit,
            "its text is 5 bytes",
        ),
        (
            r#"{"kind":"token","sha256":"0g","client":"c","expires_in":9}"#.into(),
            ErrorKind::Limit,
            "64 hex digits",
        ),
        (
            line("personal", r#""text":"secret-secret-xy","subject":"a","without_expiry":true"#),
            ErrorKind::Limit,
            "set `personal_without_expiry`",
        ),
        (
            r#"{"kind":"family","name":"f-3","client":"c","subject":"","expires_in":9}"#.into(),
            ErrorKind::Limit,
            "name both",
        ),
        (
            of_alice("family", r#""name":"f-3","generation":0,"expires_in":9"#),
            ErrorKind::Limit,
            "the first is 1",
        ),
        (
            line(
                "client",
                r#""id":"p","confidential":false,"secrets":[{"text":"secret-secret-x"}]"#,
            ),
            ErrorKind::Limit,
            "a public client cannot have a secret",
        ),
        (
            r#"{"kind":"client","id":"p","confidential":false,"policy":"none"}"#.into(),
            ErrorKind::Missing,
            "none",
        ),
        (r#"{"kind":"client","id":"p"}"#.into(), ErrorKind::Limit, "`confidential` is missing"),
        (long.clone() + "x", ErrorKind::Limit, "more than 65536 bytes"),
    ] {
        let error = import(&world.grants, &format!("{}\n{wrong}\n", lines())).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with("line 8 of the import: "), "{told}");
        assert!(told.contains(words), "`{words}` is not in: {told}");
        assert_eq!(error.kind(), kind, "{told}");
        let whole = format!("{error:?}");
        assert!(!whole.contains("secret-secret"), "{whole}");
        assert_eq!(rows(&world), before, "{told}");
    }
}

// Goal: an import that was interrupted is run again as a whole, and what is there already is left
// as it is, revoked or not. Method: a part of the lines, a revocation, and then all of them, twice;
// a line that is there twice.
#[test]
fn an_interrupted_import_is_run_again() {
    let world = World::new();
    let all = lines();
    let first: Vec<&str> = all.lines().take(3).collect();
    assert_eq!(import(&world.grants, &first.join("\n")).unwrap().lines(), 2);
    world.grants.revoke(ACCESS).wait().unwrap();
    let imported = import(&world.grants, &all).unwrap();
    assert_eq!((imported.skipped, imported.lines()), (2, 5));
    assert!(!world.is_active(ACCESS) && world.is_active(HASHED));
    let before = rows(&world);
    let imported = import(&world.grants, &format!("{all}{all}")).unwrap();
    assert_eq!((imported.skipped, imported.lines()), (10, 10));
    assert_eq!(rows(&world), before);
    let text = of_alice("token", &format!(r#""text":"{HASHED}","expires_in":9"#));
    assert_eq!(import(&world.grants, &text).unwrap().skipped, 1, "known by its SHA-256");
}

// Goal: what has ended is passed over, and with a family its tokens; nothing is issued that would
// be expired. Method: lines whose end has come, by both ways to say it.
#[test]
fn what_has_ended_is_passed_over() {
    let world = World::new();
    let ends = r#""expires_at":1800000000"#;
    let lines = [
        of_alice("family", &format!(r#""name":"f","text":"a refresh token that ended",{ends}"#)),
        of_alice("token", r#""text":"a token of that family","family":"f","expires_in":60"#),
        of_alice("token", r#""text":"a token that has ended","expires_in":0"#),
        of_alice("token", r#""text":"a token that ends soon","expires_at":1800000001"#),
    ];
    let lines = lines.join("\n");
    let imported = import(&world.grants, &lines).unwrap();
    assert_eq!((imported.ended, imported.tokens, imported.families), (2, 2, 0));
    assert!(!world.is_active("a token of that family"));
    world.clock.advance(s(1) - MS);
    assert!(world.is_active("a token that ends soon"));
    world.clock.advance(MS);
    assert!(!world.is_active("a token that ends soon"));
}

pub(crate) fn on_disk(dir: &std::path::Path, keys: &[u8]) -> Grants<Embedded> {
    let keys = keys.iter().map(|id| (u32::from(*id), [*id; 32]));
    let keys = KeySource::Given(Keyring::from_keys(keys).unwrap());
    let store = Store::options().keys(keys).reserve_bytes(0).open(dir).unwrap();
    Grants::new(store, Policy::default()).unwrap()
}

// Goal: P1, what was imported as its SHA-256 is found after a restart, a checkpoint, and a rotation
// of the root keys, and is gone with the key that it was imported under. Method: reopen after each,
// and present all of it.
#[test]
fn imported_tokens_survive_restarts_and_rotations() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let grants = on_disk(&dir, &[1]);
    grants.import(&mut Cursor::new(lines()), |_| {}).wait().unwrap();
    grants.store().close().unwrap();
    for (keys, known) in [(&[1][..], true), (&[1, 2], true), (&[2], false)] {
        let grants = on_disk(&dir, keys);
        grants.store().checkpoint().wait().unwrap();
        for text in [ACCESS, HASHED, REFRESH] {
            let answer = grants.introspect(text).wait().unwrap();
            let active = matches!(answer, Introspection::Active(_));
            // By its text, the access token is found while its family is.
            assert_eq!(active, known, "{text} under {keys:?}");
        }
        if known {
            let again = grants.import(&mut Cursor::new(lines()), |_| {}).wait().unwrap();
            assert_eq!(again.skipped, 5);
        }
        grants.store().close().unwrap();
    }
}

// Goal: where nothing was imported as a SHA-256, a look-up costs nothing more, and texts do not
// change that. Method: an import of texts alone; the ids that a token is looked for under.
#[test]
fn texts_alone_leave_look_ups_as_they_are() {
    let world = World::new();
    let all = lines();
    let texts: Vec<String> = all
        .lines()
        .filter(|line| !line.contains("sha256"))
        .map(|line| line.replace(r#""family":"f-1","#, ""))
        .collect();
    let texts = texts.join("\n");
    assert_eq!(import(&world.grants, &texts).unwrap().lines(), 3);
    let store = world.grants.store();
    assert!(store.sha256_to_look_for(b"whatever is presented").is_none());
    import(&world.grants, &lines()).unwrap();
    assert!(store.sha256_to_look_for(b"whatever is presented").is_some());
    assert_eq!(store.imported_ids::<Token>(b"whatever is presented").len(), 1);
    assert_eq!(store.imported_ids::<RefreshText>(b"whatever is presented").len(), 1);
    assert!(store.imported_ids::<Personal>(b"whatever is presented").is_empty());
}

// Goal: P4, a refresh token is that of one family. Method: a second family with the token of the
// first.
#[test]
fn a_refresh_token_of_another_family_is_refused() {
    let world = World::new();
    import(&world.grants, &lines()).unwrap();
    let other = lines().replace("f-1", "f-2").replace(ACCESS, "a third one of the old server");
    let error = import(&world.grants, &other).unwrap_err();
    assert!(error.to_string().contains("that of another family"), "{error}");
}

// Goal: many lines go in pieces, each whole. Method: 2,000 tokens of 500 subjects, by text and by
// SHA-256, of which each is in force.
#[test]
fn many_lines_are_issued_in_pieces() {
    let world = World::new();
    let text = |number: u32| format!("token number {number:08}");
    let token = |number: u32| {
        let bearer = if number.is_multiple_of(2) {
            format!(r#""text":"{}""#, text(number))
        } else {
            format!(r#""sha256":"{}""#, sha256(&text(number)))
        };
        let (subject, left) = (number % 500, 60 + number);
        let rest = format!(r#""client":"c","subject":"s{subject}","expires_in":{left}"#);
        line("token", &format!("{bearer},{rest}"))
    };
    let lines = (0..2_000).map(token).collect::<Vec<_>>().join("\n");
    let before = world.grants.store().stats().commits;
    assert_eq!(import(&world.grants, &lines).unwrap().tokens, 2_000);
    let commits = world.grants.store().stats().commits - before;
    assert!(commits < 250, "{commits} commits for 2,000 lines");
    assert!((0..2_000).all(|number| world.is_active(&text(number))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // Goal: no input of an import panics. Method: bytes of any kind, and good lines with any part
    // of them replaced.
    #[test]
    fn no_input_of_an_import_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let world = World::new();
        let _ = world.grants.import(&mut Cursor::new(&bytes), |_| {}).wait();
        let good = lines().into_bytes();
        let (at, to) = (at.index(good.len()), to.index(good.len()));
        let (at, to) = (at.min(to), at.max(to).min(at.min(to) + 40));
        let mut changed = good[..at].to_vec();
        changed.extend(bytes.iter().take(20));
        changed.extend(&good[to..]);
        let _ = world.grants.import(&mut Cursor::new(&changed), |_| {}).wait();
    }
}

// Goal: the id of an imported family is the same each time, so that it is found again. Method: one
// line imported into two stores.
#[test]
fn an_imported_family_has_one_id() {
    let world = World::new();
    import(&world.grants, &lines()).unwrap();
    let listed = world.grants.families_of("alice", None, 10).wait().unwrap();
    let id: FamilyId = listed.items[0].family;
    let again = World::new();
    import(&again.grants, &lines()).unwrap();
    let listed = again.grants.families_of("alice", None, 10).wait().unwrap();
    assert_eq!(listed.items[0].family, id);
}
