//! What a crashing process notes of its work, and what a store answers for it.
//!
//! Each line is one write to a file opened for appending, so it outlives SIGKILL:
//!
//! ```text
//! I <thread> <name>=<state> ...   about to commit: afterwards these names have these states
//! A <thread> [<state>]            the commit was acknowledged
//! F <thread> <kind>               it was refused: it did not happen, and never does
//! U <thread> <kind>               its outcome is open
//! E <thread> <kind>               something else failed, which changes no name
//! S <checkpoints> <swept rows>    counts of the engine so far
//! ```
//!
//! A name is `<what>:<round>-<thread>-<number>`; a state ends in `@<expiry, ms>`. The content of a
//! row follows from its name and its state, so a row that is mixed up with another is seen.

use crate::samples;
use grantkeep::backend::{Backend, Key, Kind, Row};
use grantkeep::{
    Code, CodeState, Digest, Family, FamilyState, Held, Result, RevocationReason, Store, Timestamp,
    Token, Wait,
};
use std::collections::{BTreeMap, HashMap};

/// The kind of the write-once rows that no record type stands for.
pub const RAW: Kind = Kind::write_once(100);
/// The kind of the revised ones.
pub const REVISED: Kind = Kind::revised(101);
/// The kind of burnt values.
const BURNT: Kind = Kind::write_once(5);
/// What is answered for a name without a row.
pub const ABSENT: &str = "-";

/// The states that an operation gives to names.
pub type Effects = Vec<(String, String)>;

/// The subject of everything that this thread owns.
pub fn subject(thread: &str) -> String {
    format!("subject-{thread}")
}

/// The thread that owns a name.
pub fn thread_of(name: &str) -> &str {
    name.split('-').nth(1).unwrap()
}

/// When a state says that its row expires.
pub fn expiry(state: &str) -> Option<u64> {
    state.rsplit_once('@').and_then(|(_, ms)| ms.parse().ok())
}

/// The key of a row that no record type stands for.
pub fn raw_key(name: &str) -> Key {
    let kind = if name.starts_with("rev:") { REVISED } else { RAW };
    Key::new(kind, samples::id(name))
}

/// Until when a value is burnt by the wall clock, as its record says: a format byte, then the time
/// as a number of eight bytes behind their mark. The row expires by the store's own time.
fn burnt_until(value: &[u8]) -> u64 {
    match value {
        [4, 253, until @ ..] => u64::from_le_bytes(until.try_into().expect("eight bytes")),
        other => panic!("no burnt value: {other:?}"),
    }
}

/// The key under which a `jti` is burnt.
pub fn burnt_key(jti: &str) -> Key {
    Key::new(BURNT, Digest::of_name("jti", jti.as_bytes()))
}

/// The value of such a row in its `turn`.
pub fn raw_value(name: &str, turn: u64) -> Vec<u8> {
    let len = 10 + name.len() * usize::try_from(turn % 7).unwrap() * 17;
    format!("{turn} {name} ").bytes().cycle().take(len).collect()
}

/// The code of this name once it was spent.
pub fn spent(name: &str) -> Code {
    let state = CodeState::Spent {
        at: Timestamp::from_millis(1_800_000_000_000),
        family: Some(samples::family_id(name)),
    };
    Code { state, ..samples::code(name, &subject(thread_of(name))) }
}

/// The family of this name in some generation.
pub fn family(name: &str, generation: u32, revoked: bool) -> Family {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let state = match revoked {
        true => FamilyState::Revoked { at, reason: RevocationReason::Requested },
        false => FamilyState::Active,
    };
    Family { generation, state, ..samples::family(name, &subject(thread_of(name))) }
}

/// The state of a name as `store` answers it; content that does not fit the name is told as such.
///
/// # Panics
/// If the store does not answer.
pub fn observe<B: Backend>(store: &Store<B>, name: &str) -> String {
    try_observe(store, name).unwrap()
}

