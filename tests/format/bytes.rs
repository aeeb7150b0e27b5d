use data_encoding::HEXLOWER;
use grantkeep::backend::{Backend as _, Batch, Key, Kind, NewRow, Row, Term, Terms};
use grantkeep::{
    Client, ClientSecret, ClientState, Code, CodeState, Confirmation, Digest, Epoch, ErrorKind,
    Family, FamilyState, Keyring, LIFETIME_DEFAULT_MAX, LastUse, Memory, Payload, Record,
    RefreshText, RevocationReason, SecretDigest, SessionId, Store, Timestamp, Token, Wait as _,
};
use grantkeep_tests::files::segments;
use grantkeep_tests::{manual_clock, options, samples};
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The stored value of a record, in hex.
fn value<R: Record>(record: &R) -> String {
    let store = Store::in_memory(manual_clock()).unwrap();
    let mut change = store.change().unwrap();
    let until = store.now().saturating_add(Duration::from_secs(60));
    change.insert(samples::id("sample"), record, until).unwrap();
    store.commit(change).wait().unwrap();
    let key = Key::new(R::KIND, samples::id("sample"));
    HEXLOWER.encode(store.backend().get(key).wait().unwrap().unwrap().value())
}

/// A client with every field in use.
fn client() -> Client {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let secret = ClientSecret {
        id: [1; 8],
        digest: SecretDigest::Keyed { key_id: 2, digest: [3; 32] },
        created_at: at,
        expires_at: Timestamp::NEVER,
    };
    Client {
        id: "c".to_owned(),
        name: "n".to_owned(),
        confidential: true,
        secrets: vec![secret],
        redirect_uris: vec!["https://app.example/c".to_owned()],
        grant_types: "password".to_owned(),
        scopes: "read".to_owned(),
        created_at: at,
        loopback: true,
        require_pkce: true,
        policy: Some("p".to_owned()),
        state: ClientState::Disabled { at },
        fence: None,
        set_back_ms: 0,
    }
}

// Goal: the codec of values does not drift. Method: one record of each type, byte for byte.
#[test]
fn values() {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let state = CodeState::Spent { at, family: Some(samples::family_id("f")) };
    let code = Code { nonce: Some("n".to_owned()), state, ..samples::code("c", "alice") };
    assert_eq!(value(&code), CODE);
    let sealed = Payload::Sealed { key_id: 3, nonce: [9; 12], bytes: vec![1, 2, 3] };
    let token = Token {
        confirmation: Some(Confirmation::X5tS256([8; 32])),
        revoked_at: Some(at),
        payload: Some(sealed),
        ..samples::token("t", "alice")
    };
    assert_eq!(value(&token), TOKEN);
    let state = FamilyState::Revoked { at, reason: RevocationReason::CodeReplayed };
    let family = Family {
        generation: 300,
        state,
        label: "phone".to_owned(),
        session: Some(SessionId::of("s")),
        facts: Some(Payload::Plain(vec![7; 3])),
        ..samples::family("f", "alice")
    };
    assert_eq!(value(&family), FAMILY);
    assert_eq!(value(&client()), CLIENT);
    let brought = RefreshText { family: samples::family_id("f"), generation: 300 };
    assert_eq!(value(&brought), BROUGHT);
    assert_eq!(value(&LastUse { at }), LAST_USE);
}

