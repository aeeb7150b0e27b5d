use grantkeep::backend::Outcome;
use grantkeep::{
    Burned, Change, Code, CodeState, Digest, Family, FamilyState, Owner, Payload, RevocationReason,
    SessionId, Store, Timestamp, Token, Wait as _,
};
use grantkeep_tests::files::files;
use grantkeep_tests::{manual_clock, options, samples};
use std::fs;
use std::path::Path;
use std::time::Duration;

const V4: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/format/v4");
const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const UNTIL: Timestamp = Timestamp::from_millis(1_800_000_000_000 + 86_400_000);
const TOKEN: &[u8] = b"presented-token-of-format-3";

/// Cuts a file behind its last byte that is not zero; answers how long it was.
fn cut(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    fs::write(path, &bytes[..used]).unwrap();
    bytes.len()
}

/// Copies a fixture, its files as long as they were.
fn restore(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("log")).unwrap();
    for line in fs::read_to_string(from.join("lengths")).unwrap().lines() {
        let (name, length) = line.split_once(' ').unwrap();
        let mut bytes = fs::read(from.join(name)).unwrap();
        bytes.resize(length.parse().unwrap(), 0);
        fs::write(to.join(name), bytes).unwrap();
    }
}

fn commit(store: &Store, fill: impl FnOnce(&mut Change)) {
    let mut change = store.change().unwrap();
    fill(&mut change);
    assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
}

fn spent() -> Code {
    let state = CodeState::Spent { at: AT, family: Some(samples::family_id("rotated")) };
    Code { state, ..samples::code("spent", "alice") }
}

/// A family with all that one may have, which is listed by four terms.
fn opened(name: &str, subject: &str) -> Family {
    Family {
        label: "phone".to_owned(),
        session: Some(SessionId::of(name)),
        facts: Some(Payload::Plain(b"at home".to_vec())),
        ..samples::family(name, subject)
    }
}

fn rotated() -> Family {
    Family { generation: 2, ..opened("rotated", "alice") }
}

fn revoked() -> Family {
    let state = FamilyState::Revoked { at: AT, reason: RevocationReason::RefreshReused };
    Family { state, ..opened("revoked", "bob") }
}

fn pair(subject: &str) -> Owner<'_> {
    Owner::Pair { subject, client: "client-1" }
}

/// Writes a store whose rows lie in the table, in the log, and in both.
fn write(path: &Path) {
    let store = options(&manual_clock()).open(path).unwrap();
    let keyring = store.keyring();
    let payload = Payload::seal(&keyring, TOKEN, b"claims").unwrap();
    commit(&store, |change| {
        for name in ["fresh", "spent", "deleted"] {
            change.insert(samples::id(name), &samples::code(name, "alice"), UNTIL).unwrap();
        }
        let token = Token { payload: Some(payload), ..samples::token("token", "alice") };
        change.insert(store.id(TOKEN).unwrap(), &token, UNTIL).unwrap();
        for (name, subject) in [("rotated", "alice"), ("revoked", "bob")] {
            change.insert(samples::id(name), &opened(name, subject), UNTIL).unwrap();
        }
    });
    store.begin_epoch(Owner::Client("client-1")).wait().unwrap();
    store.begin_epoch(pair("alice")).wait().unwrap();
    store.checkpoint().wait().unwrap();

    let code = store.get::<Code>(samples::id("spent")).wait().unwrap().unwrap();
    let family = store.get::<Family>(samples::id("rotated")).wait().unwrap().unwrap();
    commit(&store, |change| {
        change.replace(&code, &spent(), UNTIL).unwrap();
        change.replace(&family, &rotated(), UNTIL).unwrap();
    });
    let family = store.get::<Family>(samples::id("revoked")).wait().unwrap().unwrap();
    commit(&store, |change| drop(change.replace(&family, &revoked(), UNTIL).map(drop)));
    let code = store.get::<Code>(samples::id("deleted")).wait().unwrap().unwrap();
    commit(&store, |change| {
        change.delete(&code);
    });
    assert_eq!(store.burn("jti", b"value", UNTIL).wait().unwrap(), Burned::First);
    commit(&store, |change| {
        let token = samples::token("young", "bob");
        change.insert(samples::id("young"), &token, UNTIL).unwrap();
    });
    store.close().unwrap();

    let lengths: Vec<String> = files(path)
        .iter()
        .map(|file| {
            let name = file.strip_prefix(path).unwrap().display();
            format!("{name} {}\n", cut(file))
        })
        .collect();
    fs::write(path.join("lengths"), lengths.concat()).unwrap();
}

