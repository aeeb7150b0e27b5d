//! Pushed authorization requests: taken once, by the client that pushed, in time.

use crate::disk::OnDisk;
use crate::interposed::Interposed;
use crate::races::race_of;
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Code, ErrorKind, ManualClock, PAYLOAD_BYTES_MAX, Payload, Wait};
use grantkeep_grants::{
    Format, Grants, Introspection, OAuthError, PUSH_LIFETIME_MAX, Policy, Presented, Pushed,
    REQUEST_URI_PREFIX, Redeemed, Tag, Taken,
};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

const PARAMETERS: &[u8] = b"response_type=code&scope=read%20write&state=af0ifjsldkj";

impl World {
    fn push(&self) -> Pushed {
        self.grants.push(CLIENT, PARAMETERS).wait().unwrap()
    }

    fn look(&self, pushed: &Pushed, client: &str) -> Taken {
        self.grants.look_at_pushed(pushed.request_uri.expose(), client).wait().unwrap()
    }

    fn take(&self, pushed: &Pushed) -> Taken {
        self.grants.take_pushed(pushed.request_uri.expose(), CLIENT).wait().unwrap()
    }
}

/// The random part of a reference.
fn minted(pushed: &Pushed) -> &str {
    pushed.request_uri.expose().strip_prefix(REQUEST_URI_PREFIX).unwrap()
}

fn taken(answer: Taken) -> Vec<u8> {
    match answer {
        Taken::Request(parameters) => parameters,
        other => panic!("not taken: {other:?}"),
    }
}

fn told(answer: &Taken) -> &'static str {
    answer.oauth_error().map_or("taken", OAuthError::as_str)
}

// Goal: P3, what was pushed is taken once, as it was, by the client that pushed it; another's try
// changes nothing. Method: take it as another client, then twice as its own, then as another.
#[test]
fn a_pushed_request_is_taken_once() {
    let world = World::new();
    let pushed = world.push();
    assert_eq!(pushed.expires_in, s(60));
    assert_eq!(Format::classify(minted(&pushed)), Some(Tag::PushedRequest));
    let other = || world.grants.take_pushed(pushed.request_uri.expose(), "client-2").wait();
    assert!(matches!(other().unwrap(), Taken::Mismatch));
    assert_eq!(taken(world.take(&pushed)), PARAMETERS);
    for _ in 0..2 {
        assert!(matches!(world.take(&pushed), Taken::Used));
        assert!(matches!(other().unwrap(), Taken::Mismatch));
    }
    for refused in [Taken::Used, Taken::Expired, Taken::Mismatch, Taken::Revoked, Taken::Unknown] {
        assert_eq!(told(&refused), "invalid_request_uri");
    }
    assert_eq!(told(&Taken::Request(Vec::new())), "taken");
}

// Goal: RFC 9126 section 4, until a pushed request is decided its client looks at it without taking
// it, and what is no longer there is answered as where it is taken. Method: look several times, as
// its client and as another; then take it, let another expire, and revoke the client of a third;
// texts of wrong forms. Looking writes nothing.
#[test]
fn a_pushed_request_is_looked_at_without_being_taken() {
    let world = World::new();
    let (pushed, late) = (world.push(), world.push());
    let commits = world.grants.store().stats().commits;
    for _ in 0..3 {
        assert_eq!(taken(world.look(&pushed, CLIENT)), PARAMETERS);
        assert!(matches!(world.look(&pushed, "client-2"), Taken::Mismatch));
    }
    assert_eq!(world.grants.store().stats().commits, commits);
    assert_eq!(taken(world.take(&pushed)), PARAMETERS);
    assert!(matches!(world.look(&pushed, CLIENT), Taken::Used));
    assert!(matches!(world.look(&pushed, "client-2"), Taken::Mismatch));

    world.clock.advance(s(60) - MS);
    assert_eq!(taken(world.look(&late, CLIENT)), PARAMETERS, "also at the last moment");
    world.clock.advance(MS);
    assert!(matches!(world.look(&late, CLIENT), Taken::Expired));
    let revoked = world.push();
    world.grants.revoke_client(CLIENT).wait().unwrap();
    assert!(matches!(world.look(&revoked, CLIENT), Taken::Revoked));

    for uri in ["", "x", minted(&revoked), &format!("{REQUEST_URI_PREFIX}x")] {
        let answer = world.grants.look_at_pushed(uri, CLIENT).wait().unwrap();
        assert!(matches!(answer, Taken::Unknown), "{uri}");
    }
    let code = format!("{REQUEST_URI_PREFIX}{}", world.code().expose());
    let answer = world.grants.look_at_pushed(&code, CLIENT).wait().unwrap();
    assert!(matches!(answer, Taken::Unknown), "a code is no reference");
    let over = format!("{REQUEST_URI_PREFIX}{}", "x".repeat(8_193));
    let over = world.grants.look_at_pushed(&over, CLIENT).wait();
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Limit);
}

