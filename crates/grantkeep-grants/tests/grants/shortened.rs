//! Stores that are opened anew with a shorter longest lifetime than before.

use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Embedded, ManualClock, Store, Wait};
use grantkeep_grants::{
    Claimed, DeviceApproval, DeviceRequest, Grant, Grants, Introspection, Minter, MinterError,
    Minting, NewPersonal, Policy, Polled, Presented, RefreshRequest, Refreshed, Taken, Verified,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

fn open(clock: &Arc<ManualClock>, dir: &Path, days: u64) -> Grants<Embedded> {
    let options = Store::options().clock(clock.clone()).by_itself(false).reserve_bytes(0);
    let store = options.lifetime_max(s(days * DAY_S)).open(dir.join("store")).unwrap();
    let policy = Policy {
        personal_lifetime: s(days.min(365) * DAY_S),
        refresh_idle: s(days.min(30) * DAY_S),
        refresh_absolute: s(days.min(90) * DAY_S),
        ..Policy::default()
    };
    Grants::new(store, policy).unwrap()
}

// Goal: P2 and P6, a revocation outlives what it revokes, also what was issued for longer than the
// store issues now. Method: a token of a year; revoke its subject in a store of days; sweep for
// weeks.
#[test]
fn a_revocation_outlives_what_was_issued_for_longer() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let grants = open(&clock, place.path(), 3_650);
    let token = grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap().token;
    let is_active = |grants: &Grants<Embedded>| {
        let answer = grants.introspect(token.expose()).wait().unwrap();
        matches!(answer, Introspection::Active(_))
    };
    grants.store().close().unwrap();
    let grants = open(&clock, place.path(), 1);
    assert!(is_active(&grants));
    grants.revoke_subject(SUBJECT).wait().unwrap();
    for _ in 0..20 {
        assert!(!is_active(&grants));
        clock.advance(s(DAY_S));
        grants.store().sweep(Budget::ALL).wait().unwrap();
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Minter for Counting {
    fn mint(&self, _: &Minting<'_>) -> Result<Option<String>, MinterError> {
        let made = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(format!("a text of the server {made:08}")))
    }
}

// Goal: what was issued keeps the lifetime it was issued with. Method: a family whose refresh
// tokens are brought, opened for 90 days; refresh it in a store of 30.
#[test]
fn brought_families_are_refreshed_as_before() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let minter = Arc::new(Counting::default());
    let grants = open(&clock, place.path(), 3_650).with_minter(minter.clone());
    let pair = grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    grants.store().close().unwrap();
    clock.advance(s(60));
    let grants = open(&clock, place.path(), 30).with_minter(minter);
    let request = RefreshRequest::by(CLIENT);
    let next = rotated(grants.refresh(refresh_of(&pair), &request).wait().unwrap());
    let last = rotated(grants.refresh(refresh_of(&next), &request).wait().unwrap());
    assert!(last.refresh.is_some());
    let reused = grants.refresh(refresh_of(&pair), &request).wait().unwrap();
    assert!(matches!(reused, Refreshed::Reused { .. }), "{reused:?}");
}

// Goal: every decision about what was issued is made, also in a store whose longest lifetime is
// shorter than what is left of it: no answer is an error, and none spins. Method: one of each that
// waits for a decision, left for minutes; decide in a store of 30 s, with a limit on the time.
#[test]
fn what_waits_is_decided_in_a_store_of_seconds() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let before = open(&clock, place.path(), 3_650);
    let long = || authorize().lifetime(s(600));
    let [redeemed, claimed, completed] = [0; 3].map(|_| before.authorize(long()).wait().unwrap());
    let [approved, denied] =
        [0; 2].map(|_| before.device(DeviceRequest::new(CLIENT)).wait().unwrap());
    let approval = DeviceApproval::by(SUBJECT);
    let waiting = before.device(DeviceRequest::new(CLIENT)).wait().unwrap();
    before.approve_device(waiting.user_code.expose(), &approval).wait().unwrap();
    let pushed = before.push(CLIENT, b"parameters").wait().unwrap();
    let pair = before.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    let Claimed::Grant(claim) = before.claim(completed.expose()).wait().unwrap() else { panic!() };
    before.store().close().unwrap();

    let seconds = s(30);
    let policy = Policy {
        code_lifetime: seconds,
        code_lifetime_max: seconds,
        device_lifetime: seconds,
        push_lifetime: seconds,
        access_lifetime: seconds,
        client_credentials_lifetime: seconds,
        personal_lifetime: seconds,
        refresh_idle: seconds,
        refresh_absolute: seconds,
        replay_memory: seconds,
        ..Policy::default()
    };
    let options = Store::options().clock(clock.clone()).by_itself(false).reserve_bytes(0);
    let store = options.lifetime_max(seconds).open(place.path().join("store")).unwrap();
    let grants = Grants::new(store, policy).unwrap();
    let (done, decided) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let by = Presented::by(CLIENT);
        granted(grants.redeem(redeemed.expose(), &presented()).wait().unwrap());
        let answer = grants.claim(claimed.expose()).wait().unwrap();
        assert!(matches!(answer, Claimed::Grant(_)), "{answer:?}");
        let family = claim.family.unwrap();
        let completion = grantkeep_grants::Completion::by(CLIENT);
        let answer = grants.complete(family, &completion).wait().unwrap();
        assert!(matches!(answer, grantkeep_grants::Completed::Granted(_)), "{answer:?}");
        let answer = grants.approve_device(approved.user_code.expose(), &approval).wait().unwrap();
        assert_eq!(answer, Verified::Done);
        assert_eq!(grants.deny_device(denied.user_code.expose()).wait().unwrap(), Verified::Done);
        for device in [approved, waiting] {
            let answer = grants.poll_device(device.device_code.expose(), &by).wait().unwrap();
            assert!(matches!(answer, Polled::Granted(_)), "{answer:?}");
        }
        let taken = grants.take_pushed(pushed.request_uri.expose(), CLIENT).wait().unwrap();
        assert!(matches!(taken, Taken::Request(_)), "{taken:?}");
        rotated(grants.refresh(refresh_of(&pair), &RefreshRequest::by(CLIENT)).wait().unwrap());
        grants.revoke(pair.access.expose()).wait().unwrap();
        grants.revoke_family(pair.family.unwrap()).wait().unwrap();
        done.send(()).unwrap();
    });
    decided.recv_timeout(s(60)).expect("each of them is decided, and soon");
}