// Goal: a client that an earlier version stored is refused as what it is, by its id and in the
// list, and the row is left as it was. Method: its bytes of formats 2 and 3, put below the typed
// records.
#[test]
fn a_client_of_an_earlier_format_is_refused() {
    for (format, bytes) in [(2, CLIENT_V2), (3, CLIENT_V3)] {
        let store = Store::in_memory(manual_clock()).unwrap();
        let key = Key::new(Client::KIND, Client::row_id("c"));
        let stored = HEXLOWER.decode(bytes.as_bytes()).unwrap();
        let mut batch = Batch::new().unwrap();
        let (value, terms) = (stored.clone(), client().terms());
        batch.insert(key, NewRow { value, expires_at: Timestamp::NEVER, terms });
        store.backend().commit(batch).wait().unwrap();
        let listed = store.clients(None, 10).wait().map(drop);
        for error in [store.client("c").wait().map(drop), listed].map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Format);
            let told = format!("a stored client is of format {format}, this version reads 4");
            assert!(error.to_string().contains(&told), "{error}");
        }
        assert_eq!(store.backend().get(key).wait().unwrap().unwrap().value(), stored);
    }
}

// Goal: a family and an epoch that an earlier version stored are refused as what they are, also
// where only the head of a family is read, and so is a store: its horizon is read first. Method:
// their bytes of format 3, put below the typed records.
#[test]
fn values_of_format_3_are_refused() {
    let memory = || Memory::with_clock(manual_clock());
    let keyring = || Keyring::from_keys([(1, [0x42; 32])]).unwrap();
    let put = |backend: &Memory, key: Key, value: Vec<u8>, terms: Terms| {
        let mut batch = Batch::new().unwrap();
        batch.insert(key, NewRow { value, expires_at: Timestamp::NEVER, terms });
        backend.commit(batch).wait().unwrap();
    };
    let store = Store::new(memory(), keyring(), LIFETIME_DEFAULT_MAX).wait().unwrap();
    let family = samples::family("f", "alice");
    let key = Key::new(Family::KIND, family.id.digest());
    let stored = HEXLOWER.decode(FAMILY_V3.as_bytes()).unwrap();
    put(store.backend(), key, stored, family.terms());
    let epoch = Key::new(Epoch::KIND, samples::id("e"));
    put(store.backend(), epoch, [&[3, 253][..], &[7; 8], &[0]].concat(), Terms::NONE);
    let refused = [
        store.get::<Family>(key.id).wait().map(drop),
        store.family_standing(family.id).wait().map(drop),
        store.get::<Epoch>(epoch.id).wait().map(drop),
    ];
    for error in refused.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("is of format 3, this version reads 4"), "{error}");
    }
    let old = memory();
    let horizon = Key::new(Kind::revised(15), Digest::of_name("horizon", &[]));
    put(&old, horizon, [&[3, 253][..], &[7; 8]].concat(), Terms::NONE);
    let marker = Key::new(Kind::revised(0x7f), Digest::of_name("keyring", &[]));
    put(&old, marker, Vec::new(), Terms::NONE);
    let check = Key::new(Kind::revised(0x7f), Digest::of_name("key", &1_u32.to_le_bytes()));
    put(&old, check, keyring().active().unwrap().check().to_vec(), Terms::NONE);
    let error = Store::new(old, keyring(), LIFETIME_DEFAULT_MAX).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
}

// Goal: what is derived from a root key, and ids made from names, do not drift: a changed one would
// lose every token. Method: fixed inputs, byte for byte.
#[test]
fn digests() {
    let keyring = Keyring::from_keys([(1, [0x42; 32])]).unwrap();
    let key = keyring.active().unwrap();
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    assert_eq!(hex(key.lookup(b"0123456789abcdef").as_bytes()), LOOKUP);
    assert_eq!(hex(&key.refresh_key(&[7; 32])[..]), REFRESH_KEY);
    assert_eq!(hex(&key.refresh_mask(1, &[7; 16])[..]), REFRESH_MASK);
    assert_eq!(hex(&key.seal_key(b"0123456789abcdef")[..]), SEAL_KEY);
    assert_eq!(hex(key.check()), KEY_CHECK);
    assert_eq!(hex(Digest::of_name("family", &[1; 12]).as_bytes()), NAME);
}

