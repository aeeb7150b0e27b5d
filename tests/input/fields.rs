use super::{HOUR, open, refused};
use grantkeep::backend::{
    Backend as _, Batch, Budget, Key, Kind, NewRow, Outcome, Terms, VALUE_BYTES_MAX,
};
use grantkeep::{
    Burned, Challenge, Code, Device, DeviceState, Epochs, ErrorKind, Family, Held, LIFETIME_MAX,
    LOG_BUDGET_BYTES_MIN, Origin, PAYLOAD_BYTES_MAX, Payload, Personal, Record, Store,
    TEXT_BYTES_MAX, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, Token, Wait as _,
};
use grantkeep_tests::{manual_clock, options, samples};
use std::time::Duration;

fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(&dir.path().join("store")).unwrap(), dir)
}

// Goal: P9, tokens are looked up exact to the byte, or refused without being repeated. Method: at
// the limits and one byte out of them.
#[test]
fn token_lengths() {
    let (store, _dir) = store();
    let token = |len: usize| "secretly".bytes().cycle().take(len).collect::<Vec<u8>>();
    for len in [TOKEN_BYTES_MIN, TOKEN_BYTES_MAX] {
        store.id(&token(len)).unwrap();
        assert!(store.find::<Token>(&token(len)).wait().unwrap().is_none());
    }
    let long = ["token is 8193 bytes", "more than the 8192-byte limit"];
    let short = ["token is 15 bytes", "less than the 16 required"];
    for (len, words) in [(TOKEN_BYTES_MAX + 1, &long), (TOKEN_BYTES_MIN - 1, &short)] {
        for error in [
            refused(store.id(&token(len)), ErrorKind::Limit, &words[..]),
            refused(store.find::<Token>(&token(len)).wait(), ErrorKind::Limit, &words[..]),
        ] {
            assert!(!format!("{error:?}").contains("secret"), "a token is in an error");
        }
    }
    assert_ne!(store.id(&token(16)).unwrap(), store.id(&token(17)).unwrap());
}

// Goal: the payload's limit is exact, plain and sealed. Method: at the limit and one byte over.
#[test]
fn payload_lengths() {
    let (store, _dir) = store();
    let put = |name: &str, payload: Payload| {
        let token = Token { payload: Some(payload), ..samples::token(name, "alice") };
        let mut change = store.change()?;
        change.insert(samples::id(name), &token, store.now().saturating_add(HOUR))?;
        store.commit(change).wait()
    };
    let keyring = store.keyring();
    let largest = vec![7; PAYLOAD_BYTES_MAX];
    put("plain", Payload::Plain(largest.clone())).unwrap();
    put("sealed", Payload::seal(&keyring, b"token", &largest).unwrap()).unwrap();
    let held = store.get::<Token>(samples::id("sealed")).wait().unwrap().unwrap();
    assert_eq!(held.record.payload.unwrap().open(&keyring, b"token").unwrap(), largest);

    let over = vec![7; PAYLOAD_BYTES_MAX + 1];
    let words = ["payload is 16385 bytes", "16384", "shorten"];
    refused(put("over", Payload::Plain(over.clone())), ErrorKind::Limit, &words);
    refused(Payload::seal(&keyring, b"token", &over), ErrorKind::Limit, &words);
    let mut change = store.change().unwrap();
    let facts = Some(Payload::Plain(over));
    let family = Family { facts, ..samples::family("over", "alice") };
    let until = change.latest();
    let put = change.insert(samples::id("over"), &family, until).map(drop);
    refused(put, ErrorKind::Limit, &words);
    let opened = Payload::seal(&keyring, b"token", b"claims").unwrap().open(&keyring, b"other");
    refused(opened, ErrorKind::Corrupt, &["does not open"]);
    let stranger = grantkeep::Keyring::from_keys([(77, [1; 32])]).unwrap();
    let foreign = Payload::seal(&stranger, b"token", b"claims").unwrap();
    refused(foreign.open(&keyring, b"token"), ErrorKind::Keyring, &["root key 77"]);
}

