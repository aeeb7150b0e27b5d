//! Clients that come with secrets as another server hashed them.

use crate::transfer_in::{import, line};
use crate::world::*;
use futures_util::FutureExt as _;
use grantkeep::{SecretDigest, Wait as _};
use grantkeep_grants::Authenticated;

const ARGON2: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
    CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
const PBKDF2: &str = "$pbkdf2-sha256$i=4096,l=32$c2FsdFNBTFRzYWx0U0FMVHNhbHRTQUxUc2FsdFNBTFRzYWx0$\
    NIyJ28vTKy8y2BS4EW6EzysXNH68GAAYHE4qH7jdU+E";
const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

fn arrived() -> World {
    let world = World::new();
    let client = |id: &str, hashes: &[&str]| {
        let secrets: Vec<_> = hashes.iter().map(|hash| format!(r#"{{"hash":"{hash}"}}"#)).collect();
        let secrets = secrets.join(",");
        format!(r#"{{"kind":"client","id":"{id}","confidential":true,"secrets":[{secrets}]}}"#)
    };
    let lines = [
        client("argon2", &[ARGON2]),
        client("pbkdf2", &[PBKDF2]),
        client("bcrypt", &[BCRYPT]),
        client("all", &[ARGON2, PBKDF2, BCRYPT]),
    ];
    assert_eq!(import(&world.grants, &lines.join("\n")).unwrap().clients, 4);
    world
}

fn is_client(world: &World, id: &str, secret: &str) -> bool {
    let answer = world.grants.authenticate_client(id, Some(secret.as_bytes())).wait().unwrap();
    matches!(answer, Authenticated::Client(_))
}

/// How many secrets of a client nobody has seen here.
fn unseen(world: &World, id: &str) -> usize {
    let held = world.grants.store().client(id).wait().unwrap().unwrap();
    let secrets = held.record.secrets.iter();
    secrets.filter(|it| matches!(it.digest, SecretDigest::Foreign(_))).count()
}

// Goal: RFC 6749 section 2.3.1, a secret that another server hashed is verified once, and is then
// digested as any other; no other secret is accepted. Method: each kind of hash with the right
// secret and wrong ones, before and after; the stored record.
#[test]
fn a_hashed_secret_is_verified_once() {
    let world = arrived();
    let pbkdf2 = "passwordPASSWORDpassword";
    for (id, secret) in [("argon2", "password"), ("pbkdf2", pbkdf2), ("bcrypt", "U*U")] {
        for wrong in ["", "password ", "another secret"] {
            assert!(!is_client(&world, id, wrong), "{id}: {wrong}");
        }
        assert_eq!(unseen(&world, id), 1);
        assert!(is_client(&world, id, secret), "{id}");
        assert_eq!(unseen(&world, id), 0, "it is digested anew");
        assert!(is_client(&world, id, secret) && !is_client(&world, id, "password "));
    }
    assert!(is_client(&world, "all", "U*U") && is_client(&world, "all", "password"));
    assert_eq!(unseen(&world, "all"), 1);
    assert!(!is_client(&world, "nobody", "password"));
    world.grants.disable_client("all").wait().unwrap();
    assert!(!is_client(&world, "all", pbkdf2), "a disabled client");
}

// Goal: the caller's executor is not held up by a hash, and the second time there is nothing to
// wait for. Method: one poll of an authentication before the secret was seen, and one after.
#[test]
fn a_hash_is_verified_off_the_callers_thread() {
    let world = arrived();
    let mut first = Box::pin(world.grants.authenticate_client("argon2", Some(b"password")));
    assert!(first.as_mut().now_or_never().is_none(), "it was verified on this thread");
    assert!(matches!(first.wait().unwrap(), Authenticated::Client(_)));
    let again = world.grants.authenticate_client("argon2", Some(b"password")).now_or_never();
    assert!(matches!(again.unwrap().unwrap(), Authenticated::Client(_)));
}

// Goal: a hash that asks for too much, or is none, is refused when it is imported, with the line
// and without the hash. Method: a line for each.
#[test]
fn hashes_are_capped_when_they_are_imported() {
    let world = World::new();
    for (hash, words) in [
        (ARGON2.replace("65536", "131073"), "131072 KiB"),
        (PBKDF2.replace("4096", "2000001"), "2000000"),
        (BCRYPT.replace("$05$", "$15$"), "a cost that is not 4 to 14"),
        ("plain".to_owned(), "no hash that is known"),
    ] {
        let line = format!(
            r#"{{"kind":"client","id":"c","confidential":true,"secrets":[{{"hash":"{hash}"}}]}}"#
        );
        let told = import(&world.grants, &line).unwrap_err().to_string();
        assert!(told.starts_with("line 1 of the import: the hash of a secret"), "{told}");
        assert!(told.contains(words), "{told}");
        assert!(world.grants.client("c").wait().unwrap().is_none());
    }
    let five = [BCRYPT; 5].map(|hash| format!(r#"{{"hash":"{hash}"}}"#)).join(",");
    let line = format!(r#"{{"kind":"client","id":"c","confidential":true,"secrets":[{five}]}}"#);
    assert!(import(&world.grants, &line).unwrap_err().to_string().contains("limit of 4"));
}

// Goal: a secret that was imported ends when it says, is listed, and is removed as any other.
// Method: one with an end, to the millisecond, and one that is removed before it was seen.
#[test]
fn hashed_secrets_end_and_are_removed() {
    let world = World::new();
    let secret = format!(r#"{{"hash":"{BCRYPT}","expires_in":60}}"#);
    let lines = line("client", &format!(r#""id":"c","confidential":true,"secrets":[{secret}]"#));
    import(&world.grants, &format!("{lines}\n{}", lines.replace(r#""c""#, r#""d""#))).unwrap();
    world.clock.advance(s(60) - MS);
    assert!(is_client(&world, "c", "U*U"));
    world.clock.advance(MS);
    assert!(!is_client(&world, "c", "U*U") && !is_client(&world, "d", "U*U"));
    let secret = world.grants.client("d").wait().unwrap().unwrap().secrets[0].id;
    world.grants.remove_client_secret("d", secret).wait().unwrap();
    assert_eq!(unseen(&world, "d"), 0);
}
