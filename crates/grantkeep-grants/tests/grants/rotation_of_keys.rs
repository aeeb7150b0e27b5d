//! Rotation and retirement of root keys.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{ErrorKind, KeySource, Keyring, ManualClock, Memory, Store, Wait};
use grantkeep_grants::{
    Authorize, ClientCredentials, Grant, Grants, Introspection, Minter, MinterError, Minting,
    NewPersonal, Policy, Redeemed, RefreshRequest, Refreshed, Tag,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

// Goal: what was issued under a root key works under its successors, and nothing of it once the
// key is retired. Method: issue under key 1, reopen with keys 1 and 2, then with key 2 alone.
#[test]
fn what_was_issued_works_until_its_key_is_retired() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let memory = Arc::new(Memory::with_clock(clock));
    let open = |keys: &[(u32, [u8; 32])]| {
        let keyring = Keyring::from_keys(keys.iter().copied()).unwrap();
        let store = Interposed::store(&memory, keyring).unwrap();
        Grants::new(store, Policy::default()).unwrap()
    };
    let is_active = |grants: &Grants<Interposed>, token: &str| {
        matches!(grants.introspect(token).wait().unwrap(), Introspection::Active(_))
    };
    let request = RefreshRequest::by(CLIENT);
    let (first, second) = ((1, [1; 32]), (2, [2; 32]));

    let grants = open(&[first]);
    let payload = authorize().sealed_payload(b"claims");
    let [used, left] = [0, 1].map(|_| grants.authorize(payload.clone()).wait().unwrap());
    let old = granted(grants.redeem(used.expose(), &presented()).wait().unwrap());

    let grants = open(&[first, second]);
    assert!(is_active(&grants, old.access.expose()));
    let pair = rotated(grants.refresh(refresh_of(&old), &request).wait().unwrap());
    let other = granted(grants.redeem(left.expose(), &presented()).wait().unwrap());

    let grants = open(&[second]);
    for token in [old.access.expose(), refresh_of(&old), refresh_of(&pair)] {
        assert!(!is_active(&grants, token));
        let answer = grants.refresh(token, &request).wait().unwrap();
        assert!(matches!(answer, Refreshed::Unknown));
    }
    let answer = grants.redeem(left.expose(), &presented()).wait().unwrap();
    assert!(matches!(answer, Redeemed::Unknown));
    assert!(is_active(&grants, other.access.expose()));
    assert!(is_active(&grants, pair.access.expose()), "an access token of the new key");
    rotated(grants.refresh(refresh_of(&other), &request).wait().unwrap());
}

/// Brings one text for each tag, again and again until it is told to go on.
#[derive(Debug, Default)]
struct Repeats(AtomicU32);

impl Minter for Repeats {
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
        let turn = self.0.load(Ordering::Relaxed);
        Ok(Some(format!("a text of the server for {} {turn}", minting.tag.as_str())))
    }
}

/// Issues the text of the tag once more; the kind of the refusal.
fn repeat(grants: &Grants<Interposed>, tag: Tag) -> Option<ErrorKind> {
    let told = match tag {
        Tag::Code => grants.authorize(Authorize::new(CLIENT, SUBJECT)).wait().map(drop),
        Tag::Access => grants.client_credentials(ClientCredentials::new(CLIENT)).wait().map(drop),
        Tag::Refresh => grants.open(Grant::new(CLIENT, SUBJECT)).wait().map(drop),
        _ => grants.create_personal(NewPersonal::new(SUBJECT, "x")).wait().map(drop),
    };
    told.err().map(|error| error.kind())
}

// Goal: P2, a text that was issued under any key of the keyring is not issued again: what was
// revoked would be in force for somebody else. Method: a minter that repeats itself, for each kind
// of text, under one key, and after one and two rotations; the texts that come next are issued.
#[test]
fn a_text_is_issued_once_under_all_keys() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let memory = Arc::new(Memory::with_clock(clock));
    let minter = Arc::new(Repeats::default());
    let open = |keys: u8| {
        let keys = (1..=keys).map(|id| (u32::from(id), [id; 32]));
        let store = Interposed::store(&memory, Keyring::from_keys(keys).unwrap()).unwrap();
        Grants::new(store, Policy::default()).unwrap().with_minter(minter.clone())
    };
    let grants = open(1);
    let pair = grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    for tag in [Tag::Code, Tag::Personal] {
        assert_eq!(repeat(&grants, tag), None);
    }
    grants.revoke(pair.access.expose()).wait().unwrap();
    for keys in 1..=3 {
        let grants = open(keys);
        for tag in [Tag::Code, Tag::Access, Tag::Refresh, Tag::Personal] {
            assert_eq!(repeat(&grants, tag), Some(ErrorKind::Limit), "{tag:?} under {keys} keys");
        }
        let told = grants.introspect(pair.access.expose()).wait().unwrap();
        assert!(matches!(told, Introspection::Inactive));
        minter.0.store(u32::from(keys), Ordering::Relaxed);
        assert_eq!(repeat(&grants, Tag::Access), None);
        minter.0.store(0, Ordering::Relaxed);
    }
}

