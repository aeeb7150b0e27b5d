//! How many instructions each decision takes, the store's own threads included: figures that repeat
//! where times do not.
//!
//! This program runs itself under `valgrind --tool=callgrind`, once with few calls of a kind and
//! once with more, after the same preparation: the difference is what the calls take. A figure
//! above its bound is an error. Bounds are a tenth above what was found when they were written;
//! who makes a decision dearer by more has to say so here:
//!
//! - Each look-up takes 160 instructions more (1,380 before, for an unknown token) since a thread
//!   may wait inside a wait, each wait hands over what it was offered, and a store that found
//!   damage or is closed refuses to read. Decisions of several look-ups took as much more for each.
//! - An introspection takes 1,240 more, for the epoch of the pair of subject and client: one digest
//!   and one probe.
//! - Issuing takes 6,500 more: what rests on a pair carries its term, and one condition more.
//! - A redemption takes 13,500 more and a refresh 10,800: that of the pair, the client's record
//!   with its grant types and its policy, and four digests that mask a refresh token.

use grantkeep::{Store, Wait};
use grantkeep_benches::workload::{Issuer, TOKEN_LIFETIME, TokenText};
use grantkeep_benches::{Scratch, granted, load};
use grantkeep_grants::{Introspection, Presented, Redeemed, RefreshRequest, Refreshed};
use std::hint::black_box;
use std::process::{Command, ExitCode};

/// Calls of the two runs.
const CALLS: [u64; 2] = [200, 1_200];
/// Rows, or grants, that are there before.
const PREPARED: u64 = CALLS[1];

/// Reads for each call of the others: they are so short that the preparation's noise would show.
const READS: u64 = 20;

/// A kind of call: what prepares it and calls it so often, and how many instructions one may take.
struct Case {
    name: &'static str,
    run: fn(&Scratch, u64),
    instructions_max: u64,
}

/// They were 5,350, 1,730, 9,700, 19,200, 41,500, 70,300, and 63,500 while a row in memory was
/// shared, and not copied out of a chunk: a gap, and to come down again.
const CASES: [Case; 7] = [
    Case { name: "look up, hot", run: look_up, instructions_max: 5_500 },
    Case { name: "look up, unknown", run: look_up_unknown, instructions_max: 1_780 },
    Case { name: "introspect, 43 characters", run: introspect, instructions_max: 11_000 },
    Case { name: "introspect, 1200 characters", run: introspect_long, instructions_max: 19_200 },
    Case { name: "issue a pair", run: issue, instructions_max: 44_500 },
    Case { name: "redeem", run: redeem, instructions_max: 82_500 },
    Case { name: "refresh", run: refresh, instructions_max: 79_000 },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [called, name, calls] = &arguments[..]
        && called == "--called"
    {
        let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
        (case.run)(&Scratch::new(), calls.parse().expect("a number of calls"));
        return ExitCode::SUCCESS;
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        // Built and run as a test: nothing to be proven here.
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped because there is no valgrind on this machine");
        return ExitCode::SUCCESS;
    }
    let mut kept = true;
    for case in CASES {
        let [few, many] = CALLS.map(|calls| instructions(case.name, calls));
        let reads = case.name.starts_with("look up") || case.name.starts_with("introspect");
        let times = if reads { READS } else { 1 };
        let each = many.saturating_sub(few) / (CALLS[1] - CALLS[0]) / times;
        let met = each <= case.instructions_max;
        kept &= met;
        let verdict = if met { "PASS" } else { "MISS" };
        let bound = case.instructions_max;
        println!("{:<28} {each:>7} instructions a call, at most {bound:>7} {verdict}", case.name);
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All instructions of a process that makes so many calls.
fn instructions(name: &str, calls: u64) -> u64 {
    let program = std::env::current_exe().expect("the path of this program");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let ran = valgrind.arg(program).args(["--called", name, &calls.to_string()]).output();
    let ran = ran.expect("valgrind runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{name}: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let collected = collected.and_then(|(_, figure)| figure.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("callgrind counted nothing: {said}"))
}

fn store(scratch: &Scratch) -> Store {
    let store = Store::options().by_itself(false).open(scratch.path("store")).expect("a store");
    load::tokens(&store, 0..PREPARED, 43, TOKEN_LIFETIME);
    store
}

fn look_up(scratch: &Scratch, calls: u64) {
    let (store, mut text) = (store(scratch), TokenText::new(43));
    for number in 0..calls * READS {
        let text = black_box(text.of(number % PREPARED));
        let found = store.find::<grantkeep::Token>(text).wait();
        assert!(found.expect("a look-up").is_some(), "a token is missing");
    }
}

fn look_up_unknown(scratch: &Scratch, calls: u64) {
    let (store, mut text) = (store(scratch), TokenText::new(43));
    for number in PREPARED..PREPARED + calls * READS {
        let found = store.find::<grantkeep::Token>(black_box(text.of(number))).wait();
        assert!(found.expect("a look-up").is_none(), "an unknown token is there");
    }
}

fn introspect(scratch: &Scratch, calls: u64) {
    introspected(scratch, calls, granted::CHARACTERS[0]);
}

fn introspect_long(scratch: &Scratch, calls: u64) {
    introspected(scratch, calls, granted::CHARACTERS[1]);
}

fn introspected(scratch: &Scratch, calls: u64, characters: usize) {
    let grants = granted::grants(scratch, characters);
    let tokens = granted::tokens(&grants, PREPARED as usize);
    for token in tokens.iter().cycle().take((calls * READS) as usize) {
        let answer = grants.introspect(black_box(token.expose())).wait();
        assert!(matches!(answer, Ok(Introspection::Active(_))), "a token is not active");
    }
}

fn issue(scratch: &Scratch, calls: u64) {
    let store = store(scratch);
    let mut issuers = Issuer::crowd(1, 1);
    for issuer in &mut issuers {
        (0..calls).for_each(|_| issuer.issue(&store));
    }
}

fn redeem(scratch: &Scratch, calls: u64) {
    let grants = granted::grants(scratch, granted::CHARACTERS[0]);
    let codes = granted::codes(&grants, PREPARED as usize);
    let presented = Presented::by(granted::CLIENT);
    for code in &codes[..calls as usize] {
        let answer = grants.redeem(black_box(code.expose()), &presented).wait();
        assert!(matches!(answer, Ok(Redeemed::Granted(_))), "a code was refused");
    }
}

fn refresh(scratch: &Scratch, calls: u64) {
    let grants = granted::grants(scratch, granted::CHARACTERS[0]);
    let tokens = granted::refresh_tokens(&grants, PREPARED as usize);
    let request = RefreshRequest::by(granted::CLIENT);
    for token in &tokens[..calls as usize] {
        let answer = grants.refresh(black_box(token.expose()), &request).wait();
        assert!(matches!(answer, Ok(Refreshed::Rotated(_))), "a refresh token was refused");
    }
}