// Goal: lifetimes are exact at both ends. Method: past, now, a millisecond, the longest, and a
// millisecond more; a replacement may die in the past.
#[test]
fn lifetimes() {
    let dir = tempfile::tempdir().unwrap();
    let store = options(&manual_clock()).lifetime_max(24 * HOUR).open(dir.path()).unwrap();
    let millisecond = Duration::from_millis(1);
    let now = store.now();
    let put = |name: &str, expires_at| {
        let mut change = store.change()?;
        change.insert(samples::id(name), &samples::code(name, "alice"), expires_at)?;
        store.commit(change).wait()
    };
    let expired = ["code would be expired", "extend its lifetime"];
    refused(put("past", now.saturating_sub(HOUR)), ErrorKind::Lifetime, &expired);
    refused(put("zero", now), ErrorKind::Lifetime, &expired);
    put("least", now.saturating_add(millisecond)).unwrap();
    let longest = now.saturating_add(24 * HOUR);
    put("longest", longest).unwrap();
    let words = ["86400 s", "shorten it", "lifetime_max"];
    refused(put("over", longest.saturating_add(millisecond)), ErrorKind::Lifetime, &words);
    let burn = |until| store.burn("jti", b"value", until).wait();
    refused(burn(longest.saturating_add(millisecond)), ErrorKind::Lifetime, &words);
    assert_eq!(burn(now).unwrap(), Burned::Expired);
    assert_eq!(burn(now.saturating_add(millisecond)).unwrap(), Burned::First);

    let held = store.get::<Code>(samples::id("longest")).wait().unwrap().unwrap();
    let mut change = store.change().unwrap();
    change.replace(&held, &held.record, now.saturating_sub(HOUR)).unwrap();
    let over = longest.saturating_add(millisecond);
    let replaced = store.change().unwrap().replace(&held, &held.record, over).map(drop);
    refused(replaced, ErrorKind::Lifetime, &words);
    store.commit(change).wait().unwrap();
}

/// Puts a record with one text at the limit, and one byte over.
fn text<R: Record>(store: &Store, name: &str, words: &str, with: impl Fn(String) -> R) {
    let put = |id: &str, len| {
        let mut change = store.change()?;
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(id), &with("x".repeat(len)), until)?;
        store.commit(change).wait()
    };
    put(name, TEXT_BYTES_MAX).unwrap();
    let words = [words, "4097 bytes", "4096"];
    refused(put(&format!("{name} over"), TEXT_BYTES_MAX + 1), ErrorKind::Limit, &words);
}

// Goal: every text of every record has its limit, and the error names it. Method: each at the
// limit and one byte over.
#[test]
fn text_lengths() {
    let (store, _dir) = store();
    let code = || samples::code("code", "alice");
    text(&store, "c1", "client id", |client| Code { client, ..code() });
    text(&store, "c2", "subject", |subject| Code { subject, ..code() });
    text(&store, "c3", "scopes", |scopes| Code { scopes, ..code() });
    text(&store, "c4", "redirect URI", |uri| Code { redirect_uri: Some(uri), ..code() });
    text(&store, "c5", "nonce", |nonce| Code { nonce: Some(nonce), ..code() });
    let plain = |text| Some(Challenge::Plain(text));
    text(&store, "c6", "challenge", |text| Code { challenge: plain(text), ..code() });
    text(&store, "c7", "audience", |audience| Code { audience, ..code() });
    let token = || samples::token("token", "alice");
    text(&store, "t1", "client id", |client| Token { client, ..token() });
    text(&store, "t2", "subject", |subject| Token { subject, ..token() });
    text(&store, "t3", "scopes", |scopes| Token { scopes, ..token() });
    text(&store, "t4", "audience", |audience| Token { audience, ..token() });
    let family = || samples::family("family", "alice");
    text(&store, "f1", "client id", |client| Family { client, ..family() });
    text(&store, "f2", "subject", |subject| Family { subject, ..family() });
    text(&store, "f3", "scopes", |scopes| Family { scopes, ..family() });
    text(&store, "f4", "audience", |audience| Family { audience, ..family() });
    text(&store, "f5", "label", |label| Family { label, ..family() });
    text(&store, "p1", "token name", |name| Personal { name, ..personal() });
    text(&store, "p2", "subject", |subject| Personal { subject, ..personal() });
    text(&store, "p3", "client id", |client| Personal { client, ..personal() });
    text(&store, "p4", "scopes", |scopes| Personal { scopes, ..personal() });
    text(&store, "d1", "client id", |client| Device { client, ..device() });
    text(&store, "d2", "scopes", |scopes| Device { scopes, ..device() });
    text(&store, "d3", "audience", |audience| Device { audience, ..device() });
    let approved = |subject| DeviceState::Approved { subject };
    text(&store, "d4", "subject", |subject| Device { state: approved(subject), ..device() });
}

