//! A page of sessions: what it shows, what can be changed on it, and log-in sessions that end.

use crate::device::polled;
use crate::world::*;
use grantkeep::{Code, Family, Payload, SessionId, Wait};
use grantkeep_grants::{
    ClientCredentials, DeviceApproval, Event, Events, FamilyEdit, FamilyEdited, Grant,
    GrantInForce, Issued, NewPersonal, Policy, Polled, Redeemed, Refreshed, Verified,
};

impl World {
    fn listed(&self) -> Vec<GrantInForce> {
        self.grants.families_of(SUBJECT, None, 10).wait().unwrap().items
    }

    fn in_session(&self, session: &str) -> Vec<grantkeep::FamilyId> {
        let listed = self.grants.families_of_session(session, None, 10).wait().unwrap();
        listed.items.iter().map(|item| item.family).collect()
    }

    fn open_in(&self, session: &str) -> Issued {
        self.grants.open(Grant::new(CLIENT, SUBJECT).session(session)).wait().unwrap()
    }

    fn approve_in(&self, session: &str) -> grantkeep_grants::DeviceIssued {
        let device = self.device();
        let approval = DeviceApproval::by(SUBJECT).session(session).label("tv").facts(b"at home");
        let answer = self.grants.approve_device(device.user_code.expose(), &approval).wait();
        assert_eq!(answer.unwrap(), Verified::Done);
        device
    }

    fn is_in_force(&self, pair: &Issued) -> bool {
        let each = [pair.access.expose(), refresh_of(pair)].map(|token| self.is_active(token));
        assert_eq!(each[0], each[1], "a family is in force as a whole");
        each[0]
    }
}

// Goal: a page of sessions shows of each family where and when it was granted and last used,
// whichever way it was opened, and P9: sealed facts are sealed wherever they lie. Method: a code, a
// device, and a family without either; look at the rows, refresh one, list.
#[test]
fn families_are_listed_with_where_they_come_from() {
    let world = World::new();
    let facts = b"firefox, 192.0.2.7";
    let request = authorize().session("s1").label("laptop").sealed_facts(facts);
    let code = world.grants.authorize(request.clone()).wait().unwrap();
    let store = world.grants.store();
    let row = store.find::<Code>(code.expose().as_bytes()).wait().unwrap().unwrap();
    assert!(matches!(row.record.origin.facts, Some(Payload::Sealed { .. })));
    let by_code = granted(world.redeem(&code));
    let row = store.find::<Code>(code.expose().as_bytes()).wait().unwrap().unwrap();
    assert!(row.record.origin.facts.is_none() && row.record.origin.label.is_empty());
    let family = store.get::<Family>(by_code.family.unwrap().digest()).wait().unwrap().unwrap();
    assert!(matches!(family.record.facts, Some(Payload::Sealed { .. })));
    let device = world.approve_in("s1");
    world.clock.advance(s(5));
    let by_device = polled(world.poll(&device));
    world.clock.advance(s(60));
    let opened = world.grants.open(Grant::new("client-2", SUBJECT)).wait().unwrap();
    rotated(world.refresh(refresh_of(&by_code)));

    let listed = world.listed();
    let of =
        |pair: &Issued| listed.iter().find(|item| item.family == pair.family.unwrap()).unwrap();
    let item = of(&by_code);
    assert_eq!((item.label.as_str(), item.client.as_str()), ("laptop", CLIENT));
    assert_eq!((item.session, item.scopes.as_str()), (Some(SessionId::of("s1")), "read write"));
    assert_eq!(item.facts.as_deref(), Some(&facts[..]));
    assert_eq!(item.granted_at, world.now() - s(65));
    assert_eq!((item.last_used_at, item.expires_at), (world.now(), world.now() + s(30 * DAY_S)));
    let item = of(&by_device);
    assert_eq!((item.label.as_str(), item.facts.as_deref()), ("tv", Some(&b"at home"[..])));
    assert_eq!((item.granted_at, item.last_used_at), (world.now() - s(60), world.now() - s(60)));
    let item = of(&opened);
    assert_eq!((item.label.as_str(), item.session, &item.facts), ("", None, &None));
    let printed = format!("{listed:?} {request:?}");
    assert!(printed.contains("laptop") && !printed.contains("192"), "{printed}");

    let mut both = [by_code.family.unwrap(), by_device.family.unwrap()];
    both.sort();
    assert_eq!(world.in_session("s1"), both);
    assert_eq!(world.in_session("s2"), []);
    assert!(world.grants.families_of_session("", None, 10).wait().is_err());
    assert!(world.grants.open(Grant::new(CLIENT, SUBJECT).session("")).wait().is_err());
}

