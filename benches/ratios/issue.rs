//! Durable issuing by a crowd: the store, the same with a log so short that it carries all the
//! time, a bare log, and a database with random keys.

use crate::scale::Scale;
use crate::table::{Bound, Line, median, ratios};
use grantkeep::Store;
use grantkeep_benches::workload::{FAMILY_LIFETIME, Issuer, TOKEN_LIFETIME};
use grantkeep_benches::yardstick::{BareLog, Pair, RandomKeys};
use grantkeep_benches::{CALLERS, Random, Scratch, Until, crowd, load};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const TURN_MS: u64 = 1_500;
const LOADED_PAIRS: u64 = 200_000;
const SHORT_LOG_BYTES: u64 = 8 << 20;
/// The short log is written through at least this often.
const BUDGETS_MIN: f64 = 5.0;
/// A turn waits at most this long for what the one before it has left to be carried.
const CARRYING_MAX: Duration = Duration::from_secs(10);
/// The yardstick's cache has all the memory that the store's two caches have.
const CACHE_BYTES: usize = grantkeep::ROW_CACHE_BYTES + grantkeep::TABLE_CACHE_BYTES;
/// The rows' lengths in the yardstick; the store's records are as long.
const TOKEN_BYTES: usize = 220;
const FAMILY_BYTES: usize = 300;

pub(crate) fn measure(scale: &Scale) -> Vec<Line> {
    let scratch = Scratch::new();
    let loaded = scale.rows(LOADED_PAIRS);
    let open = |name: &str, log_budget_bytes| {
        let options = Store::options().log_budget_bytes(log_budget_bytes);
        let store = options.open(scratch.path(name)).expect("a store");
        load::pairs(&store, 0..loaded, TOKEN_LIFETIME, FAMILY_LIFETIME);
        store
    };
    let whole = open("whole", grantkeep::LOG_BUDGET_BYTES);
    let short = open("short", SHORT_LOG_BYTES);
    let mut random = Random::new(3);
    let pairs = (0..loaded).map(|_| Pair::random(&mut random, TOKEN_BYTES, FAMILY_BYTES));
    let random_keys = RandomKeys::create(&scratch.path("redb"), CACHE_BYTES, pairs.collect());
    let random_keys = random_keys.expect("the yardstick opens");
    let bare_log = BareLog::create(&scratch.path("bare")).expect("the yardstick opens");

    let turn = Until::Elapsed(scale.turn(TURN_MS));
    let mut issuers = Issuer::crowd(CALLERS, 1);
    let frame = vec![5; frame_bytes(&whole, &mut issuers)];
    let mut randoms: Vec<Random> = (0..CALLERS as u64).map(|c| Random::new(1 << 40 | c)).collect();
    let mut rates: [Vec<f64>; 4] = Default::default();
    let [of_whole, of_short, of_bare, of_random] = &mut rates;
    let mut short_pairs = 0;
    come_to_rest(&short);
    for _ in 0..ROUNDS {
        let issue = |store| move |issuer: &mut Issuer| issuer.issue(store);
        of_whole.push(crowd(&mut issuers, turn, issue(&whole)).per_second());
        let ran = crowd(&mut issuers, turn, issue(&short));
        of_short.push(ran.per_second());
        short_pairs += ran.calls();
        come_to_rest(&short);
        of_bare.push(crowd(&mut randoms, turn, |_| bare_log.append(&frame)).per_second());
        let insert = |random: &mut Random| {
            random_keys.issue(Pair::random(random, TOKEN_BYTES, FAMILY_BYTES));
        };
        of_random.push(crowd(&mut randoms, turn, insert).per_second());
    }
    let budgets = (short_pairs * frame.len() as u64) as f64 / SHORT_LOG_BYTES as f64;
    let stats = short.stats();
    println!(
        "  (issue: {} bytes of log a pair, {loaded} pairs loaded; the short log was written \
         through {budgets:.1} times, {} rows carried, {} stalls)",
        frame.len(),
        stats.carried_rows,
        stats.log_stalls
    );
    if budgets < BUDGETS_MIN {
        println!("  (issue: too short a run to judge the short log by)");
    }
    let line = |what: &str, ours: &[f64], theirs: &[f64], bound| Line {
        what: what.to_owned(),
        sides: format!("{:.0}/s against {:.0}/s", median(ours), median(theirs)),
        rounds: ratios(ours, theirs),
        unit: " x",
        bound,
    };
    let [of_whole, of_short, of_bare, of_random] = &rates;
    vec![
        line("issue pairs / redb, random keys", of_whole, of_random, Bound::AtLeast(5.0)),
        line("issue pairs / bare log", of_whole, of_bare, Bound::AtLeast(0.5)),
        line("issue pairs, 8 MiB log / redb", of_short, of_random, Bound::AtLeast(3.0)),
        line("issue pairs, 8 MiB log / bare log", of_short, of_bare, Bound::Free),
    ]
}

/// What one pair takes in the log: so much the bare log writes as well.
fn frame_bytes(store: &Store, issuers: &mut [Issuer]) -> usize {
    let before = store.stats().log_backlog_bytes;
    let ran = crowd(issuers, Until::Calls(2_000), |issuer| issuer.issue(store));
    let after = store.stats().log_backlog_bytes;
    (after.saturating_sub(before) / ran.calls()) as usize
}

/// Waits until the store has carried what it carries by itself, so that the next turn is not
/// disturbed by this one.
fn come_to_rest(store: &Store) {
    let started = Instant::now();
    let mut carried = store.stats().carried_rows;
    while started.elapsed() < CARRYING_MAX {
        thread::sleep(Duration::from_millis(120));
        let now = store.stats().carried_rows;
        if now == carried {
            return;
        }
        carried = now;
    }
}
