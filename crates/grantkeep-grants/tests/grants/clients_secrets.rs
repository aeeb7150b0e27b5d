//! Secrets of clients: compared, rolled over, and digested anew.

use crate::clients::{created, new_client};
use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{ErrorKind, Keyring, ManualClock, Memory, SecretDigest, Wait};
use grantkeep_grants::{Authenticated, Events, Grants, NewClient, NewSecret, Policy, SecretId};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

// Goal: P4, only a client's own secret authenticates it, and every refusal is the same one. Method:
// each way to be wrong, for a confidential, a public, and a disabled client.
#[test]
fn only_its_own_secret_authenticates_a_client() {
    let world = World::new();
    let secret = world.register(new_client("app-1")).secret.unwrap();
    let other = world.register(new_client("app-2")).secret.unwrap();
    world.register(NewClient::public("spa"));
    let text = secret.expose();
    assert!(world.authenticates("app-1", Some(text)));
    // An empty parameter counts as omitted (RFC 6749 section 3.1).
    assert!(world.authenticates("spa", None) && world.authenticates("spa", Some("")));
    let (cut, longer) = (&text[..text.len() - 1], format!("{text}x"));
    for (id, secret) in [
        ("app-1", None),
        ("app-1", Some("")),
        ("app-1", Some(cut)),
        ("app-1", Some(&longer)),
        ("app-1", Some(other.expose())),
        ("app-1", Some(&"\0".repeat(16))),
        ("app-1", Some(&"x".repeat(8_193))),
        ("app-2", Some(text)),
        ("spa", Some(text)),
        ("nobody", Some(text)),
        ("nobody", None),
        ("nobody", Some("")),
        ("", None),
    ] {
        assert!(!world.authenticates(id, secret), "{id}");
    }
    for id in ["app-1", "spa"] {
        world.grants.disable_client(id).wait().unwrap();
    }
    assert!(!world.authenticates("app-1", Some(text)) && !world.authenticates("spa", None));
    assert!(!world.authenticates("spa", Some("")));
    world.grants.enable_client("app-1").wait().unwrap();
    assert!(world.authenticates("app-1", Some(text)));
}

// Goal: secrets are rolled over without a gap. Method: add one beside the first, use both, remove
// the first; one that expires, to the millisecond, and makes room.
#[test]
fn secrets_are_rolled_over() {
    let world = World::new();
    let grants = &world.grants;
    let made = world.register(new_client("app-1"));
    let (first, id) = (made.secret.unwrap(), made.client.secrets[0].id);
    let second = grants.add_client_secret("app-1", NewSecret::minted()).wait().unwrap().unwrap();
    let text = second.secret.unwrap();
    assert!(world.authenticates("app-1", Some(first.expose())));
    assert!(world.authenticates("app-1", Some(text.expose())));
    grants.remove_client_secret("app-1", id).wait().unwrap();
    grants.remove_client_secret("app-1", id).wait().unwrap();
    grants.remove_client_secret("app-9", id).wait().unwrap();
    assert!(!world.authenticates("app-1", Some(first.expose())));
    assert!(world.authenticates("app-1", Some(text.expose())));
    assert_eq!(world.client("app-1").unwrap().secrets[0].id, second.id);

    let brought = "a secret brought along";
    let short = NewSecret::brought(brought).lifetime(s(60));
    assert!(grants.add_client_secret("app-1", short).wait().unwrap().unwrap().secret.is_none());
    let listed = world.client("app-1").unwrap().secrets;
    let expires = listed.iter().map(|secret| secret.expires_at).collect::<Vec<_>>();
    assert_eq!(expires, [None, Some(world.now() + s(60))]);
    world.clock.advance(s(60) - MS);
    assert!(world.authenticates("app-1", Some(brought)));
    world.clock.advance(MS);
    assert!(!world.authenticates("app-1", Some(brought)));
    grants.add_client_secret("app-1", NewSecret::minted()).wait().unwrap();
    assert_eq!(world.client("app-1").unwrap().secrets.len(), 2, "the expired one made room");
    for lifetime in [s(0), s(1) + MS, s(101 * 365 * DAY_S)] {
        let bad = NewSecret::minted().lifetime(lifetime);
        let error = grants.add_client_secret("app-1", bad).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lifetime);
    }
    assert_eq!(second.id.to_string().parse::<SecretId>().unwrap(), second.id);
    assert!("xyz".parse::<SecretId>().is_err());
}