// Goal: what cannot be presented any more is not listed as in force. Method: families with derived
// and with brought refresh tokens, and personal tokens, under key 1, and refreshed or made under
// key 2; list them, retire key 1, list them again.
#[test]
fn what_died_with_its_key_is_not_listed() {
    #[derive(Debug, Default)]
    struct Counts(AtomicU32);
    impl Minter for Counts {
        fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            Ok((minting.tag == Tag::Refresh).then(|| format!("a brought refresh token {count}")))
        }
    }
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let memory = Arc::new(Memory::with_clock(clock));
    let minter = Arc::new(Counts::default());
    let open = |keys: &[u32]| {
        let keys = keys.iter().map(|id| (*id, [u8::try_from(*id).unwrap(); 32]));
        let store = Interposed::store(&memory, Keyring::from_keys(keys).unwrap()).unwrap();
        let grants = Grants::new(store, Policy::default()).unwrap();
        (grants.clone(), grants.with_minter(minter.clone()))
    };
    let listed = |grants: &Grants<Interposed>| {
        let families = grants.families_of(SUBJECT, None, 100).wait().unwrap().items.len();
        let of_client = grants.families_of_client(CLIENT, None, 100).wait().unwrap().items.len();
        assert_eq!(families, of_client);
        (families, grants.personal_of(SUBJECT, None, 100).wait().unwrap().items.len())
    };
    let request = RefreshRequest::by(CLIENT);
    let (derived, brought) = open(&[1]);
    let old = [&derived, &brought, &derived, &brought]
        .map(|grants| grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap());
    derived.create_personal(NewPersonal::new(SUBJECT, "old")).wait().unwrap();

    let (derived, brought) = open(&[1, 2]);
    let late = [(&derived, &old[2]), (&brought, &old[3])]
        .map(|(grants, pair)| rotated(grants.refresh(refresh_of(pair), &request).wait().unwrap()));
    let personal = derived.create_personal(NewPersonal::new(SUBJECT, "new")).wait().unwrap();
    derived.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    assert_eq!(listed(&derived), (5, 2));

    let (derived, brought) = open(&[2]);
    // The one whose latest text was brought under key 2, and the one that was opened under it.
    assert_eq!(listed(&derived), (2, 1));
    assert_eq!(derived.personal_of(SUBJECT, None, 9).wait().unwrap().items[0].id, personal.id);
    for pair in [&old[0], &old[1], &late[0]] {
        let told = brought.refresh(refresh_of(pair), &request).wait().unwrap();
        assert!(matches!(told, Refreshed::Unknown));
    }
    rotated(brought.refresh(refresh_of(&late[1]), &request).wait().unwrap());
}

// Goal: a store opens under a new root key, and as restored, whatever the clock says: what an open
// notes for itself is no issuing. Method: a store of short-lived tokens is closed for 40 days, and
// its keyring rotated meanwhile; open it, and its backup.
#[test]
fn a_new_root_key_keeps_no_store_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store"), dir.path().join("copy"));
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let mut keyring = Keyring::generate().unwrap();
    let options = |keyring: &Keyring| {
        let options = Store::options().clock(clock.clone()).by_itself(false).reserve_bytes(0);
        options.keys(KeySource::Given(keyring.clone()))
    };
    let store = options(&keyring).open(&path).unwrap();
    let grants = Grants::new(store.clone(), Policy::default()).unwrap();
    grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    store.backup(&copy).wait().unwrap();
    store.close().unwrap();
    clock.advance(s(40 * 24 * 3_600));
    keyring.rotate().unwrap();

    for (path, restored) in [(&path, false), (&copy, true)] {
        let store = options(&keyring).restored(restored).open(path).unwrap();
        let grants = Grants::new(store.clone(), Policy::default()).unwrap();
        let issue = || grants.client_credentials(ClientCredentials::new(CLIENT)).wait();
        assert_eq!(issue().unwrap_err().kind(), ErrorKind::Clock);
        store.accept_clock();
        issue().unwrap();
        store.close().unwrap();
    }
}
