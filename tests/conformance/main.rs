//! The public conformance suite on the embedded engine.

use grantkeep::backend::conformance;
use grantkeep_tests::backend;

// Goal: P2, P3, P5, P7, the embedded engine keeps every promise of a backend. Method: the whole
// suite, each check on a store of its own.
#[test]
fn embedded_engine_conforms() {
    let mut dirs = Vec::new();
    let report = conformance::run(|clock| {
        let (backend, dir) = backend(&clock, |options| options);
        dirs.push(dir);
        backend
    });
    println!("{report}");
    assert!(report.is_clean(), "{report}");
}

// Goal: P4, P7, keys whose tags meet are told apart. Method: the whole suite with tags of three
// bits, and without a row cache, so that every look-up goes to the log.
#[test]
fn embedded_engine_conforms_where_tags_meet() {
    let mut dirs = Vec::new();
    let report = conformance::run(|clock| {
        let (backend, dir) = backend(&clock, |options| options.tag_bits(3).row_cache_bytes(0));
        dirs.push(dir);
        backend
    });
    assert!(report.is_clean(), "{report}");
}
