//! Runs many damages, each on a copy of its own, and counts what comes of them.

use crate::harm::{Changed, Harm};
use crate::judge::{Judged, Outcome, judge};
use crate::regions::{frames, is_segment};
use crate::world::{Ledger, Left, World};
use grantkeep_tests::sim_disk::SimDisk;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Longer than this a damaged store may not take to open and to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const WORKERS: usize = 2;
/// One in so many stores that a damage did not harm goes on for a while.
const AGAIN: usize = 8;

/// What came of all damages.
#[derive(Debug, Default)]
pub struct Counts {
    pub done: usize,
    pub unchanged: usize,
    pub refused: usize,
    pub told: usize,
    pub harmless: usize,
    /// The end of the log was lost after an end that was not orderly.
    pub shortened: usize,
    /// Damages that a verification found where no read met them.
    pub verified: usize,
    pub refusals: BTreeMap<String, usize>,
    /// Damages that the documents say cannot be seen at once, by what they say.
    pub documented: BTreeMap<&'static str, usize>,
    pub wrong: Vec<String>,
}

/// Panics that were met outside of redb and of the tests, which nothing may cause.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// redb gives damaged files up by a panic, which the engine turns into an error: these need not be
/// printed, those of the engine itself are noted.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(|place| place.to_string()).unwrap_or_default();
            if place.contains("crates/grantkeep") {
                PANICS.lock().unwrap().push(format!("{panic}"));
            }
            if place.contains("grantkeep") || place.starts_with("tests") {
                default(panic);
            }
        }));
    });
}

/// Runs all `harms`, on as many threads as are of use.
pub fn run(world: &World, harms: &[(usize, Harm)]) -> Counts {
    watch_panics();
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(Counts::default()));
    let at_work: Vec<Mutex<Option<(Instant, String)>>> =
        (0..WORKERS).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let workers: Vec<_> = at_work
            .iter()
            .map(|slot| {
                let (next, counts) = (&next, &counts);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some((left, harm)) = harms.get(number) else { break };
                        let left = &world.left[*left];
                        let line = format!("{}: {harm}", left.name);
                        *slot.lock().unwrap() = Some((Instant::now(), line.clone()));
                        try_one(world, left, (number, harm), &line, counts);
                        *slot.lock().unwrap() = None;
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            for slot in &at_work {
                if let Some((since, line)) = &*slot.lock().unwrap()
                    && since.elapsed() > PATIENCE
                {
                    // Nothing else ends a thread that hangs.
                    eprintln!("a damaged store hangs: {line}");
                    std::process::abort();
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut counts = counts.into_inner().unwrap();
    counts.wrong.extend(PANICS.lock().unwrap().drain(..));
    counts
}

fn try_one(
    world: &World,
    left: &Left,
    (number, harm): (usize, &Harm),
    line: &str,
    counts: &Mutex<Counts>,
) {
    let disk = left.disk.kill();
    let changed = harm.apply(&disk, &world.earlier);
    if changed.is_empty() {
        counts.lock().unwrap().unchanged += 1;
        return;
    }
    let excused = shortened_to(left, &disk, &changed);
    let mut ledgers = vec![&left.ledger];
    ledgers.extend(excused);
    let again = number.is_multiple_of(AGAIN);
    let judged = catch_unwind(AssertUnwindSafe(|| judge(&disk, world.wall, &ledgers, again)));
    let mut counts = counts.lock().unwrap();
    counts.done += 1;
    let Ok(Judged { outcome, verified }) = judged else {
        counts.wrong.push(format!("{line}\n    a panic"));
        return;
    };
    let of_the_reserve = changed.iter().all(|changed| changed.path.ends_with("reserve"));
    match outcome {
        Outcome::Refused(..) | Outcome::Told(_) if of_the_reserve => {
            counts.wrong.push(format!("{line}\n    the reserve holds nothing: {outcome:?}"));
        }
        Outcome::Refused(kind, text) => {
            counts.refused += 1;
            *counts.refusals.entry(format!("{kind:?}: {}", without_numbers(&text))).or_default() +=
                1;
        }
        Outcome::Told(text) => {
            counts.told += 1;
            *counts.refusals.entry(format!("told: {}", without_numbers(&text))).or_default() += 1;
        }
        Outcome::Harmless => {
            counts.harmless += 1;
            counts.verified += usize::from(verified.is_some_and(|damages| damages > 0));
            counts.shortened += usize::from(excused.is_some());
        }
        Outcome::Wrong(wrong) => match documented(harm, &wrong, verified) {
            Some(what) => *counts.documented.entry(what).or_default() += 1,
            None => {
                let found = wrong.len();
                let first: Vec<_> = wrong.iter().take(2).collect();
                let line = format!("{line}\n    verified {verified:?}, {found} wrong: {first:?}");
                counts.wrong.push(line);
            }
        },
    }
}

/// What the documents say of a damage that no open and no read can see.
fn documented(harm: &Harm, wrong: &[String], verified: Option<u64>) -> Option<&'static str> {
    let all = |what: &str| wrong.iter().all(|line| line.contains(what));
    match harm {
        Harm::Older { parts, .. } => {
            let has = |name: &str| parts.iter().any(|part| part.ends_with(name));
            if has("LOCK") && has("log") {
                return Some("the directory put back as it was");
            }
            (has("keyring") && all("the text of")).then_some("the keyring put back as it was")
        }
        Harm::Region { path, .. } if path.ends_with("table.redb") => {
            let seen = all("is missing in the listing") && verified != Some(0);
            seen.then_some("a listing that misses a row, found by verify")
        }
        _ => None,
    }
}

/// What a store may answer whose log has lost its end: as after a write that was torn, no frame
/// that is left proves what is gone. Only after an end that was not orderly.
fn shortened_to<'a>(left: &'a Left, disk: &SimDisk, changed: &[Changed]) -> Option<&'a Ledger> {
    let mut of_log = changed.iter().filter(|changed| is_segment(&changed.path));
    let Changed { path, range } = of_log.next()?;
    if of_log.next().is_some() {
        return None;
    }
    if left.closed || *path != left.newest || disk.content(path).is_none() {
        return None;
    }
    let frames = frames(&left.disk.content(path).unwrap());
    let first = frames.iter().position(|frame| frame.range.end > range.start)?;
    let missing = frames[first].sequence;
    let proven = frames.iter().any(|frame| frame.range.start >= range.end && frame.base >= missing);
    let lost = frames.len() - first;
    let at = left.trail.len().checked_sub(lost + 1);
    if proven { None } else { at.map(|at| &left.trail[at]) }
}

fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if !(c == '0' && kept.ends_with('0')) {
            kept.push(c);
        }
    }
    kept.chars().take(150).collect()
}
