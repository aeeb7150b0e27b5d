//! Builds that are broken on purpose: each flaw must be caught by the guard of the promise that it
//! breaks, which passes without it.
//!
//! A package of its own, since the switch that breaks the engine is built into it with the feature
//! `sabotage`, which nothing else shall have.

#![cfg(test)]

use grantkeep::sabotage::{Flaw, set};
use grantkeep_tests::guards;
use grantkeep_tests::safe_grants;
use grantkeep_tests::sim_disk::Lies;
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

/// A flaw is one of the process: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `whole` on a whole build, and `broken` on one with `flaw`, which must be caught: `says` are
/// words of how, so that a build that merely fails is not taken for one that is caught.
fn caught(name: &str, says: &[&str], flaw: Option<Flaw>, whole: fn(), broken: fn()) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set(None);
    whole();
    set(flaw);
    let outcome = catch_unwind(broken);
    set(None);
    let Err(said) = outcome else { panic!("{name} is not caught") };
    let text = said.downcast_ref::<String>().map(String::as_str);
    let said = text.or_else(|| said.downcast_ref::<&str>().copied()).unwrap_or("without a word");
    let said = said.lines().next().unwrap_or_default();
    assert!(says.iter().any(|words| said.contains(words)), "{name} is caught by chance: {said}");
    println!("saboteur caught: {name}: {said}");
}

fn caught_by(name: &str, says: &str, flaw: Flaw, guard: fn()) {
    caught(name, &[says], Some(flaw), guard, guard);
}

/// How a disk is told that does not hold what it should.
const LOST: [&str; 2] = ["it is in none", "is missing in `log`"];

fn power_cuts() {
    guards::power_cuts(Lies::default());
}

// Goal: P1, P2: a device whose syncs of files are not done is noticed. Method: see the guard.
#[test]
fn sync_that_lies() {
    let [in_none, is_missing] = LOST;
    // Whichever of what was synced is looked at first.
    let says = [in_none, is_missing, "the header of the log segment"];
    caught("sync that lies", &says, None, power_cuts, || {
        guards::power_cuts(Lies { of_files: true, of_directories: false });
    });
}

// Goal: P1, P8: a directory that is not synced is noticed. Method: see the guard.
#[test]
fn directory_sync_left_out() {
    caught("directory sync left out", &LOST, None, power_cuts, || {
        guards::power_cuts(Lies { of_files: false, of_directories: true });
    });
}

// Goal: P1, P2. Method: see the guard.
#[test]
fn acknowledgment_before_sync() {
    // Without a power cut, whoever is quick reads a frame that is not yet written: the script, or
    // what makes its store.
    let says = ["it is in none", "failed on a good disk", "the record at offset"];
    let flaw = Some(Flaw::AcknowledgedBeforeSync);
    caught("acknowledgment before sync", &says, flaw, power_cuts, power_cuts);
}

// Goal: P4, P8. Method: see the guard.
#[test]
fn checksum_without_segment_identity() {
    let flaw = Flaw::ChecksumWithoutSegment;
    caught_by(
        "checksum without segment identity",
        "new commits",
        flaw,
        guards::lost_commits_stay_lost,
    );
}

// Goal: P4, P8. Method: see the guard.
#[test]
fn recycled_frame_believed() {
    let flaw = Flaw::RecycledFrameBelieved;
    caught_by("recycled frame believed", "new commits", flaw, guards::lost_commits_stay_lost);
}

// Goal: P3. Method: see the guard.
#[test]
fn condition_dropped() {
    caught_by("condition dropped", "checks passed", Flaw::ConditionDropped, guards::conforms);
}

// Goal: P3, P5. Method: see the guard.
#[test]
fn sweep_without_high_water_mark() {
    let flaw = Flaw::SweepWithoutHighWater;
    caught_by(
        "sweep without the clock's high-water mark",
        "counts twice",
        flaw,
        guards::swept_values_stay_burnt,
    );
}

// Goal: P3. Method: see the guard.
#[test]
fn grace_without_unused_successor() {
    let flaw = Flaw::GraceForUsedSuccessor;
    caught_by("grace without unused successor", "Retried", flaw, guards::what_is_over_stays_over);
}

// Goal: P6. Method: see the guard.
#[test]
fn epoch_ignored() {
    caught_by("epoch ignored", "what is over", Flaw::EpochIgnored, guards::what_is_over_stays_over);
}

// Goal: P2, P4, P7. Method: see the guard.
#[test]
fn row_checksum_ignored() {
    caught_by(
        "row checksum ignored",
        "byte ",
        Flaw::RowChecksumIgnored,
        guards::damaged_rows_are_refused,
    );
}

// Goal: P9. Method: see the guard.
#[test]
fn text_as_lookup_id() {
    caught_by(
        "text as look-up id",
        "pieces of tokens",
        Flaw::TextAsLookupId,
        guards::no_token_is_on_disk,
    );
}

// Goal: P10. Method: see the guard.
#[test]
fn swept_rows_kept() {
    caught_by(
        "swept rows kept",
        "bytes on disk",
        Flaw::SweptRowsKept,
        guards::churn_leaves_nothing,
    );
}

// Goal: P6. Method: see the guard.
#[test]
fn standing_forgotten() {
    caught_by(
        "standing forgotten",
        "a revocation had ended",
        Flaw::StandingForgotten,
        safe_grants::nothing_is_issued_past_a_revocation,
    );
}

// Goal: P4. Method: see the guard.
#[test]
fn empty_audience_widened() {
    caught_by(
        "empty audience widened",
        "any resource server",
        Flaw::AudienceWidened,
        safe_grants::an_empty_audience_is_nobodys,
    );
}

// Goal: P3. Method: see the guard.
#[test]
fn retry_not_counted() {
    caught_by(
        "retry not counted",
        "retries of one generation",
        Flaw::RetryUncounted,
        safe_grants::retries_are_counted,
    );
}
