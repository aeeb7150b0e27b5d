//! Owners: whom a record belongs to, and the terms that it is listed by.
//!
//! An owner is known by its *term*, 16 bytes of a digest of its name or names. Records are listed
//! by it, and the owner's epoch is filed under it, so a row that is read names both.

use super::{bytes, hex};
use crate::backend::{Term, Terms};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whose records are listed, or revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A subject.
    Subject(&'a str),
    /// A client.
    Client(&'a str),
    /// A client, in what it has on behalf of a subject. Neither name is empty.
    Pair {
        /// Whom it acts for.
        subject: &'a str,
        /// The client.
        client: &'a str,
    },
    /// A log-in session. Families are listed by it, and what was granted in it rests on its epoch.
    /// Its name is not empty, and no other session has it, whosever that is.
    Session(&'a str),
}

impl Owner<'_> {
    /// What its records are listed by, and its epoch is filed under.
    pub(super) fn term(self) -> Term {
        match self {
            Self::Subject(name) => term(&Digest::of_name("subject", name.as_bytes())),
            Self::Client(name) => term(&Digest::of_name("client", name.as_bytes())),
            Self::Pair { subject, client } => {
                term(&Digest::of_names("pair", [subject.as_bytes(), client.as_bytes()]))
            }
            Self::Session(name) => SessionId::of(name).term(),
        }
    }

    /// A row of it is filed under this: its term, then zeros.
    pub(super) fn term_digest(self) -> Digest {
        padded(self.term())
    }

    /// Refuses an owner that has no epoch: a revocation would be written, and revoke nothing.
    pub(super) fn check_has_epoch(self) -> Result<()> {
        let refused = |message: &'static str| Err(Error::new(ErrorKind::Limit, message));
        match self {
            Self::Pair { subject: "", .. } | Self::Pair { client: "", .. } => {
                refused("a pair of a subject and a client has an empty name: name both")
            }
            Self::Session("") => refused("a log-in session has an empty name: name it"),
            Self::Subject(_) | Self::Client(_) | Self::Pair { .. } | Self::Session(_) => Ok(()),
        }
    }
}

/// A term, then zeros.
pub(super) fn padded(term: Term) -> Digest {
    let mut bytes = [0; 32];
    if let Some(head) = bytes.first_chunk_mut() {
        *head = term.0;
    }
    Digest::from_bytes(bytes)
}

fn term(digest: &Digest) -> Term {
    Term(digest.as_bytes().first_chunk().copied().unwrap_or_default())
}

/// A log-in session as its families are listed by it: a digest of its name. The name itself is not
/// kept, since it may be a cookie that lets its bearer in (P9); nothing is told by it but which
/// families belong together. The digest is not keyed: a name that could be guessed is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(#[serde(with = "bytes::fixed")] [u8; 16]);

impl SessionId {
    /// The session of this name.
    pub fn of(session: &str) -> Self {
        Self(term(&Digest::of_name("session", session.as_bytes())).0)
    }

    fn term(self) -> Term {
        Term(self.0)
    }
}

impl fmt::Display for SessionId {
    /// 32 hex digits; [`FromStr`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::shown(&self.0))
    }
}

impl FromStr for SessionId {
    type Err = Error;

    /// Reads what is displayed: 32 hex digits, in lower case, and nothing around them.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for any other text. The error does not repeat it.
    fn from_str(text: &str) -> Result<Self> {
        hex::read("a log-in session", text).map(Self)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "SessionId({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// Whose epochs a record rests on, as their terms: they are found without digesting the names
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    pub(super) subject: Term,
    pub(super) client: Term,
    /// `None` where either name is empty, and for what does not rest on the pair of both.
    pub(super) pair: Option<Term>,
    /// The log-in session, if it was granted in one.
    pub(super) session: Option<Term>,
}

impl Owners {
    /// A subject, a client, and the pair of both; an empty name is nobody, who is no part of a
    /// pair.
    pub fn new(subject: &str, client: &str) -> Self {
        let is_pair = !subject.is_empty() && !client.is_empty();
        let pair = is_pair.then(|| Owner::Pair { subject, client }.term());
        Self { pair, ..Self::apart(subject, client) }
    }

