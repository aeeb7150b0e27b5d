//! Tokens that came from another server as their SHA-256 alone.
//!
//! What is filed under the look-up id of a text is filed, for these, under a keyed digest of the
//! SHA-256 of the text: neither is found under the other.
//!
//! 1. One row, which never expires, notes the latest end of what was imported so, for each type of
//!    record and each root key. It is raised *before* anything is filed that ends later:
//!    [`Store::note_import`] answers what makes the ids, once the note is durable.
//! 2. A look-up goes by that note, which is in memory. Where nothing was imported it costs one
//!    comparison. While something is there, a text that is not found otherwise is digested with
//!    SHA-256 and looked for once under each root key that such rows were filed under.
//! 3. When the latest of them has ended, look-ups are as if nothing had been imported.
//!
//! # Invariants
//!
//! - A row that was filed under an imported id, and has not ended, is looked for: the note ends no
//!   earlier than any of them, whatever the clock does, since it is compared with the time that
//!   rows end by.
//! - A text that is filed by itself comes first. So a token that was imported in both ways is what
//!   the text's own row says, until that ends.
//!
//! # What it does not do
//!
//! - Stores over one shared backend, in several processes, read the note when they are made: open
//!   the others anew after an import.

use super::record::{Held, Record};
use super::{Store, as_read, check_token, codec, no_key};
use crate::backend::{Backend, Batch, Expect, Key, Kind, NewRow, Outcome, Terms};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::Result;
use crate::keyring::RootKey;
use crate::sync::{Arc, Ordering};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;
use zeroize::Zeroizing;

/// How far a note is raised at least beyond what it is raised for, so that an import of many rows
/// does not raise it with each of them.
const STEP: Duration = Duration::from_secs(3_600);

/// The unkeyed SHA-256 of a token's text.
///
/// Whoever holds many of these can try texts on them, so the store keeps a keyed digest of it.
#[derive(Clone)]
pub struct TokenSha256(Zeroizing<[u8; 32]>);

impl TokenSha256 {
    /// A digest that was made elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// That of a presented token.
    pub fn of(token: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        if let Some(whole) = digest(&SHA256, token).as_ref().first_chunk() {
            *bytes = *whole;
        }
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSha256")
    }
}

/// The latest end of what was imported of one type under one root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Imported {
    kind: u8,
    key_id: u32,
    /// By the store's time.
    latest: Timestamp,
}

/// What the row holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Imports(Vec<Imported>);

impl Record for Imports {
    const KIND: Kind = Kind::revised(18);
    const NAME: &'static str = "note of imports";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Imports {
    fn latest(&self, kind: Kind, key_id: u32) -> Timestamp {
        let own = |it: &&Imported| it.kind == kind.as_byte() && it.key_id == key_id;
        self.0.iter().find(own).map_or(Timestamp::default(), |it| it.latest)
    }

    /// The time from which on nothing of it is there any more.
    fn end(&self) -> Timestamp {
        self.0.iter().map(|it| it.latest).max().unwrap_or_default()
    }

    /// This with a later end for one type and key, without what has ended.
    fn raised(&self, kind: Kind, key_id: u32, latest: Timestamp, now: Timestamp) -> Self {
        let other = |it: &&Imported| it.kind != kind.as_byte() || it.key_id != key_id;
        let others = self.0.iter().filter(other).filter(|it| now < it.latest).copied();
        Self(others.chain([Imported { kind: kind.as_byte(), key_id, latest }]).collect())
    }
}

fn key() -> Key {
    Key::new(Imports::KIND, Digest::of_name("imports", &[]))
}

async fn held(backend: &impl Backend) -> Result<Option<Held<Imports>>> {
    let row = backend.get(key()).await?;
    row.map(|row| Held::read(&row)).transpose()
}

/// What stands; nothing where nothing was imported yet.
pub(super) async fn read(backend: &impl Backend) -> Result<Imports> {
    Ok(held(backend).await?.map(|held| held.record).unwrap_or_default())
}

/// Makes the ids of records of one type that end by a time for which the note was raised.
#[derive(Clone)]
pub struct Importing<R> {
    key: RootKey,
    until: Timestamp,
    of: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for Importing<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importing").field("until", &self.until).finish_non_exhaustive()
    }
}