/// A record as the format says, the first under its key, written a second time and by other means
/// than the engine's.
fn record(row: &Row) -> Vec<u8> {
    let terms: Vec<Term> = row.terms().iter().collect();
    let mut body = Vec::new();
    body.extend(row.expires_at().as_millis().to_le_bytes());
    body.extend(row.op().0.to_le_bytes());
    body.extend([row.key().kind.as_byte(), 2, u8::try_from(terms.len()).unwrap(), 0]);
    body.extend(u32::try_from(row.value().len()).unwrap().to_le_bytes());
    body.extend(row.key().id.as_bytes());
    terms.iter().for_each(|term| body.extend(term.0));
    body.extend(row.value());
    let version = row.version().0;
    let check = (xxh3_64(&body) ^ version).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    [&check.to_le_bytes()[..], &version.to_le_bytes(), &body].concat()
}

// Goal: records and frames of the log do not drift. Method: read the log of a store with one batch
// of two rows, and compare it with frames made here from the description of the format.
#[test]
fn records_and_frames() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keyring::from_keys([(1, [0x42; 32])]).unwrap();
    let options = options(&manual_clock()).keys(grantkeep::KeySource::Given(keys));
    let (engine, _) = options.open_backend(dir.path()).unwrap();
    let expires_at = Timestamp::from_millis(1_800_000_060_000);
    let keys = [
        Key::new(Kind::write_once(100), samples::id("a")),
        Key::new(Kind::revised(101), samples::id("b")),
    ];
    let mut batch = Batch::new().unwrap();
    batch.insert(keys[0], NewRow { value: vec![5; 13], expires_at, terms: Terms::NONE });
    let terms = Terms::of([1, 2, 3, 4].map(|number| Some(Term([number; 16]))));
    batch.insert(keys[1], NewRow { value: Vec::new(), expires_at, terms });
    engine.commit(batch).wait().unwrap();
    let rows = keys.map(|key| engine.get(key).wait().unwrap().unwrap());
    engine.close().unwrap();

    let log = std::fs::read(&segments(dir.path())[0]).unwrap();
    let u32_at = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    assert_eq!(&log[..8], b"GKLOG\0\0\0");
    assert_eq!((u32_at(8), u64_at(32)), (4, 1), "the format, and the segment's number");
    assert_eq!(u64_at(48), xxh3_64(&log[..48]));
    assert_eq!(log[..56], log[4_096..4_152], "the second header");
    let nonce = u64_at(40);

    let records = rows.map(|row| record(&row));
    assert_eq!(records.each_ref().map(Vec::len), [80 + 13, 80 + 64]);
    let frame = |sequence: u64, base: u64, closed: u16, records: &[Vec<u8>]| {
        let mut payload = Vec::new();
        for record in records {
            payload.extend(record);
            payload.resize(payload.len().next_multiple_of(8), 0);
        }
        let mut covered = Vec::new();
        covered.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        covered.extend(u16::try_from(records.len()).unwrap().to_le_bytes());
        covered.extend(closed.to_le_bytes());
        covered.extend(sequence.to_le_bytes());
        covered.extend(base.to_le_bytes());
        covered.extend(1_800_000_000_000_u64.to_le_bytes());
        covered.extend(0_u64.to_le_bytes());
        let header = covered.clone();
        records.iter().for_each(|record| covered.extend(&record[..8]));
        let check = xxh3_64_with_seed(&covered, nonce).to_le_bytes();
        [&check[..], &header, &payload].concat()
    };
    let first = frame(1, 0, 0, &records);
    let behind = 8_192 + first.len();
    assert_eq!(log[8_192..behind], first, "the frame of the batch");
    // The store may have noted that it came to rest before it was closed.
    let noted = [frame(2, 1, 0, &[]), frame(3, 2, 1, &[])].concat();
    let closed = frame(2, 1, 1, &[]);
    let rest = &log[behind..];
    assert!(rest.starts_with(&closed) || rest.starts_with(&noted), "the frame of the close");
}

