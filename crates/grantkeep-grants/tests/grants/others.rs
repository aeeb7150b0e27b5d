//! Signing out everywhere else: all families of a subject but one.

use crate::device::polled;
use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{Epoch, FamilyId, ManualClock, Record as _, Wait};
use grantkeep_grants::{
    ClientCredentials, Event, Events, Grant, Grants, Introspection, Issued, NewPersonal,
    OthersRevoked, Policy, Polled, Redeemed, RefreshRequest, Refreshed, Verified,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::UNIX_EPOCH;

/// One way in which a family ends.
type Way<'a> = dyn Fn(&World, FamilyId) + 'a;

impl World {
    fn open(&self, client: &str) -> Issued {
        self.grants.open(Grant::new(client, SUBJECT)).wait().unwrap()
    }

    fn revoke_others(&self, keep: FamilyId) -> OthersRevoked {
        self.grants.revoke_others(SUBJECT, keep).wait().unwrap()
    }

    fn lives(&self, pair: &Issued) -> bool {
        let each = [pair.access.expose(), refresh_of(pair)].map(|token| self.is_active(token));
        assert_eq!(each[0], each[1], "a family is in force as a whole");
        each[0]
    }
}

// Goal: P6, all families of a subject end but one, in one write, with the codes and approved
// devices that another could be opened with; the kept one stays with the access tokens that it has,
// and personal tokens stay. Method: one of each, before and after; each again; then another is
// kept.
#[test]
fn the_others_go_and_one_stays() {
    let mut world = World::new();
    let events = Events::new();
    world.grants = world.grants.clone().with_events(events.clone());
    let (kept, others) = (world.open(CLIENT), [world.open(CLIENT), world.open("client-2")]);
    let bobs = world.grants.open(Grant::new(CLIENT, "bob")).wait().unwrap();
    let (code, approved, pending) = (world.code(), world.device(), world.device());
    assert_eq!(world.approve(&approved), Verified::Done);
    let request = ClientCredentials::new(CLIENT);
    let own = world.grants.client_credentials(request.clone()).wait().unwrap();
    let on_behalf = world.grants.client_credentials(request.subject(SUBJECT)).wait().unwrap();
    let new = NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
    let personal = world.grants.create_personal(new).wait().unwrap();
    let mut told = events.subscribe(10);
    let commits = world.grants.store().stats().commits;
    assert_eq!(world.revoke_others(kept.family.unwrap()), OthersRevoked::Kept);
    assert_eq!(world.grants.store().stats().commits, commits + 1, "one write");
    let (subject, family) = (SUBJECT.to_owned(), kept.family);
    assert_eq!(told.try_next(), Some(Event::OthersRevoked { subject, family }));

    assert!(world.lives(&kept) && world.lives(&bobs) && world.is_active(own.access.expose()));
    assert!(world.is_active(personal.token.expose()), "its owner revokes it by hand");
    assert!(!world.is_active(on_behalf.access.expose()));
    for other in &others {
        assert!(!world.lives(other));
        let request =
            RefreshRequest::by(if other.family == others[0].family { CLIENT } else { "client-2" });
        let answer = world.grants.refresh(refresh_of(other), &request).wait().unwrap();
        assert!(matches!(answer, Refreshed::Revoked), "{answer:?}");
    }
    assert!(matches!(world.redeem(&code), Redeemed::Revoked));
    world.clock.advance(s(5));
    assert!(matches!(world.poll(&approved), Polled::Revoked));
    let listed = world.grants.families_of(SUBJECT, None, 10).wait().unwrap().items;
    assert_eq!(listed.iter().map(|item| item.family).collect::<Vec<_>>(), [kept.family.unwrap()]);

    // The kept one goes on, and so does whatever is opened from now on.
    let next = rotated(world.refresh(refresh_of(&kept)));
    assert_eq!(world.approve(&pending), Verified::Done);
    let later = polled(world.poll(&pending));
    assert!(world.lives(&next) && world.lives(&later) && world.is_active(kept.access.expose()));
    assert_eq!(world.revoke_others(later.family.unwrap()), OthersRevoked::Kept);
    assert!(!world.lives(&next) && world.lives(&later));
    world.grants.revoke_subject(SUBJECT).wait().unwrap();
    assert!(!world.lives(&later) && !world.is_active(personal.token.expose()));
    let last = world.open(CLIENT);
    assert_eq!(world.revoke_others(last.family.unwrap()), OthersRevoked::Kept);
    assert!(world.lives(&last) && world.lives(&world.open(CLIENT)));
}

// Goal: P2, a family that has ended is not kept, whatever ended it, and neither is another
// subject's: the others end, and nothing is in force again. Method: each way to end; then keep it.
#[test]
fn what_has_ended_is_not_kept() {
    let pair = |grants: &Grants<_>| grants.revoke_pair(SUBJECT, CLIENT).wait().unwrap();
    let ways: [(&str, &Way<'_>); 6] = [
        ("revoked", &|world, id| world.grants.revoke_family(id).wait().unwrap()),
        ("its pair", &|world, _| pair(&world.grants)),
        ("its session", &|world, _| world.grants.revoke_session("s1").wait().unwrap()),
        ("its client", &|world, _| world.grants.revoke_client(CLIENT).wait().unwrap()),
        ("expired", &|world, _| world.clock.advance(s(30 * DAY_S))),
        ("another was kept", &|world, _| {
            let kept = world.open("client-2");
            assert_eq!(world.revoke_others(kept.family.unwrap()), OthersRevoked::Kept);
        }),
    ];
    for (how, end) in ways {
        let world = World::new();
        let grant = Grant::new(CLIENT, SUBJECT).session("s1");
        let ended = world.grants.open(grant).wait().unwrap();
        end(&world, ended.family.unwrap());
        let other = world.open("client-3");
        assert_eq!(world.revoke_others(ended.family.unwrap()), OthersRevoked::NothingKept, "{how}");
        assert!(!world.lives(&ended) && !world.lives(&other), "{how}");
        assert!(world.lives(&world.open(CLIENT)), "{how}");
    }
    let world = World::new();
    let bobs = world.grants.open(Grant::new(CLIENT, "bob")).wait().unwrap();
    let own = world.open(CLIENT);
    assert_eq!(world.revoke_others(bobs.family.unwrap()), OthersRevoked::NothingKept);
    assert!(world.lives(&bobs) && !world.lives(&own));
    assert!(world.grants.revoke_others("", own.family.unwrap()).wait().is_err());
}

type Stage = Grants<Interposed>;

fn stage() -> Stage {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    Interposed::grants(clock, Policy::default())
}

fn open(stage: &Stage) -> Issued {
    stage.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap()
}

fn refresh(stage: &Stage, token: &str) -> Refreshed {
    stage.refresh(token, &RefreshRequest::by(CLIENT)).wait().unwrap()
}

fn is_active(stage: &Stage, token: &str) -> bool {
    matches!(stage.introspect(token).wait().unwrap(), Introspection::Active(_))
}

fn keep(stage: &Stage, family: FamilyId) {
    let answer = stage.revoke_others(SUBJECT, family).wait().unwrap();
    assert_eq!(answer, OthersRevoked::Kept);
}

// Goal: P3, P6, the kept family may rotate, be kept, or end at the same moment, and another may be
// opened: each is as if one came after the other. Method: each between decision and commit of the
// others.
#[test]
fn keeping_one_meets_what_it_concerns() {
    // A rotation between: the revocation decides again, and keeps what it has become.
    let stage_one = stage();
    let (kept, other) = (open(&stage_one), open(&stage_one));
    let (same, text) = (stage_one.clone(), refresh_of(&kept).to_owned());
    let next = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&next);
    stage_one.store().backend().before_commit(move || {
        *noted.lock().unwrap() = Some(rotated(refresh(&same, &text)));
    });
    keep(&stage_one, kept.family.unwrap());
    let next = next.lock().unwrap().take().unwrap();
    assert!(is_active(&stage_one, next.access.expose()));
    assert!(
        is_active(&stage_one, refresh_of(&next)) && is_active(&stage_one, kept.access.expose())
    );
    assert!(!is_active(&stage_one, other.access.expose()));

    // The revocation between: the rotation decides again, under the new number.
    let (same, family) = (stage_one.clone(), kept.family.unwrap());
    stage_one.store().backend().before_commit(move || keep(&same, family));
    let last = rotated(refresh(&stage_one, refresh_of(&next)));
    assert!(is_active(&stage_one, last.access.expose()));

    // An opening that is overtaken is from after; one of before is gone.
    let (same, family) = (stage_one.clone(), kept.family.unwrap());
    stage_one.store().backend().before_commit(move || keep(&same, family));
    assert!(is_active(&stage_one, open(&stage_one).access.expose()));
    let (same, before) = (stage_one.clone(), Arc::new(Mutex::new(None)));
    let noted = Arc::clone(&before);
    stage_one.store().backend().before_commit(move || *noted.lock().unwrap() = Some(open(&same)));
    keep(&stage_one, kept.family.unwrap());
    let before = before.lock().unwrap().take().unwrap();
    assert!(!is_active(&stage_one, before.access.expose()), "it was opened before the answer");

    // The kept one ends between: nothing is kept.
    let (same, family) = (stage_one.clone(), kept.family.unwrap());
    stage_one.store().backend().before_commit(move || same.revoke_family(family).wait().unwrap());
    let answer = stage_one.revoke_others(SUBJECT, kept.family.unwrap()).wait().unwrap();
    assert_eq!(answer, OthersRevoked::NothingKept);
    // Its row is of that version: who comes again with a spent token is told so.
    assert!(!is_active(&stage_one, last.access.expose()));

    // Two that keep the same one at once both keep it.
    let stage_two = stage();
    let kept = open(&stage_two);
    let (same, family) = (stage_two.clone(), kept.family.unwrap());
    stage_two.store().backend().before_commit(move || keep(&same, family));
    keep(&stage_two, kept.family.unwrap());
    assert!(is_active(&stage_two, refresh_of(&kept)));
}

// Goal: P6, a family that is kept is in force at every moment, also for who reads its row before it
// is kept and its owners after. Method: keep it just before its subject's epoch is read, in each
// way to look at it.
#[test]
fn a_kept_family_is_never_seen_as_ended() {
    type Look = fn(&Stage, &Issued) -> bool;
    let looks: [(&str, Look); 5] = [
        ("access", |stage, pair| is_active(stage, pair.access.expose())),
        ("refresh", |stage, pair| is_active(stage, refresh_of(pair))),
        ("listing", |stage, _| {
            !stage.families_of(SUBJECT, None, 10).wait().unwrap().items.is_empty()
        }),
        ("rotation", |stage, pair| {
            matches!(refresh(stage, refresh_of(pair)), Refreshed::Rotated(_))
        }),
        ("keeping", |stage, pair| {
            stage.revoke_others(SUBJECT, pair.family.unwrap()).wait().unwrap()
                == OthersRevoked::Kept
        }),
    ];
    for (how, look) in looks {
        let stage = stage();
        let kept = open(&stage);
        keep(&stage, kept.family.unwrap());
        let (same, family) = (stage.clone(), kept.family.unwrap());
        stage.store().backend().before_get(Epoch::KIND, move || keep(&same, family));
        assert!(look(&stage, &kept), "{how}");
        assert!(is_active(&stage, kept.access.expose()), "{how}");
    }
}

/// Says that it is over when it is dropped.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// Goal: P3, P6, under threads that open families, and one that rotates the kept one, nothing that
// was opened before a call was answered outlives it, and the kept one rotates on. Method: 40 calls;
// whatever was noted as opened before each is inactive after it.
#[test]
fn no_opening_slips_through_under_threads() {
    let world = World::new();
    let kept = Mutex::new(world.open(CLIENT));
    let family = kept.lock().unwrap().family.unwrap();
    let opened: Mutex<Vec<Issued>> = Mutex::default();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also where an assertion fails: the others would go on for good.
        let _ends = OnDrop(&over);
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // No faster than they are looked at.
                    if opened.lock().unwrap().len() < 12 {
                        let pair = world.open(CLIENT);
                        opened.lock().unwrap().push(pair);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let text = refresh_of(&kept.lock().unwrap()).to_owned();
                let next = rotated(world.refresh(&text));
                *kept.lock().unwrap() = next;
            }
        });
        for _ in 0..40 {
            while opened.lock().unwrap().len() < 3 {
                thread::yield_now();
            }
            let before: Vec<Issued> = std::mem::take(&mut opened.lock().unwrap());
            assert_eq!(world.revoke_others(family), OthersRevoked::Kept);
            assert!(before.iter().all(|pair| !world.lives(pair)));
        }
    });
    assert!(world.is_active(kept.lock().unwrap().access.expose()));
}