impl<R: Record> Importing<R> {
    /// The root key that the ids are made with.
    pub fn key_id(&self) -> u32 {
        self.key.id()
    }

    /// The id of a record that ends then, of a token with this SHA-256; `None` if it ends later
    /// than was noted: it would not be looked for.
    pub fn id(&self, sha256: &TokenSha256, expires_at: Timestamp) -> Option<Digest> {
        (expires_at <= self.until).then(|| self.key.imported(sha256.as_bytes()))
    }
}

impl<B: Backend> Store<B> {
    /// Notes that records of this type are about to be imported which end by `until`, and answers
    /// what makes their ids.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The note is durable when this returns.
    pub async fn note_import<R: Record>(&self, until: Timestamp) -> Result<Importing<R>> {
        let keyring = self.keyring();
        let root = keyring.active().ok_or_else(no_key)?.clone();
        let inner = &self.inner;
        while inner.imports.read().latest(R::KIND, root.id()) < until {
            let held = held(&inner.backend).await?;
            let stands = held.as_ref().map(|held| held.record.clone()).unwrap_or_default();
            if stands.latest(R::KIND, root.id()) >= until {
                inner.take_imports(stands);
                break;
            }
            let latest = until.saturating_add(STEP).min(Timestamp::NEVER);
            let raised = stands.raised(R::KIND, root.id(), latest, self.now());
            let value = codec::encode(Imports::NAME, Imports::FORMAT, &raised)?;
            let row = NewRow { value, expires_at: Timestamp::NEVER, terms: Terms::NONE };
            let mut batch = Batch::new()?;
            match as_read(held.as_ref()) {
                Expect::Absent => batch.insert(key(), row),
                Expect::Is(version) => batch.replace(key(), version, row),
            };
            batch.housekeeping();
            if inner.backend.commit(batch).await? == Outcome::Applied {
                inner.take_imports(raised);
            }
        }
        let until = inner.imports.read().latest(R::KIND, root.id());
        Ok(Importing { key: root, until, of: PhantomData })
    }

    /// The ids under which a presented token may have been imported as its SHA-256, as a record of
    /// this type: none while there are no such records, else one for each root key that they were
    /// imported under. For who looks for several types of record; [`Store::find`] looks there
    /// itself.
    pub fn imported_ids<R: Record>(&self, token: &[u8]) -> Vec<Digest> {
        let sha256 = self.sha256_to_look_for(token);
        sha256.map_or_else(Vec::new, |sha256| self.ids_of_imported::<R>(&sha256))
    }

    /// The SHA-256 of a presented token; `None` unless something that was imported as its SHA-256
    /// may be there, and this token may be it.
    pub fn sha256_to_look_for(&self, token: &[u8]) -> Option<TokenSha256> {
        (self.may_be_imported() && check_token(token).is_ok()).then(|| TokenSha256::of(token))
    }

    /// The ids of a token of which the SHA-256 is known.
    pub fn ids_of_imported<R: Record>(&self, sha256: &TokenSha256) -> Vec<Digest> {
        let (now, imports) = (self.now(), Arc::clone(&self.inner.imports.read()));
        let keyring = self.keyring();
        let live = |key: &&RootKey| now < imports.latest(R::KIND, key.id());
        keyring.newest_first().filter(live).map(|key| key.imported(sha256.as_bytes())).collect()
    }

