use super::traced::{READ, Site, Traced, missing, spread};
use grantkeep_tests::lives::options;
use grantkeep_tests::setting;
use std::collections::BTreeMap;

/// Moments in the course of each kind of call at which it is the last one, or fails.
const POINTS: u64 = 8;
const FAULT_POINTS: u64 = 4;

/// Two stores for one site: one that is made anew for each life, one on which each life goes on.
struct Stores {
    counts: BTreeMap<Site, u64>,
    grown: Traced,
}

impl Stores {
    fn new() -> Self {
        let counts = Traced::new().count();
        let mut grown = Traced::new();
        grown.count();
        let _ = grown.lives.take_notes("without a fault");
        Self { counts, grown }
    }
}

/// Compares everything after a life; the store may not have been made yet.
fn check(traced: &mut Traced, when: &str) {
    traced.lives.take_notes(when);
    let store = traced.lives.check_all(when, options().create(true));
    store.close().unwrap();
}

// Goal: P1, P2, P3, P7, P8 where the process is killed at a system call of our choice, before it
// is done. Method: strace counts the calls of a whole run (making a store, working, carrying,
// closing) on each part of the store; then runs are killed at calls spread over them, half of them
// on a new store, half on one that goes on from kill to kill; each is held against the ledger.
#[test]
fn nothing_is_lost_to_a_kill_at_any_call() {
    if let Some(why) = missing() {
        println!("skipped because {why}");
        return;
    }
    let points = setting("GRANTKEEP_CALL_POINTS", POINTS);
    let mut stores = Stores::new();
    let (mut killed, mut ended, mut acknowledged, mut opened) = (0, 0, 0, 0);
    for (site, count) in stores.counts.clone().into_iter().filter(|(site, _)| site.call != READ.0) {
        for (number, at) in spread(count, points).into_iter().enumerate() {
            let mut fresh = Traced::new();
            let traced = if number % 2 == 0 { &mut fresh } else { &mut stores.grown };
            let when = format!("killed at {} {at} of {count} of the {}", site.call, site.part);
            let (status, _) = traced.tamper(site, &format!("signal=KILL:when={at}"));
            // The grown store's calls differ in number: some of its lives end in order.
            assert!(!status.success() || number % 2 == 1 || at > count / 2, "{when}: {status}");
            assert_ne!(status.code(), Some(3), "{when}: see its message above");
            *(if status.success() { &mut ended } else { &mut killed }) += 1;
            check(traced, &when);
            opened += 1;
            acknowledged += fresh.lives.audit.counts.acknowledged;
            assert!(stores.grown.lives.audit.counts.errors.is_empty(), "{when}");
        }
    }
    let counts = &stores.grown.lives.audit.counts;
    println!(
        "{killed} kills at chosen calls of {} kinds ({ended} lives ended before), {opened} opens \
         afterwards, acknowledged operations {}, comparisons {} on the store that went on, in \
         flight {} (happened {}), lost 0",
        stores.counts.len(),
        acknowledged + counts.acknowledged,
        counts.compared,
        counts.in_flight.0,
        counts.in_flight.1,
    );
    assert!(killed > ended, "hardly any call was met");
}

/// The faults of a call, and whether nobody is to notice them.
fn faults(call: &str) -> &'static [(&'static str, bool)] {
    match call {
        "pwrite64" => &[("EIO", false), ("ENOSPC", false), ("EINTR", true)],
        "pread64" => &[("EIO", false), ("EINTR", true)],
        "fdatasync" | "fsync" => &[("EIO", false)],
        "ftruncate" | "rename" => &[("EIO", false), ("ENOSPC", false)],
        _ => &[("EIO", false)],
    }
}

// Goal: P1, P2, P3, P7, P8 where a system call fails: a typed error, nothing acknowledged falsely,
// nothing after a failure. Method: as above, with calls that fail once, or from some moment on,
// with EIO, ENOSPC, or EINTR. The child tries on after its first error, and notes which changes
// were refused (they must not have happened) and which are unknown (whole, or not at all).
#[test]
fn failed_calls_are_told_and_lose_nothing() {
    if let Some(why) = missing() {
        println!("skipped because {why}");
        return;
    }
    let points = setting("GRANTKEEP_CALL_POINTS", FAULT_POINTS);
    let mut stores = Stores::new();
    let (mut lives, mut injected) = (0, 0);
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    for (site, count) in stores.counts.clone() {
        for &(error, transparent) in faults(site.call) {
            for (number, at) in spread(count, points).into_iter().enumerate() {
                let mut fresh = Traced::new();
                let traced = if number % 2 == 0 { &mut fresh } else { &mut stores.grown };
                // One of them does not stop failing.
                let more = if number == 1 && !transparent { "+" } else { "" };
                let when = format!("{error} at {} {at}{more} of the {}", site.call, site.part);
                let told = std::mem::take(&mut traced.lives.audit.counts.errors);
                assert!(told.is_empty());
                let (status, met) = traced.tamper(site, &format!("error={error}:when={at}{more}"));
                assert!(status.success(), "{when}: {status}, see its message above");
                check(traced, &when);
                let told = std::mem::take(&mut traced.lives.audit.counts.errors);
                assert!(!transparent || told.is_empty(), "{when}: {told:?}");
                // What is read anew or tried again may hide any fault, but for a failed sync of
                // what was promised, which the ledger would show.
                lives += 1;
                injected += met;
                told.into_iter()
                    .for_each(|(kind, count)| *errors.entry(kind).or_default() += count);
            }
        }
    }
    let counts = &stores.grown.lives.audit.counts;
    println!(
        "{injected} calls failed in {lives} lives, errors told {errors:?}; on the store that went \
         on: acknowledged {}, refused {}, outcome open {} (happened {}), comparisons {}, lost 0",
        counts.acknowledged,
        counts.refused,
        counts.in_flight.0,
        counts.in_flight.1,
        counts.compared,
    );
    assert!(injected >= lives / 2, "hardly any call was met");
}
