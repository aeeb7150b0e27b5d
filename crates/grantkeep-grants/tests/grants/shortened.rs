//! Stores that are opened anew with a shorter longest lifetime than before.

use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Embedded, ManualClock, Store, Wait};
use grantkeep_grants::{
    Grant, Grants, Introspection, Minter, MinterError, Minting, NewPersonal, Policy,
    RefreshRequest, Refreshed,
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
    let pair = grants.password(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
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