// Goal: P7, a record as a whole has a limit, exact to the byte, where all its texts and its payload
// keep to theirs; what is put or edited leaves room for what it grows by later. Method: the longest
// code that is taken, and one byte more; in its place the longest that a row holds.
#[test]
fn record_lengths() {
    let (store, _dir) = store();
    let text = || "x".repeat(TEXT_BYTES_MAX);
    let code = |len: usize| Code {
        client: text(),
        subject: text(),
        scopes: text(),
        nonce: Some("x".repeat(len)),
        payload: Some(Payload::Plain(vec![7; PAYLOAD_BYTES_MAX])),
        ..samples::code("code", "alice")
    };
    let put = |len: usize| {
        let mut change = store.change()?;
        let until = store.now().saturating_add(HOUR);
        change.insert(samples::id(&len.to_string()), &code(len), until)?;
        store.commit(change).wait()
    };
    let longest = (0..TEXT_BYTES_MAX).rev().find(|len| put(*len).is_ok()).unwrap();
    refused(put(longest + 1), ErrorKind::Limit, &["code does not fit in 31744 bytes", "shorten"]);
    let id = samples::id(&longest.to_string());
    let held = store.get::<Code>(id).wait().unwrap().unwrap();
    assert_eq!(held.record, code(longest));
    let bytes = || {
        let row = store.backend().get(Key::new(Code::KIND, id)).wait().unwrap().unwrap();
        row.value().len()
    };
    assert_eq!(bytes(), VALUE_BYTES_MAX - Code::ROOM_BYTES);
    let until = held.expires_at;
    let edit = |held: &Held<Code>, len: usize| {
        let mut change = store.change()?;
        change.edit(held, &code(len), until)?;
        store.commit(change).wait()
    };
    refused(edit(&held, longest + 1), ErrorKind::Limit, &["31744 bytes"]);
    let mut change = store.change().unwrap();
    let largest = longest + Code::ROOM_BYTES;
    refused(
        change.replace(&held, &code(largest + 1), until).map(drop),
        ErrorKind::Limit,
        &["32768 bytes"],
    );
    change.replace(&held, &code(largest), until).unwrap();
    assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
    assert_eq!(bytes(), VALUE_BYTES_MAX);
    let held = store.get::<Code>(id).wait().unwrap().unwrap();
    assert_eq!(edit(&held, largest - 1).unwrap(), Outcome::Applied, "no longer than it was");
}

fn device() -> Device {
    Device {
        state: DeviceState::Pending,
        client: "client-1".to_owned(),
        scopes: String::new(),
        audience: String::new(),
        origin: Origin::default(),
        epochs: Epochs::default(),
        salt: [0; 32],
        payload: None,
    }
}

fn personal() -> Personal {
    let token = samples::token("personal", "alice");
    Personal {
        key_id: 1,
        name: "laptop".to_owned(),
        subject: token.subject,
        client: String::new(),
        scopes: token.scopes,
        issued_at: token.issued_at,
        epochs: token.epochs,
        revoked_at: None,
        payload: None,
    }
}

// Goal: options out of their limits are refused before anything is made. Method: a log budget and
// longest lifetimes at their limits and just out of them.
#[test]
fn options_out_of_their_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let small = options(&manual_clock()).log_budget_bytes(LOG_BUDGET_BYTES_MIN - 1);
    refused(small.open(&path), ErrorKind::Limit, &["log budget of 2097151 bytes", "2097152"]);
    let second = Duration::from_secs(1);
    let millisecond = Duration::from_millis(1);
    for lifetime in [Duration::ZERO, second - millisecond, LIFETIME_MAX + millisecond] {
        let long = options(&manual_clock()).lifetime_max(lifetime);
        let seconds = format!("{} s", lifetime.as_secs_f64());
        refused(long.open(&path), ErrorKind::Lifetime, &["longest lifetime", &seconds]);
    }
    assert!(!path.exists(), "refusing made something");
    for lifetime in [second, LIFETIME_MAX] {
        let least = options(&manual_clock()).log_budget_bytes(LOG_BUDGET_BYTES_MIN);
        least.lifetime_max(lifetime).open(&path).unwrap().close().unwrap();
    }
}

