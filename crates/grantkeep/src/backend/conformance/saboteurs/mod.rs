//! Proof that the suite can fail: a second engine, sound as it stands, with one flaw at a time.

mod flaw;
mod flawed;

use super::{checks, run, run_some};
use flaw::Flaw;
use flawed::Flawed;

/// What is wrong with the engine, and a promise that it breaks.
const FLAWS: &[(Flaw, &str)] = {
    use Flaw::*;
    &[
        (IgnoresAbsent, "an insert conflicts where a row stands"),
        (IgnoresVersions, "a version that was replaced or never was conflicts"),
        (IgnoresRequires, "a requirement holds of a row that is absent"),
        (RequireIsAWrite, "batches that share a required row do not hinder each other"),
        (RequireIsAWrite, "a requirement holds of a row that stands"),
        (NamesLastFailed, "a conflict names the first key that failed, in step order"),
        (AppliesUpToTheFailure, "a batch that conflicts does nothing, wherever it fails"),
        (ForgetsTheSecondWrite, "a batch that applies happens whole"),
        (ForgetsDeletes, "a deleted row is gone, and its key is free"),
        (ForgetsOps, "the op in the row tells whose write won"),
        (ForgetsExpiry, "an inserted row is read back whole"),
        (ForgetsEmptyValues, "a value of any length up to the limit is read back"),
        (ForgivesResending, "an insert that is sent again conflicts"),
        (ForgivesResending, "a replacement that is sent again conflicts"),
        (ForgivesResending, "a deletion that is sent again conflicts"),
        (CommitsAtSecondPoll, "a commit that is given up happens whole or not at all"),
        (NeverTells, "what is told of a batch is told if it is applied, and once"),
        (TellsOfConflicts, "what is told of a batch is told if it is applied, and once"),
        (KeepsVersions, "a replacement is read back whole, under a larger version"),
        (KeepsVersionOfSameContent, "a replacement by the same content is a new version"),
        (CountsVersionsPerRow, "no version of a key returns after a deletion"),
        (CountsVersionsPerRow, "no version of a key returns after a sweep"),
        (TreatsAbsentAsVersionZero, "a version conflicts where no row stands"),
        (InventsRows, "a key that was never put has no row"),
        (CutsIds, "keys that differ in one byte of their id are different"),
        (ReservesExtremes, "the first and the last of all keys are keys like any other"),
        (MixesKinds, "the same id under each kind is another key"),
        (AllowsManySteps, "the limit on a batch's steps is exact"),
        (CutsValues, "the limit on a value's bytes is exact"),
        (AllowsBigBatches, "the limit on a batch's bytes is exact"),
        (AllowsKeysTwice, "a key that stands twice in a batch is refused"),
        (AllowsNothing, "a batch that writes nothing is refused"),
        (DropsTermsOfTokens, "terms on a write-once kind are refused"),
        (AllowsOtherTerms, "a replacement with other terms is refused"),
        (ForgetsTerms, "rows are listed whole, in the order of their keys"),
        (ForgetsSecondTerm, "a row with two terms is listed by both, and once by each"),
        (ForgetsFourthTerm, "a row with four terms is listed by each, and once"),
        (ListsEverything, "a row is never listed by the term of another"),
        (ListsEverything, "a term that no row carries lists nothing"),
        (ListsOldTerms, "a key that is inserted again is listed by its new terms only"),
        (ListsFirstVersions, "a listing follows replacements and deletions"),
        (PagesOverlap, "pages of every size join to the whole listing"),
        (PagesByStoredKey, "a listing starts after any key, stored or not"),
        (PagesByStoredKey, "pages go on after the rows they ended at are deleted"),
        (PagesUnlimited, "2,500 rows are listed in pages that are never over the limit"),
        (HidesExpired, "an expired row is answered until it is swept"),
        (OverwritesExpired, "an insert conflicts with an expired row that is not swept"),
        (FreezesExpired, "an expired row holds a requirement, and can be changed"),
        (RefusesExpired, "a row may be replaced by one that has expired already"),
        (RoundsLifetimes, "a row of one millisecond lives and dies like any other"),
        (CapsLifetimes, "a row of a hundred years, or kept for good, outlives the rest"),
        (SweepsTheLiving, "a sweep removes the dead and nothing else"),
        (SweepsOnlyOnce, "a sweep with a budget goes on until no dead row is left"),
        (AlwaysMore, "an idle sweep does nothing and says so"),
        (ListsSwept, "a swept row is absent for get, list, and every expectation"),
        (SweepsByFirstDeath, "a row that was extended survives its first death"),
        (NeverSweepsReplaced, "a row whose expiry was brought forward goes in the end"),
        (SweepsDeletedAgain, "a deleted row's successor survives the death of the deleted"),
        (CountsTheDead, "the stats count the rows of each kind that are not swept"),
        (StopsTheClock, "time follows the clock forward"),
        (FollowsTheClockBack, "time never goes back"),
        (SweepsByTheWall, "a leap of the clock that is taken back costs nothing"),
        (NeverBelieves, "a leap of the clock that holds is believed"),
        (ForgetsTheLead, "time says how far it is ahead of the wall clock"),
        (ForgetsBurntValues, "a value that counts once outlives a leap that is taken back"),
        (BelievesAnything, "a leap beyond belief refuses inserts until it is accepted"),
        (NeverForgives, "a leap beyond belief that is taken back refuses nothing"),
        (BelievesForGood, "a row kept for good makes no leap believed"),
        (ChecksBeforeTheLock, "of many inserts of one key exactly one is applied"),
        (ChecksBeforeTheLock, "of many redemptions of one row exactly one is applied"),
        (ChecksBeforeTheLock, "no increment is lost, and no conflict is without a cause"),
        (WritesStepByStep, "concurrent transfers between two rows keep their sum"),
        (ChecksBeforeTheLock, "concurrent transfers between two rows keep their sum"),
        (ChecksBeforeTheLock, "what was issued under a row precedes its change or conflicts"),
        (KeepsToItself, "what was applied is seen by every other thread at once"),
        (SweepsWhatItSaw, "a row that is extended during a sweep survives it"),
    ]
};

// Goal: the suite asks nothing that only one engine does. Method: the second engine, without a
// flaw.
#[test]
fn sound_engine_conforms() {
    let report = run(|clock| Flawed::new(None, clock));
    assert!(report.is_clean(), "{report}");
}

const TRIES: usize = 50;

// Goal: each check can fail. Method: for each an engine with a flaw that breaks its promise.
#[test]
fn every_check_catches_a_flaw() {
    for check in checks::<Flawed>() {
        let flaws: Vec<Flaw> =
            FLAWS.iter().filter(|(_, name)| *name == check.name).map(|(flaw, _)| *flaw).collect();
        assert!(!flaws.is_empty(), "no flaw is known that breaks: {}", check.name);
        for flaw in flaws {
            // A flaw that shows in a race may stay hidden in one run of it.
            let caught = (0..TRIES).find_map(|_| {
                let make = |clock| Flawed::new(Some(flaw), clock);
                run_some(make, |name| name == check.name).failed.pop()
            });
            let Some(caught) = caught else {
                panic!("{flaw:?} is not caught by: {}", check.name);
            };
            println!("{flaw:?} is caught by {caught}");
        }
    }
}

// Goal: the table names promises of the suite only. Method: look each up.
#[test]
fn every_flaw_names_a_check() {
    let names: Vec<&str> = checks::<Flawed>().iter().map(|check| check.name).collect();
    for (flaw, name) in FLAWS {
        assert!(names.contains(name), "{flaw:?} names no check of the suite: {name}");
    }
    let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "two checks have one name");
}