// Goal: facts whose root key is retired hold up no page. Method: seal, rotate, retire, list.
#[test]
fn facts_of_a_retired_key_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = grantkeep::Store::options().reserve_bytes(0).open(dir.path()).unwrap();
    let grants = grantkeep_grants::Grants::new(store, Policy::default()).unwrap();
    let opened = grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    let edit = FamilyEdit::new().sealed_facts(b"at home");
    assert_eq!(
        grants.edit_family(opened.family.unwrap(), edit).wait().unwrap(),
        FamilyEdited::Done
    );
    let facts = || {
        let listed = grants.families_of(SUBJECT, None, 10).wait().unwrap();
        listed.items.first().map(|item| item.facts.clone())
    };
    assert_eq!(facts(), Some(Some(b"at home".to_vec())));
    let old = grants.store().keyring().active().unwrap().id();
    grants.store().rotate_keyring().wait().unwrap();
    let edit = FamilyEdit::new().label("mine").sealed_facts(b"elsewhere");
    grants.edit_family(opened.family.unwrap(), edit).wait().unwrap();
    assert_eq!(facts(), Some(Some(b"elsewhere".to_vec())));
    // Its refresh tokens are made under that key: it cannot be presented, and is not listed.
    grants.store().retire_key(old).wait().unwrap();
    assert_eq!(facts(), None);
}

// Goal: P6, what was granted in a log-in session goes with it in one write, codes and approved
// devices that wait among it (OpenID Connect Back-Channel Logout 1.0 section 2.7), and is told.
// Method: one of each; revoke the session; each again; another in a session of that name.
#[test]
fn a_session_goes_with_its_codes_and_devices() {
    let mut world = World::new();
    let events = Events::new();
    world.grants = world.grants.clone().with_events(events.clone());
    let code = world.grants.authorize(authorize().session("s1")).wait().unwrap();
    let (opened, device) = (world.open_in("s1"), world.approve_in("s1"));
    let mut told = events.subscribe(10);
    let commits = world.grants.store().stats().commits;
    world.grants.revoke_session("s1").wait().unwrap();
    assert_eq!(world.grants.store().stats().commits, commits + 1, "one write");
    assert_eq!(told.try_next(), Some(Event::SessionRevoked { session: SessionId::of("s1") }));

    assert!(matches!(world.redeem(&code), Redeemed::Revoked));
    world.clock.advance(s(5));
    assert!(matches!(world.poll(&device), Polled::Revoked));
    assert!(!world.is_in_force(&opened));
    assert!(matches!(world.refresh(refresh_of(&opened)), Refreshed::Revoked));
    assert_eq!(world.in_session("s1"), []);
    assert!(world.grants.revoke_session("").wait().is_err());
    let again = world.open_in("s1");
    assert!(world.is_in_force(&again));
    assert_eq!(world.in_session("s1"), [again.family.unwrap()]);
}

// Goal: a session goes alone: its subject's other sessions, grants in none, and personal tokens
// stay. Method: one of each; revoke the session; each again.
#[test]
fn a_session_goes_alone() {
    let world = World::new();
    let others = [world.open_in("s2"), world.pair()];
    let code = world.grants.authorize(authorize().session("s2")).wait().unwrap();
    let new = NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
    let personal = world.grants.create_personal(new).wait().unwrap();
    let pending = world.device();
    world.grants.revoke_session("s1").wait().unwrap();
    assert!(others.iter().all(|pair| world.is_in_force(pair)));
    assert!(world.is_active(personal.token.expose()));
    assert!(world.is_in_force(&granted(world.redeem(&code))));
    assert_eq!(world.approve(&pending), Verified::Done);
}