    /// The record of a presented token that was imported as its SHA-256, expired or not.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn find_imported<R: Record>(&self, token: &[u8]) -> Result<Option<Held<R>>> {
        for id in self.imported_ids::<R>(token) {
            if let Some(held) = self.get(id).await? {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// True unless nothing that was imported as a SHA-256 can be there any more.
    fn may_be_imported(&self) -> bool {
        let until = self.inner.imported_until_ms.load(Ordering::Acquire);
        until > 0 && self.now().as_millis() < until
    }
}

impl<B: Backend> super::Inner<B> {
    /// Goes by a note that is durable. One that ends earlier than what stands is an older one.
    pub(super) fn take_imports(&self, imports: Imports) {
        let end = imports.end();
        let mut stands = self.imports.write();
        if stands.0.iter().all(|it| {
            imports.latest(Kind::from_byte(it.kind), it.key_id) >= it.latest
                || it.latest <= self.backend.now()
        }) {
            *stands = Arc::new(imports);
            self.imported_until_ms.fetch_max(end.as_millis(), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Budget;
    use crate::clock::ManualClock;
    use crate::store::{Epochs, Token, TokenKind};
    use crate::wait::Wait as _;
    use std::time::UNIX_EPOCH;

    const TOKEN: &[u8] = b"a token of another server";

    fn token() -> Token {
        Token {
            kind: TokenKind::Access,
            client: "client-1".to_owned(),
            subject: "alice".to_owned(),
            scopes: String::new(),
            audience: String::new(),
            confirmation: None,
            family: None,
            issued_at: Timestamp::default(),
            epochs: Epochs::default(),
            revoked_at: None,
            payload: None,
        }
    }

    // Goal: what was imported as a SHA-256 is looked for while it is there, and before and after
    // that a look-up has nothing more to look at. Method: the ids that a token is looked for under,
    // before an import, until the last millisecond of it, and then.
    #[test]
    fn imported_ids_are_looked_for_while_there_are_any() {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let store = Store::in_memory(clock.clone()).unwrap();
        assert!(store.imported_ids::<Token>(TOKEN).is_empty());
        let until = store.now().saturating_add(Duration::from_secs(60));
        let importing = store.note_import::<Token>(until).wait().unwrap();
        let sha256 = TokenSha256::of(TOKEN);
        let id = importing.id(&sha256, until).unwrap();
        let late = until.saturating_add(STEP).saturating_add(Duration::from_millis(1));
        assert!(importing.id(&sha256, late).is_none(), "later than was noted");
        let mut change = store.change().unwrap();
        change.insert(id, &token(), until).unwrap();
        store.commit(change).wait().unwrap();
        assert_eq!(store.find::<Token>(TOKEN).wait().unwrap().unwrap().record, token());
        assert_eq!(store.imported_ids::<Token>(TOKEN), [id]);
        assert!(store.imported_ids::<crate::store::Personal>(TOKEN).is_empty(), "another type");
        assert!(store.get::<Token>(store.id(TOKEN).unwrap()).wait().unwrap().is_none());
        let noted = until.saturating_add(STEP);
        clock.advance(noted.since(store.now()).saturating_sub(Duration::from_millis(1)));
        assert_eq!(store.imported_ids::<Token>(TOKEN).len(), 1);
        clock.advance(Duration::from_millis(1));
        assert!(store.imported_ids::<Token>(TOKEN).is_empty());
        assert!(!store.may_be_imported());
        store.sweep(Budget::ALL).wait().unwrap();
        assert!(store.find::<Token>(TOKEN).wait().unwrap().is_none());
    }

    // Goal: many imports raise the note seldom, never lower it, and keep those of other types and
    // keys. Method: ends that rise by a second, and one that is earlier; the commits.
    #[test]
    fn the_note_of_imports_only_rises() {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let store = Store::in_memory(clock).unwrap();
        let now = store.now();
        let before = store.stats().commits;
        for seconds in 1..=1_000 {
            let until = now.saturating_add(Duration::from_secs(seconds));
            store.note_import::<Token>(until).wait().unwrap();
        }
        assert_eq!(store.stats().commits - before, 1);
        store.note_import::<crate::store::Personal>(Timestamp::NEVER).wait().unwrap();
        let key_id = store.keyring().active().unwrap().id();
        let noted = read(store.backend()).wait().unwrap();
        assert!(noted.latest(Token::KIND, key_id) > now);
        assert_eq!(noted.latest(crate::store::Personal::KIND, key_id), Timestamp::NEVER);
        assert_eq!(**store.inner.imports.read(), noted);
    }

    // Goal: P9, what is printed holds no SHA-256. Method: print one.
    #[test]
    fn a_sha256_is_not_printed() {
        assert_eq!(format!("{:?}", TokenSha256::of(TOKEN)), "TokenSha256");
    }
}
