use super::{HOUR, found, issue, names, refused};
use grantkeep::backend::Outcome;
use grantkeep::{Code, ErrorKind, Owner, Store, Wait as _};
use grantkeep_tests::{manual_clock, options, samples};
use std::time::{Duration, SystemTime};

// Goal: P5, a leap that no lifetime explains stops issuing, and nothing else, until it is accepted.
// Method: leap 60 years; issue, revoke, and read; go back; leap again and accept.
#[test]
fn leap_is_refused_until_it_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store: Store = options(&clock).open(dir.path()).unwrap();
    issue(&store, &names(3));
    let start: SystemTime = store.now().into();
    let put = |name: &str| {
        let mut change = store.change()?;
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(name), &samples::code(name, "alice"), until)?;
        store.commit(change).wait()
    };
    let leapt = start + Duration::from_secs(60 * 365 * 24 * 3_600);
    clock.step_to(leapt);
    let words = ["1892160000 s ahead", "2592000 s it believes", "accept_clock"];
    refused(put("late"), ErrorKind::Clock, &words);
    let burned = store.burn("jti", b"value", store.now().saturating_add(HOUR)).wait();
    refused(burned, ErrorKind::Clock, &words);
    assert_eq!(found(&store, &names(3)), 3, "rows were taken on a clock that is not believed");
    store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
    let held = store.get::<Code>(samples::id("code-0")).wait().unwrap().unwrap();
    let mut change = store.change().unwrap();
    change.replace(&held, &held.record, held.expires_at).unwrap();
    assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);

    clock.step_to(start);
    assert_eq!(put("back in time").unwrap(), Outcome::Applied);
    clock.step_to(leapt);
    // The epoch's row lives for ten years, so more is believed now; still not sixty.
    refused(put("late"), ErrorKind::Clock, &[words[0], words[2]]);
    store.accept_clock();
    assert_eq!(put("late").unwrap(), Outcome::Applied);
    assert!(SystemTime::from(store.now()) >= leapt);
}