// Goal: two rotations of one client's secret that meet are both kept. Method: add one between the
// other's decision and its commit; eight threads at once.
#[test]
fn rotations_that_meet_are_both_kept() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let stage = Interposed::grants(clock, Policy::default());
    created(stage.create_client(new_client("app-1")).wait().unwrap());
    let same = stage.clone();
    let add = |grants: &Grants<Interposed>| {
        let added = grants.add_client_secret("app-1", NewSecret::minted()).wait().unwrap();
        added.unwrap().secret.unwrap()
    };
    let (send, meanwhile) = std::sync::mpsc::channel();
    stage.store().backend().before_commit(move || send.send(add(&same)).unwrap());
    let late = add(&stage);
    for secret in [late, meanwhile.recv().unwrap()] {
        let bytes = Some(secret.expose().as_bytes());
        let answer = stage.authenticate_client("app-1", bytes).wait().unwrap();
        assert!(matches!(answer, Authenticated::Client(_)));
    }

    let world = World::new();
    world.register(new_client("app-1"));
    let secrets: Vec<_> = std::thread::scope(|scope| {
        let add = || {
            let added = world.grants.add_client_secret("app-1", NewSecret::minted()).wait();
            added.unwrap().unwrap().secret.unwrap()
        };
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(add)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(world.client("app-1").unwrap().secrets.len(), 9);
    assert!(secrets.iter().all(|secret| world.authenticates("app-1", Some(secret.expose()))));
}

// Goal: retiring a root key locks no client out that was seen under the next one. Method: register
// two under key 1, see one of them under keys 1 and 2, then open with key 2 alone.
#[test]
fn secrets_outlive_their_root_key_once_seen() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let memory = Arc::new(Memory::with_clock(clock));
    let open = |keys: &[(u32, [u8; 32])]| {
        let keyring = Keyring::from_keys(keys.iter().copied()).unwrap();
        Grants::new(Interposed::store(&memory, keyring).unwrap(), Policy::default()).unwrap()
    };
    let is_client = |grants: &Grants<Interposed>, id: &str, secret: &str| {
        let answer = grants.authenticate_client(id, Some(secret.as_bytes())).wait().unwrap();
        matches!(answer, Authenticated::Client(_))
    };
    let commits = || {
        use grantkeep::backend::Backend as _;
        memory.stats().commits
    };
    let (first, second) = ((1, [1; 32]), (2, [2; 32]));
    let grants = open(&[first]);
    let [seen, unseen] = ["seen", "unseen"]
        .map(|id| created(grants.create_client(new_client(id)).wait().unwrap()).secret.unwrap());

    let grants = open(&[first, second]);
    assert!(!is_client(&grants, "seen", unseen.expose()));
    let before = commits();
    assert!(is_client(&grants, "seen", seen.expose()));
    assert_eq!(commits(), before + 1, "digested anew");
    assert!(is_client(&grants, "seen", seen.expose()));
    assert_eq!(commits(), before + 1, "once");

    let grants = open(&[second]);
    assert!(is_client(&grants, "seen", seen.expose()));
    assert!(!is_client(&grants, "unseen", unseen.expose()));
}