const CODE: &str = "\
    040008636c69656e742d3105616c6963650672656164206300011568747470733a2f2f6170702e6578616d70\
    6c652f63010020dbdf923689f36cac11f9ac0706e3f3de7084302a491d942f9f5fa3b20876ff650001016e00\
    000000000000000001fd00505c18a3010000010c38bb6b79d6f9a7c771e796b600";

const TOKEN: &str = "\
    040008636c69656e742d3105616c696365067265616420740001012008080808080808080808080808080808\
    08080808080808080808080808080808010c259f912f7fe5d527728f1005fd00505c18a30100000000000000\
    0001fd00505c18a30100000101030c09090909090909090909090903010203";

const FAMILY: &str = "\
    0401fd00505c18a301000001fd0038d360ba0100000000000000000c38bb6b79d6f9a7c771e796b608636c69\
    656e742d3105616c696365fd00505c18a30100000570686f6e6501105417b97dfd97b9d3b7c997dc243d0b0e\
    010003070707067265616420661368747470733a2f2f6170692e6578616d706c6500fb2c01002038bb6b79d6\
    f9a7c771e796b6c560a6882985a8042b3d45a5d7792481a37c579501fd00505c18a3010000000000000000";

/// A family, as format 3 had it: its epochs behind, and four of them.
const FAMILY_V3: &str = "\
    0301fd00505c18a301000001fd0038d360ba0100000c38bb6b79d6f9a7c771e796b608636c69656e742d3105\
    616c696365fd00505c18a30100000570686f6e6501105417b97dfd97b9d3b7c997dc243d0b0e010003070707\
    067265616420661368747470733a2f2f6170692e6578616d706c6500fb2c01002038bb6b79d6f9a7c771e796\
    b6c560a6882985a8042b3d45a5d7792481a37c579501fd00505c18a3010000000000000000000000";

const CLIENT: &str = "\
    040163016e010108010101010101010100022003030303030303030303030303030303030303030303030303\
    03030303030303fd00505c18a3010000fdffffffffffffff3f011568747470733a2f2f6170702e6578616d70\
    6c652f630870617373776f726404726561640101010170fd00505c18a301000001fd00505c18a30100000000";

/// A client, as format 3 had it: every secret was digested here.
const CLIENT_V3: &str = "\
    030163016e010108010101010101010102200303030303030303030303030303030303030303030303030303\
    030303030303fd00505c18a3010000fdffffffffffffff3f011568747470733a2f2f6170702e6578616d706c\
    652f630870617373776f726404726561640101010170fd00505c18a301000001fd00505c18a30100000000";

/// The same client, as format 2 had it: disabled since a time or not, and without a policy.
const CLIENT_V2: &str = "\
    020163016e010108010101010101010102200303030303030303030303030303030303030303030303030303\
    030303030303fd00505c18a3010000fdffffffffffffff3f011568747470733a2f2f6170702e6578616d706c\
    652f630870617373776f72640472656164fd00505c18a301000001fd00505c18a30100000000";

const BROUGHT: &str = "040c38bb6b79d6f9a7c771e796b6fb2c01";

const LAST_USE: &str = "04fd00505c18a3010000";

const LOOKUP: &str = "3eab868b3b0acb8b302e56f201d3e146cae8e5be392b4e60c92596be4d8dffd6";

const REFRESH_MASK: &str = "18040a08b1656e0f50562da905e09b83";
const REFRESH_KEY: &str = "22077d8359f0d6f8fad99ebc045a58851eed35d376538435ccdc7ef514c1638f";

const SEAL_KEY: &str = "94b69a7727ee1c5ec2caf4e1dc57e184349951290368dbb4d5ba1df85dc1f683";

const KEY_CHECK: &str = "2a87b58a5b9c6e7591d87a119ef5c3568af368eb97df71497d99e0de14db62e6";

const NAME: &str = "3f66aadd1fd275231771987d0ad556d8468eb0ed784e8c676d5a8f6a1ce65b98";
