//! Opens a damaged store, reads everything there is a name for, and judges what it says: it may
//! refuse, it may answer that something is damaged, and what it answers else must be right.

use crate::world::{Ledger, open};
use grantkeep::backend::{Backend as _, Key, Row, Term};
use grantkeep::{ErrorKind, ManualClock, Record as _, Store, Timestamp, Token, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

/// How an open may tell of damage.
const REFUSALS: [ErrorKind; 4] =
    [ErrorKind::Corrupt, ErrorKind::Format, ErrorKind::Keyring, ErrorKind::NotAStore];

/// What a damaged store does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It does not open: the kind of the error, and its text.
    Refused(ErrorKind, String),
    /// Some reads answer that something is damaged, all others are right.
    Told(String),
    /// Everything is right.
    Harmless,
    /// Something is wrong, and nothing said so.
    Wrong(Vec<String>),
}

/// What was read of a damaged store.
#[derive(Debug)]
pub struct Judged {
    pub outcome: Outcome,
    /// How many damages its verification has found; `None` if it did not come to its end.
    pub verified: Option<u64>,
}

/// Opens and judges the store on `disk`; `again` closes, reopens, and judges it once more.
pub fn judge(disk: &SimDisk, wall: SystemTime, ledgers: &[&Ledger], again: bool) -> Judged {
    let clock = Arc::new(ManualClock::at(wall));
    let store = match open(disk, &clock) {
        Ok(store) => store,
        Err(error) => {
            let (kind, text) = (error.kind(), chain(&error));
            let outcome = if REFUSALS.contains(&kind) {
                Outcome::Refused(kind, text)
            } else {
                Outcome::Wrong(vec![format!("damage is told as {kind:?}: {text}")])
            };
            return Judged { outcome, verified: None };
        }
    };
    let best = ledgers.iter().map(|ledger| Reading::of(&store, ledger, wall)).reduce(better);
    let mut reading = best.unwrap();
    let verified = match store.verify(|_| {}).wait() {
        Ok(verified) => Some(verified.damages),
        Err(error) => {
            reading.tell(&error);
            None
        }
    };
    if again && reading.wrong.is_empty() && reading.told.is_none() {
        reading.check_again(store, disk, &clock, ledgers);
    }
    Judged { outcome: reading.outcome(), verified }
}

fn better(one: Reading, other: Reading) -> Reading {
    if other.wrong.is_empty() && !one.wrong.is_empty() { other } else { one }
}

/// What the store answered, held against one ledger.
#[derive(Debug, Default)]
struct Reading {
    told: Option<String>,
    wrong: Vec<String>,
}

impl Reading {
    fn of(store: &Store, ledger: &Ledger, wall: SystemTime) -> Self {
        let mut reading = Self::default();
        if store.now() != Timestamp::from(wall) {
            reading.wrong.push(format!("the store's time is {:?}", store.now()));
        }
        for (key, expected) in &ledger.rows {
            match store.backend().get(*key).wait() {
                Err(error) => reading.tell(&error),
                Ok(found) => reading.check_row(ledger, *key, expected.as_ref(), found.as_ref()),
            }
        }
        let terms: BTreeSet<Term> = ledger.rows.values().flatten().flat_map(terms).collect();
        for term in terms {
            match store.backend().list(term, None, 1_000).wait() {
                Err(error) => reading.tell(&error),
                Ok(page) => reading.check_listing(ledger, term, &page.rows),
            }
        }
        for (text, key) in &ledger.texts {
            match store.find::<Token>(text).wait() {
                Err(error) => reading.tell(&error),
                Ok(found) => {
                    let due = ledger.rows[key].is_some();
                    if found.is_some_and(|held| held.id == key.id) != due {
                        reading.wrong.push(format!("the text of {key:?} does not lead to it"));
                    }
                    assert_eq!(key.kind, Token::KIND);
                }
            }
        }
        reading
    }

    /// An error on the way: it must say that something is damaged.
    fn tell(&mut self, error: &grantkeep::Error) {
        let line = chain(error);
        let fitting = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io);
        if fitting && !line.contains("thread died") {
            self.told.get_or_insert(line);
        } else {
            self.wrong.push(format!("an error of kind {:?}: {line}", error.kind()));
        }
    }

    fn check_row(
        &mut self,
        ledger: &Ledger,
        key: Key,
        expected: Option<&Row>,
        found: Option<&Row>,
    ) {
        let wrong = match (expected, found) {
            (None, None) => return,
            (Some(expected), Some(found)) if is_same(expected, found) => return,
            (None, Some(found)) => {
                if ledger.swept.get(&key).is_some_and(|swept| is_same(swept, found)) {
                    return;
                }
                format!("{found:?} is revived")
            }
            (Some(expected), None) => format!("{expected:?} is lost"),
            (Some(expected), Some(found)) => format!("{found:?} is told for {expected:?}"),
        };
        self.wrong.push(wrong);
    }

    fn check_listing(&mut self, ledger: &Ledger, term: Term, found: &[Row]) {
        let due = ledger.rows.values().flatten().filter(|row| terms(row).any(|own| own == term));
        for row in due {
            if !found.iter().any(|found| is_same(row, found)) {
                self.wrong.push(format!("{:?} is missing in the listing of {term:?}", row.key()));
            }
        }
    }

    /// Lets the store go on for a while: what does no harm at first must not do so later.
    fn check_again(
        &mut self,
        store: Store,
        disk: &SimDisk,
        clock: &Arc<ManualClock>,
        ledgers: &[&Ledger],
    ) {
        use grantkeep::Clock as _;
        let gone_on = store.checkpoint().wait().and_then(|()| store.close());
        drop(store);
        if let Err(error) = gone_on {
            self.tell(&error);
            return;
        }
        match open(disk, clock) {
            Err(error) => self.tell(&error),
            Ok(store) => {
                let wall = clock.wall();
                let readings = ledgers.iter().map(|ledger| Self::of(&store, ledger, wall));
                let reading = readings.reduce(better).unwrap();
                self.told = reading.told;
                self.wrong.extend(reading.wrong.iter().map(|wrong| format!("later {wrong}")));
            }
        }
    }

    fn outcome(self) -> Outcome {
        match (self.wrong.is_empty(), self.told) {
            (false, _) => Outcome::Wrong(self.wrong),
            (true, Some(told)) => Outcome::Told(told),
            (true, None) => Outcome::Harmless,
        }
    }
}

fn terms(row: &Row) -> impl Iterator<Item = Term> {
    row.terms().iter().collect::<Vec<_>>().into_iter()
}

fn is_same(one: &Row, other: &Row) -> bool {
    (one.key(), one.version(), one.op()) == (other.key(), other.version(), other.op())
        && one.value() == other.value()
        && (one.expires_at(), one.terms()) == (other.expires_at(), other.terms())
}

fn chain(error: &grantkeep::Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}
