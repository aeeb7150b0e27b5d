use super::{DAY, memory, while_carrying};
use grantkeep::backend::{Backend, Outcome, Version};
use grantkeep::{
    Burned, Code, CodeState, Epoch, Family, Owner, Store, Timestamp, Token, Wait as _,
};
use grantkeep_tests::samples;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};

const RACERS: u64 = 6;
const ROUNDS: u64 = 150;

/// Runs one racer per thread, which all start at once; answers how many said that they won.
fn race(racer: impl Fn(u64) -> bool + Sync) -> u64 {
    let (start, won) = (Barrier::new(RACERS as usize), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..RACERS {
            let (start, won, racer) = (&start, &won, &racer);
            scope.spawn(move || {
                start.wait();
                if racer(number) {
                    won.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    won.into_inner()
}

/// P3: of any number of callers that redeem one code, one gets it, and its batch alone is there.
fn one_redeems<B: Backend>(store: &Store<B>) {
    for round in 0..ROUNDS {
        let name = format!("code-{round}");
        let until = store.now().saturating_add(DAY);
        let mut change = store.change().unwrap();
        change.insert(samples::id(&name), &samples::code(&name, "alice"), until).unwrap();
        assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);

        let won = race(|number| {
            let held = store.get::<Code>(samples::id(&name)).wait().unwrap().unwrap();
            if held.record.state != CodeState::Fresh {
                return false;
            }
            let mine = format!("{name}-{number}");
            let family = Some(samples::family_id(&mine));
            let state = CodeState::Spent { at: Timestamp::from_millis(1), family };
            let mut change = store.change().unwrap();
            change.replace(&held, &Code { state, ..held.record.clone() }, until).unwrap();
            change.insert(samples::id(&mine), &samples::family(&mine, "alice"), until).unwrap();
            store.commit(change).wait().unwrap() == Outcome::Applied
        });
        assert_eq!(won, 1, "{name}");

        let held = store.get::<Code>(samples::id(&name)).wait().unwrap().unwrap();
        let CodeState::Spent { family: Some(winner), .. } = held.record.state else {
            panic!("{name} is not spent");
        };
        for number in 0..RACERS {
            let mine = format!("{name}-{number}");
            let there = store.get::<Family>(samples::id(&mine)).wait().unwrap().is_some();
            assert_eq!(there, samples::family_id(&mine) == winner, "{mine}");
        }
    }
    println!("  {ROUNDS} codes, {RACERS} racers each: one winner each");
}

/// P3: of any number of callers that rotate one generation, one does.
fn one_rotates<B: Backend>(store: &Store<B>) {
    let id = samples::id("family");
    let until = store.now().saturating_add(DAY);
    let mut change = store.change().unwrap();
    change.insert(id, &samples::family("family", "alice"), until).unwrap();
    assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
    for round in 1..=ROUNDS {
        let seen = store.get::<Family>(id).wait().unwrap().unwrap();
        let won = race(|_| {
            // Some of them look again, and may find the next generation: that is not theirs.
            let held = store.get::<Family>(id).wait().unwrap().unwrap();
            let held = if held.version == seen.version { held } else { seen.clone() };
            let generation = held.record.generation + 1;
            let mut change = store.change().unwrap();
            let next = Family { generation, ..held.record.clone() };
            change.replace(&held, &next, until).unwrap();
            store.commit(change).wait().unwrap() == Outcome::Applied
        });
        assert_eq!(won, 1, "round {round}");
        let held = store.get::<Family>(id).wait().unwrap().unwrap();
        assert_eq!(u64::from(held.record.generation), 1 + round);
    }
    println!("  {ROUNDS} generations, {RACERS} racers each: one winner each");
}

/// P3: of any number of callers that burn one value, one is first.
fn one_burns_first<B: Backend>(store: &Store<B>) {
    for round in 0..ROUNDS {
        let until = store.now().saturating_add(DAY);
        let value = round.to_le_bytes();
        let first = race(|_| store.burn("jti", &value, until).wait().unwrap() == Burned::First);
        assert_eq!(first, 1, "round {round}");
        assert_eq!(store.burn("jti", &value, until).wait().unwrap(), Burned::Seen);
    }
    println!("  {ROUNDS} values, {RACERS} racers each: one first each");
}

/// P6: nothing is issued under an epoch that had ended. The versions of all writes are in the
/// order of the commits, so each token must lie between the epochs it stands under.
fn no_issue_after_its_epoch<B: Backend>(store: &Store<B>) {
    let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let issued: Mutex<Vec<String>> = Mutex::default();
    let mut begun: Vec<(Version, Epoch)> = Vec::new();
    std::thread::scope(|scope| {
        for issuer in 0..4 {
            let (over, refused, issued) = (&over, &refused, &issued);
            scope.spawn(move || {
                let mut number = 0;
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    let name = format!("epoch-token-{issuer}-{number}");
                    let standing = store.epochs("alice", "client-1").wait().unwrap();
                    let epochs = standing.epochs();
                    let token = Token { epochs, ..samples::token(&name, "alice") };
                    let mut change = store.change().unwrap();
                    let until = store.now().saturating_add(DAY);
                    change.insert(samples::id(&name), &token, until).unwrap();
                    standing.require(&mut change);
                    match store.commit(change).wait().unwrap() {
                        Outcome::Applied => issued.lock().unwrap().push(name),
                        Outcome::Conflict(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            });
        }
        // Until enough of both has happened: each epoch waits for some tokens.
        while begun.len() < 60 {
            let seen = issued.lock().unwrap().len();
            store.begin_epoch(Owner::Subject("alice")).wait().unwrap();
            let epoch = store.epoch(Owner::Subject("alice")).wait().unwrap();
            begun.push(epoch.held().map(|held| (held.version, held.record)).unwrap());
            while issued.lock().unwrap().len() < seen + 5 {
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let issued = issued.into_inner().unwrap();
    let standing = store.epochs("alice", "client-1").wait().unwrap();
    let mut valid = 0;
    for name in &issued {
        let held = store.get::<Token>(samples::id(name)).wait().unwrap().unwrap();
        let issued_under = held.record.epochs.subject;
        let at = begun.partition_point(|(version, _)| *version < held.version);
        let stood = at.checked_sub(1).and_then(|before| begun[before].1.number);
        assert_eq!(issued_under, stood, "{name} was issued under an epoch that did not stand");
        valid += u64::from(standing.admit(&held.record.epochs));
    }
    assert!(valid < issued.len() as u64);
    println!(
        "  {} epochs, {} tokens issued, {} refused, {valid} still valid: none out of its epoch",
        begun.len(),
        issued.len(),
        refused.into_inner()
    );
}

// Goal: P3 for codes. Method: racers on one code, over both engines, with checkpoints running.
#[test]
fn one_caller_redeems_a_code() {
    one_redeems(&memory());
    while_carrying(one_redeems);
}

// Goal: P3 for refresh families. Method: racers on one generation, over both engines.
#[test]
fn one_caller_rotates_a_generation() {
    one_rotates(&memory());
    while_carrying(one_rotates);
}

// Goal: P3 for burnt values. Method: racers on one value, over both engines.
#[test]
fn one_caller_burns_first() {
    one_burns_first(&memory());
    while_carrying(one_burns_first);
}

// Goal: P6, no token outlives the revocation it raced with. Method: issuers require the epochs they
// have read while another thread begins new ones; the order of versions convicts.
#[test]
fn nothing_is_issued_after_its_epoch() {
    no_issue_after_its_epoch(&memory());
    while_carrying(no_issue_after_its_epoch);
}
