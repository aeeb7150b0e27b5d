//! When personal access tokens were last used.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Clock as _, Embedded, LastUse, ManualClock, Record as _, Store, Wait};
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

// Goal: a server that stops loses no use, whatever their number. Method: use 50 of 100 tokens,
// write, reopen the store on disk; the same with a close alone.
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
    let grants = open();
    let listed = grants.personal_of(SUBJECT, None, 1_000).wait().unwrap();
    let used = listed.items.iter().filter(|item| item.last_used_at.is_some()).count();
    assert_eq!((listed.items.len(), used), (100, 50));

    clock.advance(s(1));
    let name = NewPersonal::new("bob", "token");
    let made = grants.create_personal(name).wait().unwrap();
    // Clones share what they note, and a close is that of all of them.
    grants.clone().introspect(made.token.expose()).wait().unwrap();
    grants.close().wait().unwrap();
    assert_eq!(grants.store().health().word(), "closed");
    grants.clone().close().wait().unwrap();
    let listed = open().personal_of("bob", None, 10).wait().unwrap();
    assert_eq!(listed.items[0].last_used_at, Some(UNIX_EPOCH + s(1_800_000_001)));
}

// Goal: a last use never goes back. Method: two grants over one store note uses an hour apart; the
// later one is written first; what each of them shows, and who knows the row alone.
#[test]
fn a_last_use_never_goes_back() {
    let world = World::new();
    let (one, two) = (world.with(Policy::default()), world.with(Policy::default()));
    let token = made(&world);
    let shown = |grants: &Grants<_>| {
        let listed = grants.personal_of(SUBJECT, None, 10).wait().unwrap();
        listed.items[0].last_used_at
    };
    one.introspect(token.token.expose()).wait().unwrap();
    world.clock.advance(s(3_600));
    let later = world.now();
    two.introspect(token.token.expose()).wait().unwrap();
    assert_eq!(two.write_last_uses().wait().unwrap(), 1);
    for grants in [&one, &two, &world.with(Policy::default())] {
        assert_eq!(shown(grants), Some(later));
    }
    assert_eq!(one.write_last_uses().wait().unwrap(), 0, "the row says more");
    assert_eq!(one.write_last_uses().wait().unwrap(), 0, "and that was noted");
    for grants in [&one, &two, &world.with(Policy::default())] {
        assert_eq!(shown(grants), Some(later));
    }
    world.clock.advance(s(60));
    one.introspect(token.token.expose()).wait().unwrap();
    assert_eq!(shown(&one), Some(world.now()));
    assert_eq!(one.write_last_uses().wait().unwrap(), 1);
    assert_eq!(shown(&two), Some(world.now()));
}

const DAY_S: u64 = 86_400;

/// Grants over a store on disk whose rows live so many days at most, and tokens as well.
fn opened(place: &std::path::Path, clock: &Arc<ManualClock>, days: u64) -> Grants<Embedded> {
    let longest = s(days * DAY_S);
    let options = Store::options().reserve_bytes(0).clock(clock.clone()).by_itself(false);
    let store = options.lifetime_max(longest).open(place.join("store")).unwrap();
    let policy = Policy {
        personal_without_expiry: true,
        personal_lifetime: longest,
        refresh_absolute: longest,
        refresh_idle: s(DAY_S),
        ..Policy::default()
    };
    Grants::new(store, policy).unwrap()
}

