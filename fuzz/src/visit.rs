//! Using a store that may be damaged in every way: an error is allowed, a panic and a wrong answer
//! are not.

use crate::record::Said;
use crate::written::{self, TERMS, term};
use grantkeep::backend::{Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms};
use grantkeep::{Digest, Embedded, Error, ErrorKind, Result, Wait as _};
use grantkeep_tests::sim_disk::SimDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PAGE_ROWS: usize = 5;
const PAGES_MAX: usize = 100;

/// What a store answered.
#[derive(Debug)]
pub(crate) struct Answers {
    /// True if a verification found no damage.
    pub(crate) clean: bool,
    /// For each key the row, none, or an error.
    pub(crate) rows: BTreeMap<Key, Result<Option<Said>, ErrorKind>>,
    /// For each term its rows.
    pub(crate) lists: Vec<Result<Vec<Said>, ErrorKind>>,
}

/// An open store that is looked at.
#[derive(Debug)]
pub(crate) struct Visit {
    backend: Embedded,
    keys: Vec<Key>,
}

impl Visit {
    /// Opens the store; `None` if it is refused for its damage.
    pub(crate) fn new(disk: &SimDisk, keys: Vec<Key>) -> Option<Self> {
        match written::open(disk) {
            Ok(backend) => Some(Self { backend, keys }),
            Err(error) => {
                kind(&error);
                None
            }
        }
    }

    /// Verifies the store, and asks for every key and every list.
    pub(crate) fn ask(&self) -> Answers {
        let verified = self.backend.verify(|_| {}).wait();
        let clean = verified.map_err(|error| kind(&error)).is_ok_and(|found| found.damages == 0);
        let rows = self.keys.iter().map(|key| {
            let found = self.backend.get(*key).wait().map_err(|error| kind(&error));
            (*key, found.map(|row| row.as_ref().map(Said::by_row)))
        });
        Answers { clean, rows: rows.collect(), lists: (0..TERMS).map(|n| self.list(n)).collect() }
    }

    fn list(&self, number: u8) -> Result<Vec<Said>, ErrorKind> {
        let (mut rows, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.backend.list(term(number), after, PAGE_ROWS).wait();
            let page = page.map_err(|error| kind(&error))?;
            assert!(page.rows.len() <= PAGE_ROWS);
            assert!(page.rows.iter().all(|row| row.terms().iter().any(|own| own == term(number))));
            rows.extend(page.rows.iter().map(Said::by_row));
            if page.next.is_none() {
                assert!(rows.is_sorted_by(|a, b| a.key < b.key), "in order, each once");
                return Ok(rows);
            }
            assert!(page.next > after, "a listing goes on");
            after = page.next;
        }
        panic!("a listing does not end");
    }

    /// Issues, carries, sweeps, and closes; answers whether all of that worked.
    pub(crate) fn go_on(self) -> bool {
        let Self { backend, .. } = self;
        let key = Key::new(Kind::write_once(9), Digest::from_bytes([0xee; 32]));
        let issued = (|| -> Result<()> {
            let mut batch = Batch::new()?;
            let value = b"issued afterwards".to_vec();
            let expires_at = backend.now().saturating_add(Duration::from_secs(60));
            batch.insert(key, NewRow { value: value.clone(), expires_at, terms: Terms::NONE });
            if backend.commit(batch).wait()? == Outcome::Applied {
                let found = backend.get(key).wait()?;
                let dead = expires_at <= backend.now();
                assert!(dead || found.is_some_and(|row| row.value() == value), "not read back");
            }
            Ok(())
        })();
        let checkpoint = backend.checkpoint().wait();
        let swept = backend.sweep(Budget::ALL).wait().map(drop);
        let closed = backend.close();
        let all = [issued, checkpoint, swept, closed];
        let kinds: Vec<ErrorKind> =
            all.into_iter().filter_map(Result::err).map(|error| kind(&error)).collect();
        kinds.is_empty()
    }
}

/// Demands that an error is one that damage may cause.
fn kind(error: &Error) -> ErrorKind {
    let allowed = [
        ErrorKind::Corrupt,
        ErrorKind::Format,
        ErrorKind::Io,
        ErrorKind::Missing,
        ErrorKind::Unavailable,
        ErrorKind::Unknown,
        ErrorKind::Clock,
    ];
    assert!(allowed.contains(&error.kind()), "{error:?}");
    error.kind()
}

/// Uses a store in which entries were forged: each row that is answered must have been said
/// somewhere.
pub(crate) fn use_forged(disk: &SimDisk, keys: Vec<Key>, said: &BTreeSet<Said>) {
    let Some(visit) = Visit::new(disk, keys) else { return };
    let Answers { rows, lists, .. } = visit.ask();
    let answered = rows.into_values().flatten().flatten();
    for row in answered.chain(lists.into_iter().flatten().flatten()) {
        assert!(said.contains(&row), "{row:?} stands nowhere");
    }
    visit.go_on();
}
