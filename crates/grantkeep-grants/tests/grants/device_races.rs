//! Races over one device authorization, and what happens between a decision and its commit.

use crate::device::{ask, polled};
use crate::interposed::Interposed;
use crate::races::race_of;
use crate::world::*;
use grantkeep::{ErrorKind, ManualClock, Wait};
use grantkeep_grants::{
    DeviceApproval, DeviceIssued, Grants, Introspection, Policy, Polled, Presented, Verified,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

const RACERS: usize = 32;

// Goal: P3, of any number of decisions on one user code exactly one is done, and the device is told
// that one. Method: 32 threads, half of them approving as themselves, half refusing, 20 times.
#[test]
fn one_decision_on_a_user_code_is_done() {
    for _ in 0..20 {
        let world = World::new();
        let device = world.device();
        let order = AtomicUsize::new(0);
        let answers = race_of(RACERS, || {
            let number = order.fetch_add(1, Ordering::SeqCst);
            if number.is_multiple_of(2) {
                return (world.deny(&device), None);
            }
            let subject = format!("subject-{number}");
            let approval = DeviceApproval::by(&subject);
            let approved = world.grants.approve_device(device.user_code.expose(), &approval);
            (approved.wait().unwrap(), Some(subject))
        });
        let done: Vec<_> = answers.iter().filter(|(answer, _)| *answer == Verified::Done).collect();
        assert_eq!(done.len(), 1);
        let rest = answers.iter().filter(|(answer, _)| *answer == Verified::Unknown).count();
        assert_eq!(rest, RACERS - 1);
        match &done[0].1 {
            None => assert!(matches!(world.poll(&device), Polled::Denied)),
            Some(subject) => {
                assert_eq!(polled(world.poll(&device)).subject.as_ref(), Some(subject));
            }
        }
    }
}

// Goal: P3, of any number of polls of an approved device exactly one is granted, and the others
// revoke what it got. Method: 32 threads, 20 times.
#[test]
fn one_poll_is_granted() {
    for _ in 0..20 {
        let world = World::without_repeats();
        let device = world.device();
        world.approve(&device);
        let mut pairs = Vec::new();
        for answer in race_of(RACERS, || world.poll(&device)) {
            match answer {
                Polled::Granted(pair) => pairs.push(pair),
                Polled::Replayed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pairs.len(), 1);
        assert!(!world.is_active(pairs[0].access.expose()));
        assert!(!world.is_active(refresh_of(&pairs[0])));
    }
}

// Goal: of polls that come at once, one keeps the pace. Method: 32 threads on a pending device.
#[test]
fn one_of_many_polls_keeps_the_pace() {
    let world = World::new();
    let device = world.device();
    let answers = race_of(RACERS, || world.poll(&device));
    let count = |is: fn(&Polled) -> bool| answers.iter().filter(|answer| is(answer)).count();
    assert_eq!(count(|answer| matches!(answer, Polled::Pending)), 1);
    assert_eq!(count(|answer| matches!(answer, Polled::SlowDown)), RACERS - 1);
}

type Stage = Grants<Interposed>;

fn stage() -> Stage {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    Interposed::grants(clock, Policy { repeat_devices: false, ..Policy::default() })
}

/// Has `act` happen between the next decision on `stage` and its commit.
fn between(stage: &Stage, act: impl FnOnce(&Stage) + Send + 'static) {
    let same = stage.clone();
    stage.store().backend().before_commit(move || act(&same));
}

fn device(stage: &Stage) -> DeviceIssued {
    stage.device(ask()).wait().unwrap()
}

fn approve(stage: &Stage, user_code: &str) -> Verified {
    stage.approve_device(user_code, &DeviceApproval::by(SUBJECT)).wait().unwrap()
}

fn poll(stage: &Stage, device_code: &str) -> Polled {
    stage.poll_device(device_code, &Presented::by(CLIENT)).wait().unwrap()
}

// Goal: P2, P3, a decision that another one overtakes is not done, and a poll that another one
// overtakes is a replay. Method: refuse between decision and commit of an approval, and approve
// between those of a refusal; poll between those of a poll.
#[test]
fn device_decisions_overtaken_are_not_done() {
    let stage = stage();
    let first = device(&stage);
    let code = first.user_code.expose().to_owned();
    between(&stage, move |stage| {
        assert_eq!(stage.deny_device(&code).wait().unwrap(), Verified::Done);
    });
    assert_eq!(approve(&stage, first.user_code.expose()), Verified::Unknown);
    assert!(matches!(poll(&stage, first.device_code.expose()), Polled::Denied));

    let second = device(&stage);
    let code = second.user_code.expose().to_owned();
    between(&stage, move |stage| assert_eq!(approve(stage, &code), Verified::Done));
    let denied = stage.deny_device(second.user_code.expose()).wait().unwrap();
    assert_eq!(denied, Verified::Unknown);
    let code = second.device_code.expose().to_owned();
    between(&stage, move |stage| drop(polled(poll(stage, &code))));
    let answer = poll(&stage, second.device_code.expose());
    let Polled::Replayed { family } = answer else { panic!("{answer:?}") };
    let listed = stage.families_of(SUBJECT, None, 10).wait().unwrap();
    assert!(listed.items.iter().all(|item| item.family != family));
}

// Goal: P6, a revocation that overtakes a request, an approval, or a poll is not missed by it.
// Method: revoke between decision and commit of each; what is answered after it was decided again.
#[test]
fn device_decisions_overtaken_by_a_revocation() {
    let revoke_subject = |stage: &Stage| stage.revoke_subject(SUBJECT).wait().unwrap();
    let revoke_client = |stage: &Stage| stage.revoke_client(CLIENT).wait().unwrap();
    let stage = stage();
    between(&stage, revoke_client);
    let first = device(&stage);
    assert!(matches!(poll(&stage, first.device_code.expose()), Polled::Pending), "from after");
    between(&stage, revoke_client);
    assert_eq!(approve(&stage, first.user_code.expose()), Verified::Revoked);

    let second = device(&stage);
    between(&stage, revoke_subject);
    assert_eq!(approve(&stage, second.user_code.expose()), Verified::Done, "from after");
    between(&stage, revoke_subject);
    assert!(matches!(poll(&stage, second.device_code.expose()), Polled::Revoked));

    let third = device(&stage);
    approve(&stage, third.user_code.expose());
    let rows = stage.store().stats().rows_total();
    between(&stage, revoke_client);
    assert!(matches!(poll(&stage, third.device_code.expose()), Polled::Revoked));
    assert_eq!(stage.store().stats().rows_total(), rows, "nothing was issued");
}

// Goal: P3, a lost answer never gives twice: a decision is then unknown and stands, a grant is a
// replay. Method: lose the answer of each, and repeat it.
#[test]
fn a_lost_answer_about_a_device_is_safe_to_repeat() {
    let stage = stage();
    let lose = || stage.store().backend().lose_answer();
    let device = device(&stage);
    lose();
    let approval = DeviceApproval::by(SUBJECT);
    let lost = stage.approve_device(device.user_code.expose(), &approval).wait();
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unknown);
    assert_eq!(approve(&stage, device.user_code.expose()), Verified::Unknown);
    lose();
    let presented = Presented::by(CLIENT);
    let lost = stage.poll_device(device.device_code.expose(), &presented).wait();
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unknown);
    let answer = poll(&stage, device.device_code.expose());
    assert!(matches!(answer, Polled::Replayed { .. }));
    let listed = stage.families_of(SUBJECT, None, 10).wait().unwrap();
    assert!(listed.items.is_empty());
}

// Goal: P6, no grant slips past a revocation of its subject. Method: 32 threads poll devices of
// their own while one revokes; whatever is granted then is dead.
#[test]
fn no_device_is_granted_past_a_revocation() {
    for _ in 0..10 {
        let world = World::new();
        let devices: Vec<_> = (0..RACERS).map(|_| world.device()).collect();
        for device in &devices {
            assert_eq!(world.approve(device), Verified::Done);
        }
        let order = AtomicUsize::new(0);
        let pairs = race_of(RACERS, || {
            let number = order.fetch_add(1, Ordering::SeqCst);
            if number == RACERS / 2 {
                world.grants.revoke_subject(SUBJECT).wait().unwrap();
                return None;
            }
            match world.poll(&devices[number]) {
                Polled::Granted(pair) => Some(pair),
                Polled::Revoked => None,
                other => panic!("{other:?}"),
            }
        });
        for pair in pairs.into_iter().flatten() {
            let answer = world.grants.introspect(pair.access.expose()).wait().unwrap();
            assert!(matches!(answer, Introspection::Inactive));
        }
    }
}