// Goal: a last use lives as long as its token: for good where that lives until it is revoked, and
// as long as it was made for where the longest lifetime was shortened since. Method: three tokens
// over 300 days of a store that is reopened with a shorter longest lifetime: one used daily, one
// used once, one used once that is made to live for 280 days; then a sweep.
#[test]
fn a_last_use_lives_as_long_as_its_token() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let mut grants = opened(place.path(), &clock, 365);
    let make = |new: NewPersonal| grants.create_personal(new).wait().unwrap();
    let daily = make(NewPersonal::new(SUBJECT, "daily").without_expiry());
    let once = make(NewPersonal::new(SUBJECT, "once").without_expiry());
    let long = make(NewPersonal::new(SUBJECT, "long").lifetime(s(280 * DAY_S)));
    let begin = clock.wall();
    for day in 0..300 {
        grants.introspect(daily.token.expose()).wait().unwrap();
        if day == 10 {
            for token in [&once, &long] {
                grants.introspect(token.token.expose()).wait().unwrap();
            }
        }
        let used = clock.wall();
        if day % 20 == 0 {
            grants.close().wait().unwrap();
            grants = opened(place.path(), &clock, 90);
        } else {
            grants.write_last_uses().wait().unwrap();
        }
        clock.advance(s(DAY_S));
        grants.store().sweep(Budget::ALL).wait().unwrap();
        let listed = grants.personal_of(SUBJECT, None, 10).wait().unwrap().items;
        let shown = |id| listed.iter().find(|item| item.id == id).map(|item| item.last_used_at);
        assert_eq!(shown(daily.id), Some(Some(used)), "day {day}");
        let then = (day >= 10).then_some(begin + s(10 * DAY_S));
        assert_eq!(shown(once.id), Some(then), "day {day}");
        assert_eq!(shown(long.id), (day < 279).then_some(then), "day {day}");
    }
    for _ in 0..30 {
        clock.advance(s(DAY_S));
        grants.store().sweep(Budget::ALL).wait().unwrap();
    }
    let rows = grants.store().stats().rows_of(LastUse::KIND);
    assert_eq!(rows, 2, "that of a dead token is swept");
}

// Goal: P10, the last use of a token without expiry is swept with the token once that is revoked.
// Method: revoke one of two, let the store's longest lifetime pass, sweep.
#[test]
fn a_last_use_ends_with_a_revoked_token() {
    let policy = Policy { personal_without_expiry: true, ..Policy::default() };
    let world = World::under(policy);
    let make = |name| {
        let new = NewPersonal::new(SUBJECT, name).without_expiry();
        world.grants.create_personal(new).wait().unwrap()
    };
    let (kept, revoked) = (make("kept"), make("revoked"));
    for token in [&kept, &revoked] {
        assert!(world.is_active(token.token.expose()));
    }
    assert_eq!(world.grants.write_last_uses().wait().unwrap(), 2);
    let used = world.now();
    world.grants.revoke_personal(SUBJECT, revoked.id).wait().unwrap();
    assert_eq!(rows(&world), 2);
    world.clock.advance(world.grants.store().lifetime_max() + s(400 * DAY_S));
    world.grants.store().sweep(Budget::ALL).wait().unwrap();
    assert_eq!((rows(&world), last_used(&world)), (1, Some(used)));
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

/// Uses tokens once more before each of the next commits, past the resolution.
fn used_before_commits(
    grants: &Grants<Interposed>,
    clock: Arc<ManualClock>,
    tokens: Arc<Vec<String>>,
    n: u64,
) {
    let again = grants.clone();
    grants.store().backend().before_commit(move || {
        clock.advance(s(60));
        for token in &*tokens {
            again.introspect(token).wait().unwrap();
        }
        if n > 0 {
            used_before_commits(&again, clock, tokens, n - 1);
        }
    });
}

// Goal: writing the last uses ends, and writes each once, also of tokens that are used all the
// time. Method: one token, and 200; all are used once more before each commit.
#[test]
fn each_use_is_written_once_while_tokens_are_used() {
    for count in [1, 200] {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
        let grants = Interposed::grants(clock.clone(), Policy::default());
        let make = |_| grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap();
        let made: Vec<String> =
            (0..count).map(make).map(|made| made.token.expose().to_owned()).collect();
        for token in &made {
            grants.introspect(token).wait().unwrap();
        }
        used_before_commits(&grants, clock, Arc::new(made), 1_000);
        assert_eq!(grants.write_last_uses().wait().unwrap(), count);
        let uses = grants.store().stats().rows_of(LastUse::KIND);
        assert_eq!(uses, count);
    }
}
