//! The committed corpora, replayed as an ordinary test.

use crate::TARGETS;
use std::fs;
use std::path::Path;

/// Bytes of all corpora together at most, so that a checkout stays small.
const BYTES_MAX: u64 = 1 << 20;

// Goal: P2, P3, P4, P5, P7, P8, P9: every input that a fuzzer once found worth keeping, and every
// one that once broke something, breaks nothing. Method: run each through its target.
#[test]
fn committed_inputs_break_nothing() {
    let (mut inputs, mut bytes, mut told) = (0, 0, Vec::new());
    for (name, run) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|f| f.unwrap().path()).collect();
        assert!(!files.is_empty(), "no corpus of {name}");
        files.sort();
        for file in &files {
            let data = fs::read(file).unwrap();
            // Seen if the test fails.
            println!("{}", file.display());
            run(&data);
            bytes += data.len() as u64;
        }
        inputs += files.len();
        told.push(format!("{name} {}", files.len()));
    }
    assert!(bytes <= BYTES_MAX, "the corpora have {bytes} bytes");
    println!("fuzz corpora, {inputs} inputs, {bytes} bytes: {}", told.join(", "));
}