// Goal: P6, an answer that may be repeated is not repeated past the end of its session, for codes
// and for devices, whose rows are spent by then. Method: redeem and poll in a session, end it, do
// both again.
#[test]
fn no_answer_is_repeated_past_its_session() {
    for ends in [false, true] {
        let world = World::under(Policy { repeat_codes: true, ..Policy::default() });
        let code = world.grants.authorize(authorize().session("s1")).wait().unwrap();
        let device = world.approve_in("s1");
        granted(world.redeem(&code));
        polled(world.poll(&device));
        if ends {
            world.grants.revoke_session("s1").wait().unwrap();
        }
        let (code, device) = (world.redeem(&code), world.poll(&device));
        assert_eq!(matches!(code, Redeemed::Granted(_)), !ends, "{code:?}");
        assert_eq!(matches!(device, Polled::Granted(_)), !ends, "{device:?}");
    }
}

// Goal: label, facts, and payload of a family are changed each by itself, for the tokens that are
// issued from then on; a family that is over or somebody else's is left alone. Method: edit, list,
// refresh, introspect; edits of a revoked family and of another subject's.
#[test]
fn what_a_family_carries_is_changed() {
    let world = World::new();
    let code = world.grants.authorize(authorize().label("old").payload(b"one")).wait().unwrap();
    let first = granted(world.redeem(&code));
    let edit =
        |edit| world.grants.edit_family_of(SUBJECT, first.family.unwrap(), edit).wait().unwrap();
    let only = || world.listed().pop().unwrap();
    assert_eq!(edit(FamilyEdit::new().label("new")), FamilyEdited::Done);
    assert_eq!(edit(FamilyEdit::new().facts(&b"at home"[..])), FamilyEdited::Done);
    assert_eq!(edit(FamilyEdit::new().sealed_payload(b"two")), FamilyEdited::Done);
    assert_eq!((only().label.as_str(), only().facts.as_deref()), ("new", Some(&b"at home"[..])));
    let second = rotated(world.refresh(refresh_of(&first)));
    assert_eq!(second.payload.as_deref(), Some(&b"two"[..]));
    for (pair, payload) in [(&first, b"one"), (&second, b"two")] {
        let claims = world.claims(pair.access.expose()).unwrap();
        let opened = world.grants.payload(&claims, pair.access.expose()).unwrap();
        assert_eq!(opened.as_deref(), Some(&payload[..]));
    }
    assert_eq!(edit(FamilyEdit::new().facts(None).payload(None)), FamilyEdited::Done);
    assert_eq!((only().label.as_str(), only().facts), ("new", None));
    let third = rotated(world.refresh(refresh_of(&second)));
    assert_eq!(third.payload, None);

    let rename = FamilyEdit::new().label("stolen");
    let others = world.grants.edit_family_of("bob", first.family.unwrap(), rename).wait().unwrap();
    assert_eq!((others, only().label.as_str()), (FamilyEdited::Unknown, "new"));
    let long = "x".repeat(4_097);
    let refused =
        world.grants.edit_family(first.family.unwrap(), FamilyEdit::new().label(&long)).wait();
    assert_eq!(refused.unwrap_err().kind(), grantkeep::ErrorKind::Limit);
    world.grants.revoke_family(first.family.unwrap()).wait().unwrap();
    assert_eq!(edit(rename), FamilyEdited::Unknown);
    let printed = format!("{:?}", FamilyEdit::new().label("new").facts(&b"secret"[..]));
    assert!(printed.contains("new") && !printed.contains("115"), "{printed}");
}

// Goal: client credentials that name a subject are in no session. Method: issue, end a session.
#[test]
fn credentials_are_in_no_session() {
    let world = World::new();
    let request = ClientCredentials::new(CLIENT).subject(SUBJECT);
    let own = world.grants.client_credentials(request).wait().unwrap();
    world.grants.revoke_session("s1").wait().unwrap();
    assert!(world.is_active(own.access.expose()));
}

// Goal: P6, a family ends however long its record is. Method: families with facts beside a payload,
// longer and longer, up to the first that is refused; each that was opened is revoked.
#[test]
fn the_longest_family_can_be_revoked() {
    let world = World::new();
    let payload = vec![7; 16_384];
    let mut opened = 0;
    for length in 15_844..16_128 {
        let facts = vec![7; length];
        let grant = Grant::new(CLIENT, SUBJECT).payload(&payload[..]).facts(&facts);
        let Ok(issued) = world.grants.open(grant).wait() else { break };
        opened += 1;
        world.grants.revoke_family(issued.family.unwrap()).wait().unwrap();
        assert!(world.grants.families_of(SUBJECT, None, 50).wait().unwrap().items.is_empty());
    }
    assert!((1..284).contains(&opened), "the record is as long as it may be at last: {opened}");
}