/// The same of a store that may fail.
///
/// # Errors
/// Whatever the look-up answers.
pub fn try_observe<B: Backend>(store: &Store<B>, name: &str) -> Result<String> {
    let (what, _) = name.split_once(':').unwrap();
    let id = samples::id(name);
    let own = subject(thread_of(name));
    let state = match what {
        "code" => store.get::<Code>(id).wait()?.map(|held| {
            let fresh = held.record == samples::code(name, &own);
            let spent = held.record == spent(name);
            told(&held, if fresh { "fresh" } else { "spent" }, fresh || spent)
        }),
        "tok" => store.get::<Token>(id).wait()?.map(|held| {
            let same = Token { epochs: held.record.epochs, ..samples::token(name, &own) };
            told(&held, "live", held.record == same)
        }),
        "fam" => store.get::<Family>(id).wait()?.map(|held| {
            let generation = held.record.generation;
            let revoked = held.record.state != FamilyState::Active;
            let state = format!("{generation}{}", if revoked { "revoked" } else { "active" });
            told(&held, &state, held.record == family(name, generation, revoked))
        }),
        "once" => {
            let row = store.backend().get(burnt_key(name)).wait()?;
            row.map(|row| format!("burnt@{}", burnt_until(row.value())))
        }
        "epoch" => {
            let subject = store.epochs(&own, "").wait()?.epochs().subject;
            subject.map(|epoch| format!("{epoch:?}"))
        }
        _ => store.backend().get(raw_key(name)).wait()?.map(|row| raw_state(name, &row)),
    };
    Ok(state.unwrap_or_else(|| ABSENT.to_owned()))
}

fn told<R>(held: &Held<R>, state: &str, whole: bool) -> String {
    let state = if whole { state } else { "mixed up" };
    format!("{state}@{}", held.expires_at.as_millis())
}

fn raw_state(name: &str, row: &Row) -> String {
    let text = String::from_utf8_lossy(row.value());
    let turn = text.split(' ').next().and_then(|turn| turn.parse().ok());
    match turn.filter(|turn| row.value() == raw_value(name, *turn)) {
        Some(turn) => format!("turn {turn}@{}", row.expires_at().as_millis()).replace(' ', "_"),
        None => "mixed_up".to_owned(),
    }
}

/// What one process noted before it was killed.
#[derive(Debug, Default)]
pub struct Noted {
    /// The effects that were acknowledged, in an order that holds for each name.
    pub acknowledged: Vec<Effects>,
    /// Those that may have happened.
    pub in_flight: Vec<Effects>,
    /// Those that did not happen.
    pub refused: Vec<Effects>,
    /// Errors by their kind.
    pub errors: BTreeMap<String, u64>,
    /// Checkpoints of the engine.
    pub checkpoints: u64,
    /// Rows it swept.
    pub swept: u64,
}

/// Reads what a ledger says behind its first `from` bytes, without the outcomes of what was
/// intended before.
///
/// # Panics
/// As [`read`].
pub fn read_from(text: &str, from: usize) -> Noted {
    let mut begun = std::collections::HashSet::new();
    let mut line_begins = false;
    let known = |line: &&str| {
        let thread = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        line.starts_with('I') && begun.insert(thread.clone()) || begun.contains(&thread)
    };
    let behind =
        text[from..].split_inclusive('\n').filter(|_| std::mem::replace(&mut line_begins, true));
    read(&behind.filter(known).collect::<String>())
}

/// Reads a ledger. A last line without its end was never acknowledged.
///
/// # Panics
/// If a line is none of a ledger's.
pub fn read(text: &str) -> Noted {
    let mut noted = Noted::default();
    let mut open: HashMap<&str, Effects> = HashMap::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("I"), Some(thread)) => {
                let effect = |word: &str| word.split_once('=').map(|(n, s)| (n.into(), s.into()));
                let effects = words.map(|word| effect(word).expect(line)).collect();
                assert!(open.insert(thread, effects).is_none(), "two intents at once: {line}");
            }
            (Some("A"), Some(thread)) => {
                let mut effects = open.remove(thread).expect(line);
                if let Some(state) = words.next() {
                    state.clone_into(&mut effects[0].1);
                }
                noted.acknowledged.push(effects);
            }
            (Some(what @ ("F" | "U" | "E")), Some(thread)) => {
                *noted.errors.entry(words.next().unwrap().to_owned()).or_default() += 1;
                match what {
                    "F" => noted.refused.push(open.remove(thread).expect(line)),
                    "U" => noted.in_flight.push(open.remove(thread).expect(line)),
                    _ => assert!(!open.contains_key(thread), "an intent is open: {line}"),
                }
            }
            (Some("S"), Some(checkpoints)) => {
                noted.checkpoints = checkpoints.parse().expect(line);
                noted.swept = words.next().unwrap().parse().expect(line);
            }
            _ => panic!("not a line of a ledger: {line}"),
        }
    }
    noted.in_flight.extend(open.into_values());
    noted
}
