//! The embedded engine against plain maps, on a simulated disk and a clock that the test moves.
//!
//! A case that fails is shrunk and printed. It becomes a test of its own, with a name that says
//! what went wrong, in `regressions.rs`; files of seeds are not kept, since they mean nothing once
//! the generators change.

mod crash_points;
mod grants;
mod machine;
mod plan;
mod regressions;
mod residue;

use grantkeep_tests::setting;
use machine::Covered;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::time::Instant;

/// Cases of one run unless `GRANTKEEP_MODEL_CASES` says otherwise.
const CASES: u32 = 300;
/// The seed of a run unless `GRANTKEEP_MODEL_SEED` says otherwise.
const SEED: u64 = 1;
/// Operations of one case at most.
const OPS_MAX: usize = 80;

/// The generator of a run, from its seed.
fn rng() -> TestRng {
    let seed = setting("GRANTKEEP_MODEL_SEED", SEED);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

// Goal: P1, P2, P5, P7, P8, P10: the engine answers as plain maps would, over crashes, steps of
// the clock, and sweeps, and nothing is left of what died. Method: random operations on a
// simulated disk, the answers compared after each; at the end everything dies and is swept.
#[test]
fn engine_answers_as_plain_maps_do() {
    let started = Instant::now();
    let cases = setting("GRANTKEEP_MODEL_CASES", CASES);
    let seed = setting("GRANTKEEP_MODEL_SEED", SEED);
    let tries = setting("GRANTKEEP_MODEL_TRIES", 1);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let covered = RefCell::new(Covered::default());
    let outcome = TestRunner::new_with_rng(config, rng()).run(&plan::case(OPS_MAX), |case| {
        // Which keys share a tag is drawn anew with each store: shrinking asks more than once.
        let tries = if case.tag_bits < 64 { tries } else { 1 };
        (0..tries).for_each(|_| covered.borrow_mut().add(&machine::run(&case)));
        Ok(())
    });
    if let Err(TestError::Fail(reason, case)) = &outcome {
        panic!("{reason}\nthe shortest case that fails: {case:?}");
    }
    outcome.expect("the generators give up on no case");
    let covered = covered.into_inner();
    println!(
        "model, {cases} cases, seed {seed}, in {:.1} s: {covered:?}",
        started.elapsed().as_secs_f64()
    );
    assert!(covered.applied > 0 && covered.swept_rows > 0 && covered.carried_rows > 0);
}
