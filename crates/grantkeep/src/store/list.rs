//! Listing what an owner has, page by page.

use super::Store;
use super::owner::Owner;
use super::record::{Held, Record};
use crate::backend::{Backend, Key, Term};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use data_encoding::HEXLOWER;
use std::fmt;
use std::str::FromStr;

/// Where the next page of a listing starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Key);

impl fmt::Display for Cursor {
    /// 66 hex digits, for an address; [`FromStr`] reads them. It tells nothing but a place in a
    /// listing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0.to_bytes()))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Reads what is displayed. A place in another listing answers what is behind it in this one.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for any other text. The error does not repeat it.
    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; Key::BYTES];
        let digits = 2 * Key::BYTES;
        if text.len() == digits && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok() {
            return Ok(Self(Key::from_bytes(&bytes)));
        }
        Err(Error::new(ErrorKind::Limit, format!("a place in a listing is {digits} hex digits")))
    }
}

/// One page of records.
#[derive(Clone)]
pub struct Listing<R> {
    /// Records, expired ones that are not yet swept among them.
    pub records: Vec<Held<R>>,
    /// Where the next page starts, or `None` after the last.
    pub next: Option<Cursor>,
}

impl<R> fmt::Debug for Listing<R> {
    /// How many records there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("records", &self.records.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Store<B> {
    /// The records of one type that belong to `owner`, at most `limit` a page (up to
    /// [`PAGE_ROWS_MAX`](crate::backend::PAGE_ROWS_MAX)).
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn list<R: Record>(
        &self,
        owner: Owner<'_>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Listing<R>> {
        self.list_by(owner.term(), after, limit).await
    }

    /// The records of one type that carry `term`.
    pub(super) async fn list_by<R: Record>(
        &self,
        term: Term,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Listing<R>> {
        let first = Key::new(R::KIND, Digest::from_bytes([0; 32]));
        let after = after.map_or(first, |cursor| cursor.0);
        let page = self.backend().list(term, Some(after), limit).await?;
        let ours = |key: &Key| key.kind == R::KIND;
        let records = page
            .rows
            .iter()
            .filter(|row| ours(&row.key()))
            .map(Held::read)
            .collect::<Result<Vec<_>>>()?;
        Ok(Listing { records, next: page.next.filter(ours).map(Cursor) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Kind, Outcome};
    use crate::clock::{ManualClock, Timestamp};
    use crate::store::{Epochs, Family, FamilyId, FamilyState, SessionId};
    use crate::sync::Arc;
    use crate::wait::Wait as _;
    use std::time::{Duration, UNIX_EPOCH};

    // Goal: a place in a listing is read back from its text, and nothing else is one. Method: keys
    // of both layouts, and texts that are nearly one.
    #[test]
    fn places_are_read_back() {
        for kind in [Kind::write_once(1), Kind::revised(4)] {
            let cursor = Cursor(Key::new(kind, Digest::from_bytes([0xab; 32])));
            let text = cursor.to_string();
            assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
            for wrong in [&text[1..], &text.to_uppercase(), &format!("{text}0"), ""] {
                assert_eq!(wrong.parse::<Cursor>().unwrap_err().kind(), ErrorKind::Limit);
            }
        }
    }

    fn family(number: u8, subject: &str, client: &str, session: Option<&str>) -> Family {
        Family {
            state: FamilyState::Active,
            absolute_expires_at: Timestamp::MAX,
            id: FamilyId([number; 12]),
            client: client.to_owned(),
            subject: subject.to_owned(),
            granted_at: Timestamp::default(),
            label: String::new(),
            session: session.map(SessionId::of),
            facts: None,
            scopes: String::new(),
            audience: String::new(),
            confirmation: None,
            generation: 1,
            brought: None,
            salt: [0; 32],
            key_id: 1,
            rotated_at: Timestamp::default(),
            rotated_lead_ms: 0,
            refreshes: 0,
            retries: 0,
            retried_generations: 0,
            idle_s: None,
            epochs: Epochs::default(),
            payload: None,
        }
    }

    // Goal: a family is listed by its subject, its client, the pair of both, and its session, and
    // its standing names its owners whether it has a session or not. Method: families of two
    // subjects, two clients, and two sessions, one of which goes over clients.
    #[test]
    fn families_are_listed_by_each_of_their_owners() {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let store = Store::in_memory(clock).unwrap();
        let families = [
            family(1, "alice", "web", Some("s1")),
            family(2, "alice", "app", Some("s1")),
            family(3, "alice", "web", None),
            family(4, "bob", "web", Some("s2")),
        ];
        let mut change = store.change().unwrap();
        let until = change.latest();
        for family in &families {
            change.insert(family.id.digest(), family, until).unwrap();
        }
        assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
        let listed = |owner| {
            let listing = store.list::<Family>(owner, None, 10).wait().unwrap();
            let ids: Vec<u8> = listing.records.iter().map(|held| held.record.id.0[0]).collect();
            ids
        };
        assert_eq!(listed(Owner::Subject("alice")), [1, 2, 3]);
        assert_eq!(listed(Owner::Client("web")), [1, 3, 4]);
        assert_eq!(listed(Owner::Pair { subject: "alice", client: "web" }), [1, 3]);
        assert_eq!(listed(Owner::Pair { subject: "web", client: "alice" }), []);
        assert_eq!(listed(Owner::Session("s1")), [1, 2]);
        assert_eq!(listed(Owner::Session("s2")), [4]);
        assert_eq!(listed(Owner::Session("alice")), []);
        for family in &families {
            let standing = store.family_standing(family.id).wait().unwrap().unwrap();
            assert_eq!(standing.owners, family.owners());
        }
    }

    // Goal: a family names whom it is of, since an empty name is nobody, who is part of no pair.
    // Method: one without a subject, and one without a client.
    #[test]
    fn a_family_of_nobody_is_refused() {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let store = Store::in_memory(clock).unwrap();
        for family in [family(1, "", "web", Some("s1")), family(2, "alice", "", None)] {
            let mut change = store.change().unwrap();
            let until = change.latest();
            let refused = change.insert(family.id.digest(), &family, until).unwrap_err();
            assert_eq!(refused.kind(), crate::error::ErrorKind::Limit);
        }
    }
}
