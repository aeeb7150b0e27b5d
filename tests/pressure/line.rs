//! The line of commits that wait for room in the log.

use futures_executor::block_on;
use futures_util::future::join_all;
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Digest, Embedded};
use grantkeep_tests::{backend, manual_clock};
use std::time::{Duration, Instant};

const TASKS: u64 = 2_000;
const THREADS: u64 = 2;
const LASTS: Duration = Duration::from_secs(6);
const VALUE_BYTES: usize = 16 << 10;
/// Two tasks differ by at most so many commits: one at either end of the run, and one for the
/// order in which two threads poll what was called at once.
const APART_MAX: u64 = 3;
/// The longest wait is at most so many times the fair one: a round of the line is not always as
/// quick, since the table's commits are not.
const WAIT_FACTOR: u32 = 4;

/// One task's commits, and its longest wait.
async fn commit_until(engine: &Embedded, task: u64, end: Instant) -> (u64, Duration) {
    let (mut commits, mut longest) = (0_u64, Duration::ZERO);
    while Instant::now() < end {
        let name = [task.to_le_bytes(), commits.to_le_bytes()].concat();
        let expires_at = engine.now().saturating_add(Duration::from_secs(3_600));
        let mut batch = Batch::new().unwrap();
        let value = vec![7; VALUE_BYTES];
        let key = Key::new(Kind::write_once(200), Digest::of_name("line", &name));
        batch.insert(key, NewRow { value, expires_at, terms: Terms::NONE });
        let begun = Instant::now();
        assert_eq!(engine.commit(batch).await.unwrap(), Outcome::Applied);
        longest = longest.max(begun.elapsed());
        commits += 1;
    }
    (commits, longest)
}

// Goal: first come, first served: with many more tasks than there is room for in the log, each has
// its share of the commits, none waits much longer than that takes, and `log_stalls` counts commits
// and not tries. Method: 2,000 tasks commit 16 KiB each over a log of 2 MiB, again and again.
#[test]
fn every_task_has_its_share() {
    let _alone = super::alone();
    let (engine, _dir) = backend(&manual_clock(), |options| options.by_itself(true));
    let begun = Instant::now();
    let end = begun + LASTS;
    let all: Vec<(u64, Duration)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let engine = &engine;
                let own = (0..TASKS).filter(move |task| task % THREADS == thread);
                scope.spawn(move || {
                    block_on(join_all(own.map(|task| commit_until(engine, task, end))))
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    let commits: u64 = all.iter().map(|(commits, _)| commits).sum();
    let least = all.iter().map(|(commits, _)| *commits).min().unwrap();
    let most = all.iter().map(|(commits, _)| *commits).max().unwrap();
    let longest = all.iter().map(|(_, longest)| *longest).max().unwrap();
    // Everybody has one commit in the line at any time.
    let fair = took.mul_f64(TASKS as f64 / commits as f64);
    let stats = engine.stats();
    println!(
        "pressure: a line of {TASKS} tasks: {commits} commits, {least} to {most} each, longest \
         wait {longest:.2?}, a fair one {fair:.2?}, commits that waited {}",
        stats.log_stalls
    );
    assert!(stats.log_stalls > commits / 2, "the log was never short of room: {stats:?}");
    assert!(stats.log_stalls <= stats.commits, "{stats:?}");
    assert!(most - least <= APART_MAX, "{least} to {most}");
    assert!(longest <= fair * WAIT_FACTOR, "{longest:?} where {fair:?} is fair");
    engine.close().unwrap();
}
