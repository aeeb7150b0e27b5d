//! The guards of the broken builds, on the build as it is.

use grantkeep_tests::guards;

// Goal: P1, P2, P8. Method: see the guard.
#[test]
fn power_cuts_undo_nothing() {
    guards::power_cuts(grantkeep_tests::sim_disk::Lies::default());
}

// Goal: P3, P6: spent generations, revoked tokens, families, and subjects. Method: see the guard.
#[test]
fn what_is_over_stays_over() {
    guards::what_is_over_stays_over();
}

// Goal: P3, P5: a sweep is not forgotten by a restart on a slow clock. Method: see the guard.
#[test]
fn swept_values_stay_burnt() {
    guards::swept_values_stay_burnt();
}

// Goal: P2, P4, P7: damage in a row is refused. Method: see the guard.
#[test]
fn damaged_rows_are_refused() {
    guards::damaged_rows_are_refused();
}

// Goal: P9. Method: see the guard.
#[test]
fn no_token_is_on_disk() {
    guards::no_token_is_on_disk();
}

// Goal: P10. Method: see the guard.
#[test]
fn churn_leaves_nothing() {
    guards::churn_leaves_nothing();
}

// Goal: P4, P8: what a power cut took away is not revived by the next use of its file. Method: see
// the guard.
#[test]
fn lost_commits_stay_lost() {
    guards::lost_commits_stay_lost();
}
