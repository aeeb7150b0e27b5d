//! A bound on the families that a client has on behalf of a subject.

use crate::device::polled;
use crate::interposed::Interposed;
use crate::races::race_of;
use crate::world::*;
use grantkeep::{Clock as _, ErrorKind, Family, LEAP_HOLD, ManualClock};
use grantkeep::{FamilyState, RevocationReason};
use grantkeep::{PairFamilies, Record as _, Wait};
use grantkeep_grants::{
    Claimed, Completed, Completion, Event, Events, FAMILIES_PER_PAIR_MAX, Grant, Grants, Issued,
    Policy, RefreshRequest, Refreshed, Verified,
};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

fn bounded(families_per_pair_max: u32) -> Policy {
    Policy { families_per_pair_max, ..Policy::default() }
}

impl World {
    fn next_opened(&self) -> Issued {
        self.clock.advance(MS);
        self.grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap()
    }

    fn count_in_force(&self) -> usize {
        self.grants.families_of(SUBJECT, None, 1_000).wait().unwrap().items.len()
    }

    fn all_active(&self, pairs: &[Issued]) -> bool {
        pairs.iter().all(|pair| self.is_active(pair.access.expose()))
    }

    fn none_active(&self, pairs: &[Issued]) -> bool {
        pairs.iter().all(|pair| !self.is_active(pair.access.expose()))
    }
}

// Goal: P6, the oldest family of a pair ends in the batch that opens one too many, whichever way it
// is opened, and that is told. Method: a bound of 2; a code, a device, a claim, and no code at all;
// families of other pairs beside them.
#[test]
fn the_oldest_family_makes_room() {
    let mut world = World::under(bounded(2));
    let events = Events::new();
    world.grants = world.grants.clone().with_events(events.clone());
    let grant = |client, subject| world.grants.open(Grant::new(client, subject)).wait().unwrap();
    let others = [grant(CLIENT, "bob"), grant("client-2", SUBJECT)];
    let (code, device, claimed) = (world.code(), world.device(), world.code());
    assert_eq!(world.approve(&device), Verified::Done);
    let Claimed::Grant(claim) = world.grants.claim(claimed.expose()).wait().unwrap() else {
        panic!("not claimed")
    };
    let mut pairs = vec![world.next_opened(), world.next_opened()];
    let mut told = events.subscribe(100);
    let ways: [&dyn Fn() -> Issued; 4] = [
        &|| granted(world.redeem(&code)),
        &|| polled(world.poll(&device)),
        &|| {
            let completion = Completion::by(CLIENT);
            let answer = world.grants.complete(claim.family.unwrap(), &completion).wait().unwrap();
            let Completed::Granted(pair) = answer else { panic!("{answer:?}") };
            *pair
        },
        &|| world.next_opened(),
    ];
    world.clock.advance(s(5));
    for open in ways {
        let commits = world.grants.store().stats().commits;
        pairs.push(open());
        assert_eq!(world.grants.store().stats().commits, commits + 1, "one batch");
        let [gone, kept] = [&pairs[..pairs.len() - 2], &pairs[pairs.len() - 2..]];
        assert!(world.none_active(gone) && world.all_active(kept));
        let ended = gone.last().unwrap().family.unwrap();
        let told: Vec<Event> = std::iter::from_fn(|| told.try_next()).collect();
        let superseded = Event::FamilyRevoked {
            client: CLIENT.to_owned(),
            subject: SUBJECT.to_owned(),
            family: ended,
            reason: RevocationReason::Superseded,
        };
        assert!(told.len() == 2 && told.contains(&superseded), "{told:?}");
        let row = world.grants.store().get::<Family>(ended.digest()).wait().unwrap().unwrap();
        assert!(matches!(row.record.state, FamilyState::Revoked { .. }));
        let answer = world.refresh(refresh_of(gone.last().unwrap()));
        assert!(matches!(answer, Refreshed::Revoked), "{answer:?}");
    }
    assert!(world.all_active(&others), "each pair has its own");
}

// Goal: a bound costs one row for each pair, and nothing unless it is set; families that are over
// take no room. Method: count rows and commits; revoke one, let one expire, sign out of a session.
#[test]
fn only_families_in_force_count() {
    let world = World::new();
    world.next_opened();
    assert_eq!(world.grants.store().stats().rows_of(PairFamilies::KIND), 0, "it is not set");
    let world = World::under(bounded(3));
    let open = |grant: Grant<'_>| world.grants.open(grant).wait().unwrap();
    let revoked = world.next_opened();
    let expired = open(Grant::new(CLIENT, SUBJECT).absolute(s(60)));
    let session = open(Grant::new(CLIENT, SUBJECT).session("s1"));
    assert_eq!(world.grants.store().stats().rows_of(PairFamilies::KIND), 1);
    world.grants.revoke_family(revoked.family.unwrap()).wait().unwrap();
    world.clock.advance(s(60));
    world.grants.revoke_session("s1").wait().unwrap();
    let kept = [world.next_opened(), world.next_opened(), world.next_opened()];
    assert!(world.all_active(&kept));
    assert!(world.none_active(&[revoked, expired, session]));
    let more = world.next_opened();
    assert!(world.none_active(&kept[..1]) && world.all_active(&kept[1..]));
    assert!(world.is_active(more.access.expose()));
    assert_eq!(world.grants.store().stats().rows_of(PairFamilies::KIND), 1);
    world.grants.revoke_others(SUBJECT, more.family.unwrap()).wait().unwrap();
    let again = [world.next_opened(), world.next_opened()];
    assert!(world.all_active(&again) && world.is_active(more.access.expose()), "room for two");
}