    /// A subject and a client, without the pair of both: personal tokens rest on these. A
    /// personal token may live until it is revoked, and the epoch of a pair does not.
    pub fn apart(subject: &str, client: &str) -> Self {
        let (subject, client) = (Owner::Subject(subject).term(), Owner::Client(client).term());
        Self { subject, client, pair: None, session: None }
    }

    /// These, in a log-in session. What is no pair's is in none.
    #[must_use]
    pub fn in_session(self, session: Option<SessionId>) -> Self {
        Self { session: self.pair.and(session.map(SessionId::term)), ..self }
    }

    /// The owners that gave a record of a pair these terms.
    pub(super) fn of_terms(terms: Terms) -> Option<Self> {
        let mut terms = terms.iter();
        let (subject, client) = (terms.next()?, terms.next()?);
        Some(Self { subject, client, pair: Some(terms.next()?), session: terms.next() })
    }

    /// What a record of all of them is listed by.
    ///
    /// Their order is what [`Owners::of_terms`] reads: a record with a session has a pair.
    pub(super) fn terms(self) -> Terms {
        debug_assert!(self.session.is_none() || self.pair.is_some(), "a session has a pair");
        Terms::of([Some(self.subject), Some(self.client), self.pair, self.session])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    // Goal: P6, no two pairs share a term, nor does a pair with another owner: a revocation takes
    // its own pair and nobody else's. Method: names that are alike when they are joined, swapped,
    // or hold a length themselves.
    #[test]
    fn no_two_pairs_run_together() {
        let eight = "\u{1}\0\0\0\0\0\0\0";
        let names = ["a", "b", "ab", "ba", "aa", "a\0", "\0a", eight, "a b", " "];
        let mut terms = BTreeSet::new();
        let mut owners = 0;
        for subject in names {
            for client in names {
                terms.insert(Owner::Pair { subject, client }.term());
                owners += 1;
            }
            for owner in [Owner::Subject(subject), Owner::Client(subject), Owner::Session(subject)]
            {
                terms.insert(owner.term());
                owners += 1;
            }
        }
        assert_eq!(terms.len(), owners);
    }

    // Goal: a record's terms tell its owners again, with a session and without. Method: there and
    // back; and terms that no family has.
    #[test]
    fn owners_are_found_in_the_terms_of_a_record() {
        for session in [None, Some(SessionId::of("s"))] {
            let owners = Owners::new("alice", "client-1").in_session(session);
            let terms = owners.terms();
            assert_eq!(Owners::of_terms(terms), Some(owners));
            assert_eq!(terms.count(), 3 + usize::from(session.is_some()));
            let last = terms.iter().last();
            assert!(session.is_none() || last == Some(Owner::Session("s").term()));
        }
        assert_eq!(Owners::of_terms(Owners::apart("alice", "client-1").terms()), None);
        for (subject, client) in [("", "client-1"), ("alice", ""), ("", "")] {
            let nobody = Owners::new(subject, client);
            assert_eq!(nobody, Owners::apart(subject, client), "nobody is part of a pair");
            let session = Some(SessionId::of("s"));
            assert_eq!(nobody.in_session(session), nobody, "and nobody is in a session");
            assert!(Owner::Pair { subject, client }.check_has_epoch().is_err());
        }
    }

    // Goal: the id of a log-in session is read back from what it is displayed as, and from nothing
    // else. Method: there and back; longer and shorter texts, upper case, and no digits.
    #[test]
    fn ids_of_sessions_are_read_back() {
        let session = SessionId::of("s");
        let text = session.to_string();
        assert_eq!(text.parse::<SessionId>().unwrap(), session);
        let wrong = ["", &text[1..], &format!("{text}0"), &text.to_uppercase(), &"g".repeat(32)];
        for wrong in wrong {
            let error = wrong.parse::<SessionId>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit, "{wrong}");
        }
    }
}