// Goal: P5, the lifetime of a pushed request is exact, and a used one is used at any age. Method: a
// millisecond before and at the end, fresh and used; then swept.
#[test]
fn push_lifetime_is_exact() {
    let world = World::new();
    let (early, late) = (world.push(), world.push());
    world.clock.advance(s(60) - MS);
    taken(world.take(&early));
    world.clock.advance(MS);
    assert!(matches!(world.take(&late), Taken::Expired));
    assert!(matches!(world.take(&early), Taken::Used));
    world.clock.advance(s(3_600));
    world.grants.store().sweep(Budget::ALL).wait().unwrap();
    assert!(matches!(world.take(&late), Taken::Unknown));
}

// Goal: P4, a reference is no code and a code no reference, and what was not pushed is unknown.
// Method: each to the other's call, with and without the prefix; texts of every wrong form.
#[test]
fn a_reference_is_no_code() {
    let world = World::new();
    let (pushed, code) = (world.push(), world.code());
    for text in [pushed.request_uri.expose(), minted(&pushed)] {
        let answer = world.grants.redeem(text, &Presented::by(CLIENT)).wait().unwrap();
        assert!(matches!(answer, Redeemed::Unknown));
        let answer = world.grants.introspect(text).wait().unwrap();
        assert!(matches!(answer, Introspection::Inactive));
        world.grants.revoke(text).wait().unwrap();
    }
    let with_prefix = |text: &str| format!("{REQUEST_URI_PREFIX}{text}");
    for uri in [
        with_prefix(code.expose()),
        with_prefix(pushed.request_uri.expose()),
        with_prefix(&minted(&pushed)[1..]),
        with_prefix(&"x".repeat(8_192)),
        with_prefix(""),
        with_prefix("x"),
        minted(&pushed).to_owned(),
        code.expose().to_owned(),
        pushed.request_uri.expose().to_uppercase(),
        "https://client.example/request.jwt".to_owned(),
        "x".repeat(100_000),
        String::new(),
    ] {
        let answer = world.grants.take_pushed(&uri, CLIENT).wait().unwrap();
        assert!(matches!(answer, Taken::Unknown), "{uri}");
    }
    let over = world.grants.take_pushed(&with_prefix(&"x".repeat(8_193)), CLIENT).wait();
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Limit);
    granted(world.redeem(&code));
    assert_eq!(taken(world.take(&pushed)), PARAMETERS);
}

// Goal: the limits of what is pushed are exact, and nothing over them is kept. Method: no bytes,
// the most, and one more; the longest references; client ids.
#[test]
fn pushed_parameters_have_their_limits() {
    let world = World::new();
    let most = vec![b'x'; PAYLOAD_BYTES_MAX];
    for parameters in [&b""[..], &most] {
        let pushed = world.grants.push(CLIENT, parameters).wait().unwrap();
        assert_eq!(taken(world.take(&pushed)), parameters);
    }
    let rows = world.grants.store().stats().rows_total();
    let (over, long) = (vec![b'x'; PAYLOAD_BYTES_MAX + 1], "x".repeat(4_097));
    for (client, parameters) in [(CLIENT, &over[..]), ("", PARAMETERS), (&long, PARAMETERS)] {
        let error = world.grants.push(client, parameters).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(OAuthError::from(&error).as_str(), "invalid_request");
    }
    assert_eq!(world.grants.store().stats().rows_total(), rows);
    for format in [Format::hex().chars(8_192), Format::base64url(), Format::prefixed("acme")] {
        let grants = world.with(Policy { code_format: format.clone(), ..Policy::default() });
        let pushed = grants.push(CLIENT, PARAMETERS).wait().unwrap();
        assert_eq!(minted(&pushed).len(), format.chars);
        assert_eq!(taken(world.take(&pushed)), PARAMETERS);
    }
}

// Goal: every bound of `push_lifetime` is exact. Method: both bounds and one step outside each.
#[test]
fn push_policy_bounds_are_exact() {
    let world = World::new();
    let check = |push_lifetime| {
        let policy = Policy { push_lifetime, ..Policy::default() };
        Grants::new(world.grants.store().clone(), policy).map_err(|error| error.kind())
    };
    for good in [s(1), PUSH_LIFETIME_MAX] {
        let pushed = check(good).unwrap().push(CLIENT, PARAMETERS).wait().unwrap();
        assert_eq!(pushed.expires_in, good);
    }
    for bad in [s(0), s(5) + MS, PUSH_LIFETIME_MAX + s(1)] {
        assert_eq!(check(bad).map(drop), Err(ErrorKind::Lifetime));
    }
}