/// Demands every row, and nothing else.
fn check(path: &Path) {
    let store = options(&manual_clock()).create(false).open(path).unwrap();
    let code = |name: &str| {
        let held = store.get::<Code>(samples::id(name)).wait().unwrap()?;
        assert_eq!(held.expires_at, UNTIL);
        Some(held.record)
    };
    assert_eq!(code("fresh"), Some(samples::code("fresh", "alice")));
    assert_eq!(code("spent"), Some(spent()));
    assert_eq!(code("deleted"), None);
    let family =
        |name: &str| store.get::<Family>(samples::id(name)).wait().unwrap().map(|held| held.record);
    assert_eq!(family("rotated"), Some(rotated()));
    assert_eq!(family("revoked"), Some(revoked()));
    let held = store.find::<Token>(TOKEN).wait().unwrap().unwrap();
    let payload = held.record.payload.clone();
    let claims = payload.as_ref().unwrap().open(&store.keyring(), TOKEN).unwrap();
    assert_eq!(claims, b"claims");
    assert_eq!(held.record, Token { payload, ..samples::token("token", "alice") });
    let young = store.get::<Token>(samples::id("young")).wait().unwrap().unwrap();
    assert_eq!(young.record, samples::token("young", "bob"));
    assert_eq!(store.burn("jti", b"value", UNTIL).wait().unwrap(), Burned::Seen);
    let epochs = |subject| store.epochs(subject, "client-1").wait().unwrap().epochs();
    assert!(epochs("alice").client.is_some() && epochs("alice").subject.is_none());
    assert!(epochs("alice").pair.is_some() && epochs("bob").pair.is_none());
    for (subject, name) in [("alice", "rotated"), ("bob", "revoked")] {
        for owner in [Owner::Subject(subject), pair(subject), Owner::Session(name)] {
            let listed = store.list::<Family>(owner, None, 10).wait().unwrap();
            let ids: Vec<Digest> = listed.records.iter().map(|held| held.id).collect();
            assert_eq!(ids, [samples::id(name)], "{owner:?}");
        }
    }
    // It goes on: what is issued, carried, and swept now lies beside what was there.
    let until = store.now().saturating_add(Duration::from_secs(60));
    commit(&store, |change| {
        change.insert(samples::id("new"), &samples::code("new", "alice"), until).unwrap();
    });
    store.checkpoint().wait().unwrap();
    assert_eq!(code("spent"), Some(spent()));
    store.close().unwrap();
}

// Goal: P7, stores of format 4 open, and answer exactly what was written. Method: a committed store
// directory, copied and used.
#[test]
fn fixture_of_format_4_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    restore(Path::new(V4), &path);
    check(&path);
    // After a crash as well: the mark of the orderly close is gone.
    let crashed = dir.path().join("crashed");
    restore(Path::new(V4), &crashed);
    fs::write(crashed.join("LOCK"), "open 1\n").unwrap();
    check(&crashed);
}

// Goal: this version still writes what the fixture says it does. Method: write one anew, where
// `GRANTKEEP_FIXTURES` says or in a temporary directory, and use it in the same way.
#[test]
fn fixture_can_be_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let made = match std::env::var_os("GRANTKEEP_FIXTURES") {
        Some(path) => path.into(),
        None => dir.path().join("made"),
    };
    write(&made);
    let path = dir.path().join("store");
    restore(&made, &path);
    check(&path);
    let bytes: u64 = files(&made).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < 512 * 1024, "a fixture of {bytes} bytes");
}
