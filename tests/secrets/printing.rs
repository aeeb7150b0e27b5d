//! What `{:?}` of a public type prints, as tracing does with every argument of a function.

use grantkeep::backend::{Backend as _, Batch, Key, NewRow, Terms};
use grantkeep::{
    Client, ClientSecret, Code, Device, Family, LastUse, Memory, Owner, Payload, Personal, Record,
    RefreshText, SecretDigest, Store, Successor, SystemClock, Timestamp, Token, UserCode,
    Wait as _,
};
use grantkeep_grants::{
    Authorize, Claimed, ClientCredentials, ClientEdit, Completion, Creation, DeviceApproval,
    DeviceRequest, DeviceRequested, Events, Grant, Grants, NewClient, NewPersonal, NewSecret, Once,
    Policy, Presented, Redeemed, RefreshRequest, Refreshed, Secret,
};
use grantkeep_oxide::Oxide;
use grantkeep_tests::samples;
use std::fmt::Debug;
use std::sync::Arc;

const FAMILIES: usize = 10_000;
/// The most that printing one value takes, in either form.
const PRINTED_BYTES_MAX: usize = 2_048;

const VERIFIER: &str = "a-plain-verifier-that-is-long-enough-to-be-one-0";
const PAYLOAD: &[u8] = b"PLAINPAYLOAD-of-a-grant";

/// What was printed, and what must not have been.
struct Printed {
    values: Vec<(&'static str, String)>,
    secrets: Vec<Vec<u8>>,
}

impl Printed {
    fn add(&mut self, name: &'static str, value: &dyn Debug) {
        self.values.push((name, format!("{value:?}")));
        self.values.push((name, format!("{value:#?}")));
    }

    fn hide(&mut self, secret: impl AsRef<[u8]>) {
        self.secrets.push(secret.as_ref().to_vec());
    }