// Goal: batches out of their limits are refused whole. Method: too many steps, too long a value,
// too many bytes together, one key twice, nothing to write, terms on a write-once kind.
#[test]
fn batches_out_of_their_limits() {
    use grantkeep::backend::{BATCH_BYTES_MAX, BATCH_STEPS_MAX, Expect, Term};
    let (store, _dir) = store();
    let key = |number: usize| Key::new(Kind::write_once(100), samples::id(&number.to_string()));
    let row = |len: usize| {
        let expires_at = store.now().saturating_add(HOUR);
        NewRow { value: vec![1; len], expires_at, terms: Terms::NONE }
    };
    let commit = |fill: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new().unwrap();
        fill(&mut batch);
        store.backend().commit(batch).wait()
    };
    let limit = ErrorKind::Limit;
    let many = |count: usize, len: usize| {
        commit(&|batch| {
            for number in 0..count {
                batch.insert(key(number), row(len));
            }
        })
    };
    refused(many(BATCH_STEPS_MAX + 1, 1), limit, &["65 steps", "64"]);
    refused(many(1, VALUE_BYTES_MAX + 1), limit, &["value", "32769 bytes", "32768"]);
    refused(many(4, BATCH_BYTES_MAX / 4 + 1), limit, &["batch", "98308 bytes", "98304"]);
    refused(many(0, 0), limit, &["at least one key"]);
    let twice = commit(&|batch| {
        batch.insert(key(1), row(1)).insert(key(1), row(1));
    });
    refused(twice, limit, &["twice"]);
    let kept = commit(&|batch| {
        batch.require(key(1), Expect::Absent);
    });
    refused(kept, limit, &["at least one key"]);
    let listed = commit(&|batch| {
        let terms = Terms::one(Term([1; 16]));
        batch.insert(key(1), NewRow { terms, ..row(1) });
    });
    refused(listed, limit, &["no index terms"]);
    assert_eq!(store.stats().rows_total(), 3, "something of them was written");
    many(4, BATCH_BYTES_MAX / 4).unwrap();
    let (full, _dir) = self::store();
    let mut batch = Batch::new().unwrap();
    for number in 0..BATCH_STEPS_MAX {
        batch.insert(key(number), row(1));
    }
    full.backend().commit(batch).wait().unwrap();
}

// Goal: a store that nobody sweeps says so before its windows run out, and goes on once it is
// swept. Method: a code a second, each in a window of its own, one more than there are windows.
#[test]
fn windows_that_nobody_sweeps() {
    const WINDOWS: usize = 4_096;
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = options(&clock).open(dir.path()).unwrap();
    let mut issued = 0;
    let refused_at = loop {
        let mut change = store.change().unwrap();
        let code = samples::code("code", "alice");
        let until = store.now().saturating_add(Duration::from_secs(1));
        change.insert(samples::id(&issued.to_string()), &code, until).unwrap();
        match store.commit(change).wait() {
            Ok(_) => issued += 1,
            Err(error) => break error,
        }
        assert!(issued <= WINDOWS, "more windows than there are");
        clock.advance(Duration::from_secs(1));
    };
    // One holds what recognizes the keyring.
    assert_eq!(issued, WINDOWS - 1);
    let words = ["4096 windows", "sweep the store"];
    refused(Err::<(), _>(refused_at), ErrorKind::Unavailable, &words);
    store.sweep(Budget::ALL).wait().unwrap();
    let names = ["fresh".to_owned()];
    super::issue(&store, &names);
    assert_eq!(super::found(&store, &names), 1);
    store.close().unwrap();
    assert_eq!(super::found(&options(&clock).open(dir.path()).unwrap(), &names), 1);
}

// Goal: a store that was closed says so, and says that nothing happened. Method: use one after its
// close, in every way.
#[test]
fn closed_stores() {
    let (store, _dir) = store();
    let mut change = store.change().unwrap();
    let until = store.now().saturating_add(HOUR);
    change.insert(samples::id("late"), &samples::code("late", "alice"), until).unwrap();
    store.close().unwrap();
    let closed = ["closed"];
    refused(store.commit(change).wait(), ErrorKind::Unavailable, &closed);
    refused(store.checkpoint().wait(), ErrorKind::Unavailable, &closed);
    let swept = store.sweep(Budget::ALL).wait();
    refused(swept, ErrorKind::Unavailable, &closed);
    store.close().unwrap();
}
