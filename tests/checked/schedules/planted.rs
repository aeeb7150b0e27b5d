use crate::explore::{DEPTH, Scenario, config, count_nothing_here, played_here, run, seed};
use crate::world::{Start, images};
use crate::{carrying, evicting, failing, joining, racing, reading, reusing};
use grantkeep::sabotage::{Flaw, set};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Schedules of each kind within which a planted fault must be found.
const SCHEDULES: usize = 2_000;

/// What the failure that finds a fault must say: one of these.
type Says = &'static [&'static str];

const FAULTS: [(Flaw, Scenario, Says); 13] = [
    (Flaw::OneLook, racing::RACE, &["deadlock"]),
    (Flaw::AcknowledgedBeforeSync, reading::READ, &["was seen"]),
    (Flaw::AnsweredBeforeSync, racing::RACE, &["was seen", "nobody has won"]),
    (Flaw::NobodyRings, racing::RACE, &["deadlock"]),
    (Flaw::PendingUnseen, racing::RACE, &["who has won", "one wins", "half of a batch"]),
    (Flaw::RowByRow, reading::READ, &["half of a batch"]),
    (Flaw::StaleKept, evicting::EVICT, &["went back", "is behind", "left"]),
    (Flaw::MovedBlindly, carrying::CARRY, &["went back", "was seen", "left"]),
    (Flaw::MovedPlacesBelieved, carrying::REVISE, &["was acknowledged is left", "was seen"]),
    (Flaw::CarriedEarly, carrying::CARRY, &["is missing before", "is damaged at", "was seen"]),
    (Flaw::WaitersForgotten, failing::FAIL, &["deadlock"]),
    (Flaw::OfferForgotten, joining::JOIN, &["deadlock"]),
    (Flaw::MovedTakenForDamage, reusing::REUSE, &["not where the index says"]),
];

/// Plants what `GRANTKEEP_PLANTED` names, so that a failure can be looked at and played again.
pub fn plant_by_name() {
    let Ok(name) = std::env::var("GRANTKEEP_PLANTED") else { return };
    let named = FAULTS.iter().find(|(fault, ..)| format!("{fault:?}") == name);
    set(Some(named.expect("GRANTKEEP_PLANTED names a planted fault").0));
}

thread_local! {
    /// The first panic of a hunt. `None` where nobody hunts.
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes what a hunted engine says first, and prints nothing of it.
fn listen() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let hunted = FIRST.with_borrow_mut(|first| {
            let Some(first) = first else { return false };
            if first.is_empty() {
                let said = panic.payload().downcast_ref::<String>().cloned();
                let word = || panic.payload().downcast_ref::<&str>().map(|word| (*word).to_owned());
                *first = said.or_else(word).unwrap_or_else(|| "without a word".to_owned());
            }
            true
        });
        if !hunted {
            before(panic);
        }
    }));
}

/// Plays a scenario with a planted fault until it fails; answers in which schedule, and how. On a
/// thread of its own: one that is abandoned while it panics is of no more use.
fn hunt(fault: Flaw, scenario: Scenario, random: bool) -> Option<(usize, String)> {
    let hunting = std::thread::spawn(move || {
        set(Some(fault));
        count_nothing_here();
        FIRST.set(Some(String::new()));
        let played = if random {
            let random = RandomScheduler::new_from_seed(seed(), SCHEDULES);
            catch_unwind(AssertUnwindSafe(|| run(scenario, random, config())))
        } else {
            let few = PctScheduler::new_from_seed(seed(), DEPTH, SCHEDULES);
            catch_unwind(AssertUnwindSafe(|| run(scenario, few, config())))
        };
        let how = FIRST.take().unwrap_or_default();
        played.err().map(|_| (played_here(), how))
    });
    hunting.join().expect("a hunt ends")
}

// Goal: the scenarios can fail: each fault of concurrency that is planted in the engine is found,
// and said by its name. Method: plant one after the other, and play the scenario that is about it
// until it fails, in random schedules, and else in such of few changes.
#[test]
fn planted_faults_of_concurrency_are_found() {
    images(Start::Few);
    images(Start::NearlyFull);
    images(Start::Revised);
    listen();
    let mut missed = Vec::new();
    for (fault, scenario, says) in FAULTS {
        let found = [true, false].into_iter().find_map(|random| hunt(fault, scenario, random));
        let Some((schedules, how)) = found else {
            missed.push(format!("{fault:?} is not found by {}", scenario.name));
            continue;
        };
        let line = how.lines().next().unwrap_or_default();
        println!("{fault:?}: found by {}, schedule {schedules}: {line}", scenario.name);
        if !says.iter().any(|word| how.contains(word)) {
            missed.push(format!("{fault:?} is found as something else: {how}"));
        }
    }
    println!("{} planted faults of concurrency found", FAULTS.len() - missed.len());
    assert!(missed.is_empty(), "{missed:#?}");
}
