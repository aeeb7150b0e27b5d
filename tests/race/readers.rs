use super::{DAY, memory, while_carrying};
use grantkeep::backend::{Backend, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Store, Wait as _};
use grantkeep_tests::samples;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const PAIRS: u64 = 8;
const WRITES_MIN: u64 = 400;
const READS_MIN: u64 = 2_000;
const READERS: u64 = 3;

/// The two rows of a pair, of different layouts, so that they lie in different places.
fn pair(number: u64) -> (Key, Key) {
    let id = |side: &str| samples::id(&format!("{side}-{number}"));
    (Key::new(Kind::write_once(100), id("a")), Key::new(Kind::revised(101), id("b")))
}

fn turn<B: Backend>(store: &Store<B>, key: Key) -> Option<u64> {
    let row = store.backend().get(key).wait().unwrap()?;
    Some(u64::from_le_bytes(*row.value().first_chunk().unwrap()))
}

/// Two rows are always written in one batch; whoever reads A and then B must not find a B older
/// than its A, and no row may go back.
fn no_half_is_seen<B: Backend>(store: &Store<B>) {
    let (over, reads, mut write) = (AtomicBool::new(false), AtomicU64::new(0), 0);
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (over, reads) = (&over, &reads);
            scope.spawn(move || {
                let mut latest = [0; PAIRS as usize];
                let mut number = reader;
                while !over.load(Ordering::Relaxed) {
                    number = (number + 1) % PAIRS;
                    let (a, b) = pair(number);
                    let Some(first) = turn(store, a) else { continue };
                    let second = turn(store, b);
                    assert!(second >= Some(first), "pair {number}: A {first}, B {second:?}");
                    let held = &mut latest[usize::try_from(number).unwrap()];
                    assert!(first >= *held, "pair {number} went back from {held} to {first}");
                    *held = first;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while write < WRITES_MIN || reads.load(Ordering::Relaxed) < READS_MIN {
            write += 1;
            let number = write % PAIRS;
            let (a, b) = pair(number);
            let mut batch = Batch::new().unwrap();
            // A is written after B in one pair and before it in the next.
            for key in if number.is_multiple_of(2) { [a, b] } else { [b, a] } {
                let mut value = write.to_le_bytes().to_vec();
                value.resize(64, 0);
                let expires_at = store.now().saturating_add(DAY);
                let row = NewRow { value, expires_at, terms: Terms::NONE };
                match store.backend().get(key).wait().unwrap() {
                    Some(held) => batch.replace(key, held.version(), row),
                    None => batch.insert(key, row),
                };
            }
            assert_eq!(store.backend().commit(batch).wait().unwrap(), Outcome::Applied);
        }
        over.store(true, Ordering::Relaxed);
    });
    let reads = reads.into_inner();
    println!("  {write} batches over {PAIRS} pairs, {reads} reads of a pair: no half seen");
}

// Goal: P7, P8: a batch is seen as a whole. Method: readers take row A and then row B of batches
// that always write both, over both engines, with checkpoints running.
#[test]
fn no_reader_sees_half_a_batch() {
    no_half_is_seen(&memory());
    while_carrying(no_half_is_seen);
}
