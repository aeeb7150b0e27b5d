use super::CHILD;
use grantkeep_tests::audit::Audit;
use grantkeep_tests::lives::{Lives, options};
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::{fresh_seed, setting};
use std::time::{Duration, Instant};

const KILLS: u64 = 100;
const THREADS: u64 = 4;
/// Everything is compared after each so many kills; what was touched, after each of them.
const ALL_EVERY: u64 = 20;
/// How long a process works at most before it is killed.
const WORK_MS: u64 = 80;

// Goal: P1, P2, P3, P4, P7, P8 over SIGKILL. Method: a child works from four threads with a ledger
// of intents and acknowledgments, and is killed at a random moment, in every fifth life while it
// opens. The next one, on the same store, first says what every name is that was touched in
// between; now and then every name ever used is compared with the ledger, and the store verified.
#[test]
fn nothing_acknowledged_is_lost_to_sigkill() {
    let (kills, seed) = (setting("GRANTKEEP_KILLS", KILLS), fresh_seed("GRANTKEEP_KILL_SEED"));
    println!("seed {seed}");
    let mut random = Pseudorandom::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut lives = Lives::new(CHILD, dir.path().join("store"), dir.path().join("notes"));
    options().create(true).open(&lives.store).unwrap().close().unwrap();
    let (mut opens, mut early, mut grown) = (Vec::new(), 0, vec![lives.file_bytes("table.redb")]);
    for kill in 0..kills {
        let started = Instant::now();
        let mut child = lives.next(&[], random.number() >> 1, THREADS, 0);
        if kill % 5 == 4 {
            let usual_ms = opens.last().map_or(25, |open: &Duration| open.as_millis() as u64);
            std::thread::sleep(Duration::from_millis(random.below(usual_ms + 5)));
        } else {
            assert_eq!(child.line().as_deref(), Some("open"), "see its message above");
            opens.push(started.elapsed());
            std::thread::sleep(Duration::from_micros(random.below(WORK_MS * 1_000)));
        }
        assert!(child.runs(), "the child ended by itself, see its message above");
        child.kill();
        let when = format!("after kill {kill}");
        early += u64::from(!lives.take_notes(&when));
        if kill % ALL_EVERY == ALL_EVERY - 1 || kill + 1 == kills {
            let store = lives.check_all(&when, options());
            Audit::check_unused(&store, lives.round);
            store.close().unwrap();
            grown.push(lives.file_bytes("table.redb"));
        }
    }
    let (names, counts) = (lives.audit.names(), &lives.audit.counts);
    opens.sort_unstable();
    println!(
        "kills {kills}, of which {early} while it opened, acknowledged operations {}, comparisons \
         {}, lost 0, in flight {} (happened {}), verified {}, checkpoints {}, swept rows {}, names \
         at the end {names}, table {} to {} bytes, opened in {:?} (median) to {:?} (longest)",
        counts.acknowledged,
        counts.compared,
        counts.in_flight.0,
        counts.in_flight.1,
        counts.verified,
        counts.checkpoints,
        counts.swept,
        grown[0],
        grown.last().unwrap(),
        opens[opens.len() / 2],
        opens.last().unwrap(),
    );
    assert!(counts.errors.is_empty(), "errors without a fault: {:?}", counts.errors);
    assert!(counts.acknowledged >= kills, "hardly anything was acknowledged");
    assert!(
        kills < 2 * ALL_EVERY || grown.first() < grown.last(),
        "nothing was carried, the store did not grow"
    );
}
