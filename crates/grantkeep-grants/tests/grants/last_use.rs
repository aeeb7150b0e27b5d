//! When personal access tokens were last used.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{LastUse, ManualClock, Record as _, Store, Wait};
use grantkeep_grants::{
    Grant, Grants, Minter, MinterError, Minting, NewPersonal, PersonalIssued, Policy,
};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

fn made(world: &World) -> PersonalIssued {
    world.grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap()
}

fn last_used(world: &World) -> Option<SystemTime> {
    let listed = world.grants.personal_of(SUBJECT, None, 10).wait().unwrap();
    listed.items.first().unwrap().last_used_at
}

fn rows(world: &World) -> u64 {
    world.grants.store().stats().rows_of(LastUse::KIND)
}

fn commits(world: &World) -> u64 {
    world.grants.store().stats().commits
}

// Goal: a use is known at once, and no request writes. Method: introspect a thousand times, count
// the batches that the store applied.
#[test]
fn uses_are_known_at_once_and_write_nothing() {
    let world = World::new();
    let token = made(&world);
    assert_eq!(last_used(&world), None);
    let before = commits(&world);
    for _ in 0..1_000 {
        world.clock.advance(s(1));
        assert!(world.is_active(token.token.expose()));
        assert_eq!(last_used(&world), Some(world.now()));
    }
    assert_eq!((commits(&world), rows(&world)), (before, 0));
}

// Goal: uses are written along with what is issued anyway, in the same batch, and not again before
// the resolution has passed. Method: a use, a grant, more uses within the minute, after it.
#[test]
fn uses_are_written_along_with_grants() {
    let world = World::new();
    let token = made(&world);
    assert!(world.is_active(token.token.expose()));
    let before = commits(&world);
    world.code();
    assert_eq!((commits(&world), rows(&world)), (before + 1, 1));
    let written = world.now();
    // Another process would see what was written.
    let restarted = || {
        let grants = world.with(Policy::default());
        let listed = grants.personal_of(SUBJECT, None, 10).wait().unwrap();
        listed.items.first().unwrap().last_used_at
    };
    assert_eq!(restarted(), Some(written));
    world.clock.advance(s(59));
    assert!(world.is_active(token.token.expose()));
    world.code();
    assert_eq!(restarted(), Some(written), "within the resolution");
    world.clock.advance(s(1));
    assert!(world.is_active(token.token.expose()));
    world.grants.revoke_subject("somebody else").wait().unwrap();
    assert_eq!(restarted(), Some(written), "a revocation carries nothing");
    world.code();
    assert_eq!(restarted(), Some(world.now()));
}

// Goal: a server that stops loses no use, whatever their number. Method: use 100 tokens, write,
// reopen the store on disk.
#[test]
fn uses_are_written_before_a_stop() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let open = || {
        let store = Store::options().clock(clock.clone()).open(place.path().join("store"));
        Grants::new(store.unwrap(), Policy::default()).unwrap()
    };
    let grants = open();
    for number in 0..100 {
        let name = format!("token {number}");
        let new = NewPersonal::new(SUBJECT, &name);
        let made = grants.create_personal(new).wait().unwrap();
        if number % 2 == 0 {
            grants.introspect(made.token.expose()).wait().unwrap();
        }
    }
    // One in two of them, less those that went along with the next token.
    let left = grants.write_last_uses().wait().unwrap();
    assert!(left <= 50, "{left}");
    assert_eq!(grants.write_last_uses().wait().unwrap(), 0);
    grants.store().close().unwrap();
    let listed = open().personal_of(SUBJECT, None, 1_000).wait().unwrap();
    let used = listed.items.iter().filter(|item| item.last_used_at.is_some()).count();
    assert_eq!((listed.items.len(), used), (100, 50));
}

// Goal: P2, a use that is written meets no revocation: neither undoes the other. Method: use,
// revoke, issue, and the same with the token expired meanwhile.
#[test]
fn a_use_does_not_undo_a_revocation() {
    let world = World::new();
    let token = made(&world);
    assert!(world.is_active(token.token.expose()));
    world.grants.revoke_personal(SUBJECT, token.id).wait().unwrap();
    world.code();
    assert!(!world.is_active(token.token.expose()));
    let short = NewPersonal::new(SUBJECT, "short").lifetime(s(5));
    let token = world.grants.create_personal(short).wait().unwrap();
    assert!(world.is_active(token.token.expose()));
    let rows_before = rows(&world);
    world.clock.advance(s(5));
    world.code();
    assert_eq!(rows(&world), rows_before, "a dead token's use is not written");
    assert_eq!(world.grants.write_last_uses().wait().unwrap(), 0);
}

/// Takes its time, and leaves the text to the policy.
#[derive(Debug)]
struct Slow(Arc<ManualClock>);

impl Minter for Slow {
    fn mint(&self, _: &Minting<'_>) -> Result<Option<String>, MinterError> {
        self.0.advance(MS);
        Ok(None)
    }
}

// Goal: the use of a token that lives until it is revoked goes along with a grant, however long the
// grant takes to make. Method: a millisecond between the change and the use that goes along.
#[test]
fn a_use_of_a_token_without_expiry_refuses_no_grant() {
    let policy = Policy { personal_without_expiry: true, ..Policy::default() };
    let mut world = World::under(policy);
    let new = NewPersonal::new(SUBJECT, "laptop").without_expiry();
    let token = world.grants.create_personal(new).wait().unwrap();
    assert!(world.is_active(token.token.expose()));
    world.grants = world.grants.clone().with_minter(Arc::new(Slow(world.clock.clone())));
    world.grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    assert_eq!(rows(&world), 1);
}

/// Uses a token once more before each of the next commits.
fn used_before_commits(
    grants: &Grants<Interposed>,
    clock: Arc<ManualClock>,
    token: String,
    n: u64,
) {
    let again = grants.clone();
    grants.store().backend().before_commit(move || {
        clock.advance(MS);
        again.introspect(&token).wait().unwrap();
        if n > 0 {
            used_before_commits(&again, clock, token, n - 1);
        }
    });
}

// Goal: writing the last uses ends, also of a token that is used all the time. Method: one more use
// before each commit.
#[test]
fn writing_uses_ends_while_tokens_are_used() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let grants = Interposed::grants(clock.clone(), Policy::default());
    let token = grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap();
    let token = token.token.expose().to_owned();
    grants.introspect(&token).wait().unwrap();
    used_before_commits(&grants, clock, token, 100);
    assert_eq!(grants.write_last_uses().wait().unwrap(), 1);
}