    fn check(&self) {
        let list = |bytes: &[u8], between: &str| {
            bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(between)
        };
        for (name, text) in &self.values {
            assert!(text.len() <= PRINTED_BYTES_MAX, "{name}: {} bytes", text.len());
            // Without the white space of the longer form, so that a list is found in both.
            let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            for secret in &self.secrets {
                let piece = &secret[..secret.len().min(12)];
                let plain = std::str::from_utf8(piece).is_ok_and(|piece| text.contains(piece));
                let hex = data_encoding::HEXLOWER.encode(piece);
                let found = plain || dense.contains(&list(piece, ",")) || dense.contains(&hex);
                assert!(!found, "{name} prints {piece:?}: {text}");
            }
        }
    }
}

/// A store with many families, and the code and the pair that were issued last.
fn filled() -> (Grants<Memory>, Events) {
    let events = Events::new();
    let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
    let policy = Policy { allow_plain_pkce: true, ..Policy::default() };
    let grants = Grants::new(store, policy).unwrap().with_events(events.clone());
    for number in 0..FAMILIES {
        let subject = format!("s{}", number % 5);
        grants.open(Grant::new("c", &subject).payload(PAYLOAD)).wait().unwrap();
    }
    (grants, events)
}

fn print_records(printed: &mut Printed, store: &Store<Memory>) {
    let families = store.list::<Family>(Owner::Subject("s0"), None, 1_000).wait().unwrap();
    printed.add("Listing", &families);
    for held in families.records.iter().take(20) {
        printed.hide(held.record.salt);
        printed.add("Held<Family>", held);
        let standing = store.family_standing(held.record.id).wait().unwrap();
        printed.add("FamilyStanding", &standing);
        let key = Key::new(Family::KIND, held.id);
        printed.add("Row", &store.backend().get(key).wait().unwrap().unwrap());
    }
    let page = store.backend().list(grantkeep::backend::Term([0; 16]), None, 10).wait().unwrap();
    printed.add("Page", &page);
    let standing = store.epochs("s0", "c").wait().unwrap();
    printed.add("StandingEpochs", &standing);
    let sealed = Payload::seal(&store.keyring(), b"secret", PAYLOAD).unwrap();
    printed.add("Payload", &sealed);
    printed.add("Successor", &Successor { text: sealed });
    let family = samples::family_id("x");
    printed.add("RefreshText", &RefreshText { family, generation: 1 });
    printed.add("LastUse", &LastUse { at: Timestamp::NEVER });
    printed.add("Token", &Token { payload: Some(plain()), ..samples::token("x", "alice") });
    let mut change = store.change().unwrap();
    let until = store.now().saturating_add(std::time::Duration::from_secs(60));
    let family = Family { salt: [201; 32], ..samples::family("x", "alice") };
    printed.hide(family.salt);
    change.insert(samples::id("x"), &family, until).unwrap();
    printed.add("Family", &family);
    printed.add("Change", &change);
    let row = NewRow { value: PAYLOAD.to_vec(), expires_at: until, terms: Terms::NONE };
    printed.add("NewRow", &row);
    let mut batch = Batch::new().unwrap();
    batch.insert(Key::new(Family::KIND, samples::id("y")), row);
    printed.add("Batch", &batch);
    printed.add("Step", &batch.steps()[0]);
    let digest = [77; 32];
    printed.hide(digest);
    let secret = ClientSecret {
        id: [1; 8],
        digest: SecretDigest::Keyed { key_id: 1, digest },
        created_at: Timestamp::NEVER,
        expires_at: Timestamp::NEVER,
    };
    printed.add("ClientSecret", &secret);
    printed.add("Keyring", &*store.keyring());
    for key in store.keyring().to_text().split([',', ':']) {
        if let Ok(raw) = data_encoding::HEXLOWER.decode(key.as_bytes()) {
            printed.hide(raw);
        }
    }
}

fn plain() -> Payload {
    Payload::Plain(PAYLOAD.to_vec())
}

fn print_answers(printed: &mut Printed, grants: &Grants<Memory>) {
    let store = grants.store();
    let request = Authorize::new("c", "alice").pkce_plain(VERIFIER).payload(PAYLOAD);
    printed.add("Authorize", &request);
    let code = grants.authorize(request.clone()).wait().unwrap();
    let held = store.find::<Code>(code.expose().as_bytes()).wait().unwrap().unwrap();
    printed.add("Held<Code>", &held);
    let presented = Presented::by("c").verifier(VERIFIER);
    printed.add("Presented", &presented);
    let claimed = grants.authorize(request).wait().unwrap();
    let claimed = grants.claim(claimed.expose()).wait().unwrap();
    printed.add("Claimed", &claimed);
    let Claimed::Grant(claim) = claimed else { panic!("a fresh code is claimed") };
    let completion = Completion::by("c").payload(PAYLOAD);
    printed.add("Completion", &completion);
    let completed = grants.complete(claim.family.unwrap(), &completion).wait().unwrap();
    printed.add("Completed", &completed);
    let redeemed = grants.redeem(code.expose(), &presented).wait().unwrap();
    printed.add("Redeemed", &redeemed);
    let Redeemed::Granted(pair) = redeemed else { panic!("a fresh code is granted") };
    let request = RefreshRequest::by("c");
    let refresh = pair.refresh.unwrap();
    let refreshed = grants.refresh(refresh.expose(), &request).wait().unwrap();
    printed.add("Refreshed", &refreshed);
    let Refreshed::Rotated(next) = refreshed else { panic!("a fresh token is rotated") };
    let told = grants.introspect(next.access.expose()).wait().unwrap();
    printed.add("Introspection", &told);
    let new = NewPersonal::new("alice", "x").payload(PAYLOAD);
    printed.add("NewPersonal", &new);
    let personal = grants.create_personal(new).wait().unwrap();
    printed.add("PersonalIssued", &personal);
    let held = store.find::<Personal>(personal.token.expose().as_bytes()).wait().unwrap();
    printed.add("Held<Personal>", &held);
    printed.add("Listed", &grants.personal_of("alice", None, 10).wait().unwrap());
    printed.add("Listed", &grants.families_of("s0", None, 1_000).wait().unwrap());
    let client = ClientCredentials::new("c").payload(PAYLOAD);
    printed.add("ClientCredentials", &client);
    let issued = grants.client_credentials(client).wait().unwrap();
    printed.add("Issued", &issued);
    let secrets = [code, refresh, pair.access, next.access, personal.token, issued.access];
    secrets.iter().for_each(|secret| printed.hide(secret.expose()));
}

fn print_devices_and_clients(printed: &mut Printed, grants: &Grants<Memory>) {
    let store = grants.store();
    let request = DeviceRequest::new("tv").payload(PAYLOAD);
    printed.add("DeviceRequest", &request);
    let issued = grants.device(request).wait().unwrap();
    printed.add("DeviceIssued", &issued);
    let device = store.find::<Device>(issued.device_code.expose().as_bytes()).wait().unwrap();
    let device = device.unwrap();
    printed.hide(device.record.salt);
    printed.hide(device.id.as_bytes());
    printed.add("Device", &device.record);
    printed.add("UserCode", &UserCode::of(device.id));
    let shown = grants.device_request(issued.user_code.expose()).wait().unwrap();
    assert!(matches!(shown, DeviceRequested::Pending(_)));
    printed.add("DeviceRequested", &shown);
    printed.add("DeviceApproval", &DeviceApproval::by("alice").payload(PAYLOAD));
    let pushed = grants.push("c", PAYLOAD).wait().unwrap();
    printed.add("Pushed", &pushed);
    let taken = grants.take_pushed(pushed.request_uri.expose(), "c").wait().unwrap();
    printed.add("Taken", &taken);
    printed.add("Once", &Once::jti("c", "a-jti-that-is-burnt"));

    let uris: Vec<String> = (0..64).map(|n| format!("https://a.example/{n}/callback")).collect();
    let new = uris.iter().fold(NewClient::confidential("app"), |new, uri| new.redirect_uri(uri));
    printed.add("NewClient", &new);
    let created = grants.create_client(new).wait().unwrap();
    printed.add("Creation", &created);
    let Creation::Created(created) = created else { panic!("the id is free") };
    let brought = "a client secret that the server brought";
    printed.add("NewSecret", &NewSecret::brought(brought));
    let held = store.get::<Client>(Client::row_id("app")).wait().unwrap();
    printed.add("Held<Client>", &held);
    printed.add("ClientInfo", &created.client);
    let (name, redirect_uris) = (String::new(), uris.clone());
    let edit = ClientEdit {
        name,
        redirect_uris,
        grants: Vec::new(),
        scopes: Vec::new(),
        loopback: false,
        require_pkce: false,
        policy: None,
    };
    printed.add("ClientEdit", &edit);
    let secret: &Secret = created.secret.as_ref().unwrap();
    printed.add("Secret", secret);
    printed.hide(secret.expose());
    printed.hide(brought);
    for secret in [&issued.device_code, &issued.user_code] {
        printed.hide(secret.expose());
    }
}

// Goal: P9, printing a handle tells nothing of what is stored, and takes no more space the more
// that is; no record, row, request, or answer prints a salt, a verifier, a payload, or a token.
// Method: print values of the public types over a store of 10,000 families in both forms; measure
// them, and look for each secret as text, as hex, and as a list of numbers.
#[test]
fn printing_tells_nothing_of_what_is_stored() {
    let (grants, events) = filled();
    let mut printed = Printed { values: Vec::new(), secrets: Vec::new() };
    printed.hide(PAYLOAD);
    printed.hide(VERIFIER);
    let subscription = events.subscribe(1_000);
    print_answers(&mut printed, &grants);
    print_records(&mut printed, grants.store());
    print_devices_and_clients(&mut printed, &grants);
    printed.add("Grants", &grants);
    printed.add("Store", grants.store());
    printed.add("Memory", grants.store().backend());
    printed.add("Events", &events);
    printed.add("Subscription", &subscription);
    printed.add("Stats", &grants.store().stats());
    printed.add("OxideOptions", &Oxide::options(grants.clone()));

    let dir = tempfile::tempdir().unwrap();
    let options = Store::options().reserve_bytes(0);
    printed.add("Options", &options);
    let store = options.open(dir.path().join("store")).unwrap();
    let embedded = Grants::new(store.clone(), Policy::default()).unwrap();
    let empty = format!("{embedded:#?} {store:#?} {:#?}", store.backend());
    for number in 0..FAMILIES / 10 {
        let mut change = store.change().unwrap();
        for each in 0..10 {
            let name = format!("{number}-{each}");
            let family = Family { payload: Some(plain()), ..samples::family(&name, "alice") };
            let until = store.now().saturating_add(std::time::Duration::from_secs(3_600));
            change.insert(family.id.digest(), &family, until).unwrap();
        }
        store.commit(change).wait().unwrap();
    }
    printed.add("Grants<Embedded>", &embedded);
    let full = format!("{embedded:#?} {store:#?} {:#?}", store.backend());
    assert_eq!(full, empty, "a handle prints what is stored");
    store.close().unwrap();
    println!(
        "{} values printed, {} secrets looked for",
        printed.values.len(),
        printed.secrets.len()
    );
    printed.check();
}
