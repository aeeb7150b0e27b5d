//! Keys, and the index terms that rows are listed by.

use crate::digest::Digest;
use serde::{Serialize, Serializer};
use std::fmt;

/// What a row is, as a small number that the layer above gives a meaning to.
///
/// It says how an engine may lay the rows out: *write-once* rows seldom change after they are
/// put (codes, tokens), *revised* rows change often and may carry index terms (families).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u8);

impl Kind {
    const REVISED: u8 = 0x80;

    /// The kind of rows that stand for a value which counts once, up to a time of the wall clock.
    /// An engine that gets ahead of the wall clock keeps them until that has come, as far as it
    /// can: see [`Backend::sweep`](super::Backend::sweep).
    pub const REMEMBERED: Self = Self::write_once(5);

    /// A kind of rows that seldom change.
    pub const fn write_once(number: u8) -> Self {
        Self(number & !Self::REVISED)
    }

    /// A kind of rows that change often.
    pub const fn revised(number: u8) -> Self {
        Self(number | Self::REVISED)
    }

    /// True for a kind made with [`Kind::revised`].
    pub const fn is_revised(self) -> bool {
        self.0 & Self::REVISED != 0
    }

    /// The byte by which the kind is stored.
    pub const fn as_byte(self) -> u8 {
        self.0
    }

    /// The kind stored as `byte`.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }
}

/// The kinds that have a name, by which they are told in metrics and in what is serialized. The
/// layer above gives each its meaning: a new kind of record gets its name here.
const NAMES: [(Kind, &str); 18] = [
    (Kind::write_once(1), "code"),
    (Kind::write_once(2), "token"),
    (Kind::revised(3), "personal_token"),
    (Kind::revised(4), "family"),
    (Kind::REMEMBERED, "burnt_value"),
    (Kind::revised(6), "epoch"),
    (Kind::revised(8), "client"),
    (Kind::revised(9), "device"),
    (Kind::write_once(10), "user_code"),
    (Kind::write_once(11), "refresh_text"),
    (Kind::write_once(12), "successor"),
    (Kind::revised(13), "last_use"),
    (Kind::revised(14), "fence"),
    (Kind::revised(15), "horizon"),
    (Kind::write_once(16), "repeat"),
    (Kind::revised(17), "families_of_pair"),
    (Kind::revised(18), "note_of_imports"),
    (Kind::revised(0x7f), "key_check"),
];

impl Kind {
    /// Its name; `None` for a kind that no record of this crate has.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(kind, _)| *kind == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for Kind {
    /// Its name, or `kind_` and its byte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "kind_{}", self.0),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = if self.is_revised() { "revised" } else { "write-once" };
        write!(f, "Kind({layout} {})", self.0 & !Self::REVISED)
    }
}

/// Under what a row is filed: its kind and a digest. Ordered by kind, then by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// What the row is.
    pub kind: Kind,
    /// The digest under which it is filed.
    pub id: Digest,
}

impl Key {
    /// The first of all keys.
    pub const MIN: Self = Self::new(Kind(0), Digest::from_bytes([0; 32]));

    /// The last of all keys.
    pub const MAX: Self = Self::new(Kind(u8::MAX), Digest::from_bytes([u8::MAX; 32]));

    /// Length of [`Key::to_bytes`].
    pub const BYTES: usize = 33;

    /// A key of `kind` with the digest `id`.
    pub const fn new(kind: Kind, id: Digest) -> Self {
        Self { kind, id }
    }

    /// The kind's byte, then the digest: bytes in the order of the keys.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        if let Some((kind, id)) = bytes.split_first_mut() {
            *kind = self.kind.as_byte();
            id.copy_from_slice(self.id.as_bytes());
        }
        bytes
    }

    /// The key whose [`to_bytes`](Self::to_bytes) these are.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let [kind, id @ ..] = bytes;
        Self::new(Kind::from_byte(*kind), Digest::from_bytes(*id))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.kind, self.id.as_bytes()).cmp(&(other.kind, other.id.as_bytes()))
    }
}

/// Something rows are listed by, as a 16-byte keyed digest (a subject, a client).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub [u8; 16]);

impl Term {
    /// The first of all terms.
    pub(crate) const MIN: Self = Self([0; 16]);

    /// The last of all terms.
    pub(crate) const MAX: Self = Self([u8::MAX; 16]);
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Term({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// A row has at most this many index terms.
pub const TERMS_MAX: usize = 4;

/// Up to [`TERMS_MAX`] index terms of a row. They are fixed when the row is first put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms([Option<Term>; TERMS_MAX]);

impl Terms {
    /// No term: the row is not listed.
    pub const NONE: Self = Self([None; TERMS_MAX]);

    /// One term.
    pub const fn one(term: Term) -> Self {
        Self([Some(term), None, None, None])
    }

    /// Two terms; the same one twice counts once.
    pub fn two(first: Term, second: Term) -> Self {
        Self::of([Some(first), Some(second), None, None])
    }

    /// Those of four that there are, in this order; one that is there twice counts once.
    pub fn of(given: [Option<Term>; TERMS_MAX]) -> Self {
        let mut terms = [None; TERMS_MAX];
        let mut free = terms.iter_mut();
        for (at, term) in given.iter().enumerate() {
            let is_new = term.is_some() && !given.iter().take(at).any(|before| before == term);
            if let Some(place) = is_new.then(|| free.next()).flatten() {
                *place = *term;
            }
        }
        Self(terms)
    }

    /// The terms, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = Term> + '_ {
        self.0.iter().flatten().copied()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// True without a term.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a kind is told by its name, and one that nobody has named by its byte. Method: one of
    // each, and no name twice.
    #[test]
    fn kinds_are_named() {
        assert_eq!(Kind::revised(4).to_string(), "family");
        assert_eq!(Kind::write_once(4).to_string(), "kind_4", "another kind of that number");
        assert_eq!(Kind::revised(0x70).to_string(), "kind_240");
        for (at, (kind, name)) in NAMES.iter().enumerate() {
            assert_eq!(kind.name(), Some(*name));
            assert!(NAMES.iter().skip(at + 1).all(|(_, other)| other != name), "{name}");
        }
    }

    // Goal: four terms are kept in their order, and one that is given twice counts once, wherever
    // it stands. Method: every choice of four out of none and three terms, against a list.
    #[test]
    fn four_terms_keep_their_order_and_none_counts_twice() {
        let choices = [None, Some(Term([1; 16])), Some(Term([2; 16])), Some(Term([3; 16]))];
        for number in 0..choices.len().pow(4) {
            let given = [0, 1, 2, 3].map(|at| choices[number / choices.len().pow(at) % 4]);
            let mut expected: Vec<Term> = Vec::new();
            for term in given.into_iter().flatten() {
                if !expected.contains(&term) {
                    expected.push(term);
                }
            }
            let terms = Terms::of(given);
            assert_eq!(terms.iter().collect::<Vec<_>>(), expected, "{given:?}");
            assert_eq!((terms.count(), terms.is_empty()), (expected.len(), expected.is_empty()));
        }
    }
}