// Goal: digesting anew undoes no change that it meets. Method: remove the secret, and disable the
// client, between decision and commit.
#[test]
fn digesting_anew_loses_every_race() {
    for disable in [false, true] {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
        let memory = Arc::new(Memory::with_clock(clock));
        let open = |keys: &[(u32, [u8; 32])]| {
            let keyring = Keyring::from_keys(keys.iter().copied()).unwrap();
            Grants::new(Interposed::store(&memory, keyring).unwrap(), Policy::default()).unwrap()
        };
        let grants = open(&[(1, [1; 32])]);
        let made = created(grants.create_client(new_client("app-1")).wait().unwrap());
        let (secret, id) = (made.secret.unwrap(), made.client.secrets[0].id);
        let grants = open(&[(1, [1; 32]), (2, [2; 32])]);
        let same = grants.clone();
        grants.store().backend().before_commit(move || {
            if disable {
                same.disable_client("app-1").wait().unwrap();
            } else {
                same.remove_client_secret("app-1", id).wait().unwrap();
            }
        });
        let check = || {
            let answer = grants.authenticate_client("app-1", Some(secret.expose().as_bytes()));
            matches!(answer.wait().unwrap(), Authenticated::Client(_))
        };
        assert!(check(), "decided before");
        assert!(!check());
        let client = grants.client("app-1").wait().unwrap().unwrap();
        assert_eq!((!client.is_enabled(), client.secrets.len()), (disable, disable.into()));
    }
}

// Goal: P9, nothing printed of a client holds a secret or its digest. Method: print every type that
// was near one, the stored record among them, and search.
#[test]
fn nothing_printed_of_a_client_holds_a_secret() {
    let world = World::new();
    let brought = "a secret brought along";
    let new = new_client("app-1").secret(brought);
    let added = NewSecret::brought(brought);
    let mut printed = format!("{new:?} {added:?}");
    write!(printed, "{:?}", world.register(new)).unwrap();
    let minted = world.register(new_client("app-2"));
    write!(printed, "{minted:?}").unwrap();
    let secret = minted.secret.unwrap();
    let added = world.grants.add_client_secret("app-2", added).wait().unwrap();
    let answer = world.grants.authenticate_client("app-1", Some(brought.as_bytes())).wait();
    let record = world.grants.store().client("app-1").wait().unwrap().unwrap();
    let SecretDigest::Keyed { digest, .. } = record.record.secrets[0].digest else {
        panic!("it was digested here");
    };
    write!(printed, "{added:?} {answer:?} {record:?} {:?}", world.client("app-2")).unwrap();
    let error = world.grants.create_client(NewClient::public("x").secret(brought)).wait();
    write!(printed, "{error:?}").unwrap();
    assert!(printed.contains("app-1") && printed.contains("Secret"));
    for hidden in [brought, secret.expose(), &format!("{digest:?}")] {
        assert!(!printed.contains(hidden), "{hidden}");
    }
}

// Goal: a server that limits guesses looks at further ones at little cost: a refusal by
// `recognize_client` is no event, and one by `authenticate_client` is. Method: a wrong secret for
// each, and the right one.
#[test]
fn a_client_that_is_not_recognized_is_no_event() {
    let mut world = World::new();
    let events = Events::new();
    world.grants = world.grants.clone().with_events(events.clone());
    let mut told = events.subscribe(10);
    let secret = world.register(new_client("app-1")).secret.unwrap();
    let (right, wrong) =
        (Some(secret.expose().as_bytes()), Some(&b"another secret, a wrong one"[..]));
    let recognized = |secret| world.grants.recognize_client("app-1", secret).wait().unwrap();
    assert!(matches!(recognized(wrong), Authenticated::Refused));
    assert!(matches!(recognized(right), Authenticated::Client(_)));
    assert!(told.try_next().is_none());
    let refused = world.grants.authenticate_client("app-1", wrong).wait().unwrap();
    assert!(matches!(refused, Authenticated::Refused));
    assert_eq!(told.try_next().unwrap().name(), "client_refused");
}