// Goal: a bound that is set later, or made smaller, counts what was opened before: one opening ends
// 8 of them at most. Method: 20 families without a bound, then under one of 3; more than the row of
// a pair names.
#[test]
fn families_from_before_a_bound_count() {
    for (before, rounds) in [(20, [13, 6, 3, 3]), (150, [143, 136, 129, 122])] {
        let mut world = World::new();
        let pairs: Vec<Issued> = (0..before).map(|_| world.next_opened()).collect();
        world.grants = world.with(bounded(3));
        for left in rounds {
            let newest = world.next_opened();
            assert_eq!(world.count_in_force(), left);
            assert!(world.is_active(newest.access.expose()));
        }
        let ended = pairs.iter().filter(|pair| !world.is_active(pair.access.expose())).count();
        assert!(world.none_active(&pairs[..ended]), "the oldest first");
    }
}

// Goal: P3, racers open no more families than the bound. Method: 16 threads, 20 times, under bounds
// of 1 and 5.
#[test]
fn racers_open_no_more_than_the_bound() {
    for max in [1, 5] {
        for _ in 0..10 {
            let world = World::under(bounded(max));
            let grant = || world.grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
            let pairs = race_of(16, grant);
            let active = pairs.iter().filter(|pair| world.is_active(pair.access.expose()));
            assert_eq!(active.count(), usize::try_from(max).unwrap());
        }
    }
}

// Goal: P6, a family that rotates just before it makes room ends all the same. Method: rotate
// between the decision to open another and its commit.
#[test]
fn a_rotation_does_not_save_the_oldest() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let stage: Grants<Interposed> = Interposed::grants(clock, bounded(1));
    let open = || stage.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    let oldest = open();
    let (same, text) = (stage.clone(), refresh_of(&oldest).to_owned());
    stage.store().backend().before_commit(move || {
        let request = RefreshRequest::by(CLIENT);
        rotated(same.refresh(&text, &request).wait().unwrap());
    });
    let newest = open();
    let listed = stage.families_of(SUBJECT, None, 10).wait().unwrap().items;
    assert_eq!(listed.iter().map(|item| item.family).collect::<Vec<_>>(), [newest.family.unwrap()]);
}

// Goal: families of any size make room, since a batch holds 96 KiB. Method: the largest payload and
// facts, texts of 4,000 bytes, a bound of 1 over ten such.
#[test]
fn the_largest_families_make_room() {
    let mut world = World::new();
    let (payload, facts) = (vec![7; 16 * 1024], vec![8; 3 * 1024]);
    let (client, subject) = ("c".repeat(4_000), "s".repeat(4_000));
    let grant = || {
        let grant = Grant::new(&client, &subject).payload(&payload).sealed_facts(&facts);
        grant.label("l").scopes(["s".repeat(4_000)])
    };
    for _ in 0..10 {
        world.clock.advance(MS);
        world.grants.open(grant()).wait().unwrap();
    }
    world.grants = world.with(bounded(1));
    for _ in 0..12 {
        world.clock.advance(MS);
        world.grants.open(grant()).wait().unwrap();
    }
    assert!(world.grants.families_of(&subject, None, 100).wait().unwrap().items.len() < 11);
}

// Goal: P5, a leap of the clock that is taken back lets no family escape the bound: one that only
// the leap had ended counts still, and makes room before those that it had not. Method: a bound of
// 3, a leap of an hour over short families, two opened during it; a leap that holds, after which
// they are over.
#[test]
fn families_that_a_leap_ended_count_once_it_is_taken_back() {
    for holds in [false, true] {
        let world = World::under(bounded(3));
        let long = world.next_opened();
        world.clock.advance(MS);
        let short = || world.grants.open(Grant::new(CLIENT, SUBJECT).absolute(s(60))).wait();
        let short = [short().unwrap(), short().unwrap()];
        let before = world.clock.wall();
        world.clock.step_to(before + s(3_600));
        assert!(world.none_active(&short) && world.is_active(refresh_of(&long)));
        if holds {
            world.clock.advance(LEAP_HOLD);
            world.grants.store().now();
        }
        let during = [world.next_opened(), world.next_opened()];
        world.clock.step_to(before + s(1));
        assert!(world.none_active(&short));
        assert_eq!(world.count_in_force(), 3);
        assert!(world.is_active(refresh_of(&long)) && world.all_active(&during));
        let row = PairFamilies::row_id(SUBJECT, CLIENT);
        let row = world.grants.store().get::<PairFamilies>(row).wait().unwrap().unwrap();
        assert_eq!(row.record.families.len(), 3);
        world.next_opened();
        assert_eq!(world.count_in_force(), 3);
        assert!(!world.is_active(refresh_of(&long)), "now the oldest");
    }
}

// Goal: the bound has a limit, as the row of a pair has. Method: at it and one over.
#[test]
fn the_bound_on_families_has_a_limit() {
    let world = World::new();
    let store = world.grants.store();
    assert!(Grants::new(store.clone(), bounded(FAMILIES_PER_PAIR_MAX)).is_ok());
    let error = Grants::new(store.clone(), bounded(FAMILIES_PER_PAIR_MAX + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("families_per_pair_max is 101"), "{error}");
}