// Goal: P9, the parameters are sealed at rest under the reference alone, are gone once taken, and
// are never printed. Method: the row before and after, opened with the right and a wrong text; the
// Debug output.
#[test]
fn pushed_parameters_are_sealed_and_forgotten() {
    let world = World::new();
    let pushed = world.push();
    let store = world.grants.store();
    let row = || store.find::<Code>(minted(&pushed).as_bytes()).wait().unwrap().unwrap().record;
    let sealed = row().payload.unwrap();
    assert!(matches!(sealed, Payload::Sealed { .. }));
    assert_eq!(sealed.open(&store.keyring(), minted(&pushed).as_bytes()).unwrap(), PARAMETERS);
    let wrong = sealed.open(&store.keyring(), pushed.request_uri.expose().as_bytes());
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Corrupt);
    let before = format!("{pushed:?} {:?}", row());
    let answer = world.take(&pushed);
    assert!(row().payload.is_none());
    let printed = format!("{before} {answer:?} {:?}", row());
    let bytes = format!("{PARAMETERS:?}").replace(['[', ']'], "");
    assert!(printed.contains("Secret") && printed.contains(CLIENT));
    assert!(!printed.contains(minted(&pushed)) && !printed.contains(&bytes));
}

// Goal: P6, what a client pushed before it was revoked is worth nothing, what it pushes after is.
// Method: revoke another client, this one, and push again.
#[test]
fn a_revoked_clients_push_is_revoked() {
    let world = World::new();
    let pushed = world.push();
    world.grants.revoke_client("client-2").wait().unwrap();
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    taken(world.take(&pushed));
    let pushed = world.push();
    world.grants.revoke_client(CLIENT).wait().unwrap();
    assert!(matches!(world.take(&pushed), Taken::Revoked));
    taken(world.take(&world.push()));
}

// Goal: P3, of any number of racers one takes what was pushed. Method: 32 threads, 20 times.
#[test]
fn one_racer_takes_a_pushed_request() {
    for _ in 0..20 {
        let world = World::new();
        let pushed = world.push();
        let answers = race_of(32, || world.take(&pushed));
        let count = |is: fn(&Taken) -> bool| answers.iter().filter(|answer| is(answer)).count();
        assert_eq!(count(|answer| matches!(answer, Taken::Request(_))), 1);
        assert_eq!(count(|answer| matches!(answer, Taken::Used)), 31);
    }
}

// Goal: P3, P6, what overtakes a taking is not missed by it, and a lost answer gives nothing twice.
// Method: take it, or revoke the client, between decision and commit, also of a push, which is then
// from after; lose an answer.
#[test]
fn a_taking_overtaken_gives_nothing() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let grants = Interposed::grants(clock, Policy::default());
    let push = || grants.push(CLIENT, PARAMETERS).wait().unwrap();
    let take = |pushed: &Pushed| grants.take_pushed(pushed.request_uri.expose(), CLIENT).wait();
    let pushed = push();
    let (same, uri) = (grants.clone(), pushed.request_uri.expose().to_owned());
    grants.store().backend().before_commit(move || {
        taken(same.take_pushed(&uri, CLIENT).wait().unwrap());
    });
    assert!(matches!(take(&pushed).unwrap(), Taken::Used));
    let pushed = push();
    let same = grants.clone();
    let revoke = move || same.revoke_client(CLIENT).wait().unwrap();
    grants.store().backend().before_commit(revoke);
    assert!(matches!(take(&pushed).unwrap(), Taken::Revoked));
    let same = grants.clone();
    let revoke = move || same.revoke_client(CLIENT).wait().unwrap();
    grants.store().backend().before_commit(revoke);
    let pushed = push();
    assert_eq!(taken(take(&pushed).unwrap()), PARAMETERS);
    let pushed = push();
    grants.store().backend().lose_answer();
    assert_eq!(take(&pushed).unwrap_err().kind(), ErrorKind::Unknown);
    assert!(matches!(take(&pushed).unwrap(), Taken::Used));
}

// Goal: P1, P2, P9, on disk: what was pushed is taken after a reopen, also under a rotated keyring,
// what was taken stays used, and no file holds a parameter or a reference. Method: one step per
// open, then a search of the files.
#[test]
fn pushed_requests_survive_reopening() {
    let disk = OnDisk::new();
    let push = |grants: &Grants<_>| grants.push(CLIENT, PARAMETERS).wait().unwrap();
    let take = |grants: &Grants<_>, pushed: &Pushed| {
        grants.take_pushed(pushed.request_uri.expose(), CLIENT).wait().unwrap()
    };
    let (first, second) = disk.open(|grants| (push(grants), push(grants)));
    disk.open(|grants| {
        grants.store().rotate_keyring().wait().unwrap();
        assert_eq!(taken(take(grants, &first)), PARAMETERS);
    });
    disk.open(|grants| {
        assert!(matches!(take(grants, &first), Taken::Used));
        assert_eq!(taken(take(grants, &second)), PARAMETERS);
    });
    assert!(disk.holds(CLIENT), "the search finds what is there");
    for secret in [&minted(&first)[..20], &minted(&second)[..20], "af0ifjsldkj", "read%20write"] {
        assert!(!disk.holds(secret));
    }
}
