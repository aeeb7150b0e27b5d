//! A process killed while it works, and the count of what is found again.

use super::Stop;
use super::tally::Tally;
use super::victim::CLIENT;
use crate::clock::MovedClock;
use crate::made;
use grantkeep::{Store, Wait as _};
use grantkeep_grants::{Grants, Introspection, Presented, Profile, Redeemed};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

const KILLS: u64 = 3;
/// How long the victim works before it is killed, from its first acknowledgment on: how long it
/// takes to open the store is the machine's affair.
const WORKS: Duration = Duration::from_millis(700);
/// How long the first acknowledgment may take.
const FIRST: Duration = Duration::from_secs(60);

/// What the victim said was acknowledged.
#[derive(Debug, Default)]
struct Ledger {
    spent: Vec<String>,
    issued: BTreeSet<String>,
    /// Asked to be revoked, whether or not that was acknowledged.
    revoking: BTreeSet<String>,
    revoked: BTreeSet<String>,
}

/// Kills a process at work on the store a few times, and opens the store after the last.
pub(crate) fn play(dir: &Path, clock: &Arc<MovedClock>, tally: &mut Tally) -> Result<Store, Stop> {
    println!("\nA process is killed (SIGKILL) while 8 callers work, {KILLS} times");
    let mut ledger = Ledger::default();
    let mut slowest = Duration::ZERO;
    for kill in 1..=KILLS {
        work_and_kill(dir, clock, &mut ledger)?;
        let started = Instant::now();
        let store = super::options(clock).create(false).open(dir)?;
        slowest = slowest.max(started.elapsed());
        if kill < KILLS {
            store.close()?;
            continue;
        }
        let acknowledged = ledger.spent.len() + ledger.issued.len() + ledger.revoked.len();
        let lost = check(&store, &ledger)?;
        let verified = store.verify(|_| {}).wait()?;
        let entries = verified.index_entries;
        let whole = format!("{entries} entries of the index, and all they lead to, verify");
        tally.promise(whole, verified.damages == 0);
        tally.fact("killed while at work", format!("{KILLS} times"));
        tally.fact("acknowledged before a kill", acknowledged.to_string());
        tally.fact("lost", lost.to_string());
        tally.fact("reopen after a kill, slowest", format!("{slowest:.1?}"));
        let found = format!("{acknowledged} acknowledged, {lost} lost");
        tally.promise(found, lost == 0 && acknowledged > 0);
        return Ok(store);
    }
    Err("no kill was made".into())
}

/// Starts the victim, reads its ledger, and kills it.
fn work_and_kill(dir: &Path, clock: &MovedClock, ledger: &mut Ledger) -> Result<(), Stop> {
    let mut command = Command::new(std::env::current_exe()?);
    let command = command.arg("victim").arg(dir).arg(clock.ahead_ms().to_string());
    let out = made::spawn(command.stdout(Stdio::piped()))?;
    let out = out.ok_or("the victim has no standard output")?;
    let (works, begun) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut out, mut text) = (BufReader::new(out), String::new());
        out.read_line(&mut text)?;
        // Nobody may be waiting for it any more.
        let _ = works.send(());
        out.read_to_string(&mut text).map(|_| text)
    });
    let first = begun.recv_timeout(FIRST);
    if first.is_ok() {
        std::thread::sleep(WORKS);
    }
    if let Some(status) = made::kill()? {
        return Err(format!("the victim ended by itself: {status}").into());
    }
    if first == Err(RecvTimeoutError::Timeout) {
        let waited_s = FIRST.as_secs();
        return Err(format!("the victim acknowledged nothing within {waited_s} s").into());
    }
    let text = reader.join().map_err(|_| "the ledger could not be read")??;
    // The kill may have cut the last line: only what follows a whole one had begun.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        match line.split_once(' ') {
            Some(("spent", code)) => ledger.spent.push(code.to_owned()),
            Some(("issued" | "rotated", token)) => {
                ledger.issued.insert(token.to_owned());
            }
            Some(("revoking", token)) => {
                ledger.revoking.insert(token.to_owned());
            }
            Some(("revoked", token)) => {
                ledger.revoked.insert(token.to_owned());
            }
            _ => return Err("the ledger holds a line that is not one".into()),
        }
    }
    Ok(())
}

/// Looks for everything acknowledged; answers how much of it is lost.
fn check(store: &Store, ledger: &Ledger) -> Result<usize, Stop> {
    let grants = Grants::new(store.clone(), Profile::rest_api_v1()?)?;
    let all = ledger.issued.len() + ledger.revoked.len() + ledger.spent.len();
    let bar = ProgressBar::new(u64::try_from(all)?).with_style(ProgressStyle::with_template(
        "  {msg:<12} [{bar:32}] {pos:>7}/{len} {per_sec:>12} {eta:>4}",
    )?);
    bar.set_message("checking");
    let mut lost = 0;
    for token in &ledger.issued {
        let answer = grants.introspect(token).wait()?;
        let must_be_active = !ledger.revoking.contains(token);
        lost += usize::from(must_be_active && matches!(answer, Introspection::Inactive));
        bar.inc(1);
    }
    for token in &ledger.revoked {
        let answer = grants.introspect(token).wait()?;
        lost += usize::from(matches!(answer, Introspection::Active(_)));
        bar.inc(1);
    }
    // Last, since a replay revokes.
    for code in &ledger.spent {
        let answer = grants.redeem(code, &Presented::by(CLIENT)).wait()?;
        lost += usize::from(!matches!(answer, Redeemed::Replayed { .. }));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(lost)
}
