//! The device authorization grant: every answer of both sides, what goes along, what is refused.

use crate::disk::OnDisk;
use crate::world::*;
use grantkeep::{Device, ErrorKind, Payload, Wait};
use grantkeep_grants::{
    DEVICE_LIFETIME_MAX, DeviceApproval, DeviceIssued, DeviceRequest, DeviceRequested, Format,
    Grants, Introspection, Issued, Mismatch, OAuthError, PendingDevice, Policy, Polled, Presented,
    RefreshRequest, Tag, Verified,
};

/// What most tests ask for.
pub(crate) fn ask() -> DeviceRequest<'static> {
    DeviceRequest::new(CLIENT).scopes(["read", "write"])
}

impl World {
    pub(crate) fn device(&self) -> DeviceIssued {
        self.grants.device(ask()).wait().unwrap()
    }

    pub(crate) fn poll(&self, device: &DeviceIssued) -> Polled {
        self.grants.poll_device(device.device_code.expose(), &Presented::by(CLIENT)).wait().unwrap()
    }

    pub(crate) fn approve(&self, device: &DeviceIssued) -> Verified {
        let approval = DeviceApproval::by(SUBJECT);
        self.grants.approve_device(device.user_code.expose(), &approval).wait().unwrap()
    }

    pub(crate) fn deny(&self, device: &DeviceIssued) -> Verified {
        self.grants.deny_device(device.user_code.expose()).wait().unwrap()
    }

    pub(crate) fn requested(&self, device: &DeviceIssued) -> DeviceRequested {
        self.grants.device_request(device.user_code.expose()).wait().unwrap()
    }
}

pub(crate) fn polled(answer: Polled) -> Issued {
    match answer {
        Polled::Granted(pair) => *pair,
        other => panic!("not granted: {other:?}"),
    }
}

fn pending(answer: DeviceRequested) -> PendingDevice {
    match answer {
        DeviceRequested::Pending(device) => *device,
        other => panic!("not pending: {other:?}"),
    }
}

fn told(answer: &Polled) -> &'static str {
    answer.oauth_error().map_or("granted", OAuthError::as_str)
}

// Goal: a device is granted what was asked for and approved, and each side is told what it has to
// know. Method: the whole flow, with every field; then the tokens.
#[test]
fn a_device_is_granted_what_was_approved() {
    let world = World::new();
    let request = ask().audience(["https://api.example"]).payload(b"living room");
    let device = world.grants.device(request).wait().unwrap();
    assert_eq!((device.expires_in, device.interval), (s(600), s(5)));
    assert_eq!(Format::classify(device.device_code.expose()), Some(Tag::Device));
    assert_eq!(told(&world.poll(&device)), "authorization_pending");
    world.clock.advance(s(5) + MS);
    let typed = device.user_code.expose().to_lowercase().replace('-', " ");
    let shown = pending(world.grants.device_request(&typed).wait().unwrap());
    assert_eq!((shown.client.as_str(), shown.scopes.as_str()), (CLIENT, "read write"));
    assert_eq!(shown.audience.as_deref(), Some("https://api.example"));
    assert_eq!(shown.payload.as_deref(), Some(&b"living room"[..]));
    assert_eq!(shown.expires_in, s(594), "whole seconds that are left");
    let approval = DeviceApproval::by(SUBJECT).scopes(["read"]);
    let answer = world.grants.approve_device(&typed, &approval).wait().unwrap();
    assert_eq!(answer, Verified::Done);
    let presented = Presented::by(CLIENT).confirmation(key(1));
    let answer = world.grants.poll_device(device.device_code.expose(), &presented).wait();
    let pair = polled(answer.unwrap());
    assert_eq!((pair.expires_in, pair.scopes.as_str()), (s(900), "read"));
    assert_eq!((pair.subject.as_deref(), pair.nonce.as_deref()), (Some(SUBJECT), None));
    assert_eq!(pair.payload.as_deref(), Some(&b"living room"[..]));
    let claims = world.claims(pair.access.expose()).unwrap();
    assert_eq!(claims.family, pair.family);
    assert_eq!(claims.client.as_deref(), Some(CLIENT));
    assert_eq!(claims.audience.as_deref(), Some("https://api.example"));
    assert!(claims.confirmation.is_some(), "bound to the key that the poll proved");
    assert!(world.is_active(refresh_of(&pair)));
}

// Goal: P3, an approved device is granted once; a poll after that ends what was granted, and one by
// another client changes nothing at any time. Method: poll again, as the client and as another.
#[test]
fn a_poll_after_the_grant_is_a_replay() {
    let world = World::without_repeats();
    let device = world.device();
    let other = Presented::by("client-2");
    let poll_as_other = || {
        let answer = world.grants.poll_device(device.device_code.expose(), &other).wait().unwrap();
        assert!(matches!(answer, Polled::Mismatch(Mismatch::Client)));
        assert_eq!(told(&answer), "invalid_grant");
    };
    poll_as_other();
    world.approve(&device);
    poll_as_other();
    let pair = polled(world.poll(&device));
    poll_as_other();
    assert!(world.is_active(pair.access.expose()));
    for _ in 0..2 {
        let answer = world.poll(&device);
        assert!(matches!(answer, Polled::Replayed { family } if Some(family) == pair.family));
        assert_eq!(told(&answer), "invalid_grant");
        assert!(!world.is_active(pair.access.expose()) && !world.is_active(refresh_of(&pair)));
    }
}

// Goal: P2, a user code works once, whatever was decided, leaves no row, and the decision stands.
// Method: approve and deny, count the rows, then every call with the same code.
#[test]
fn a_user_code_works_once() {
    let world = World::new();
    for approve in [true, false] {
        let device = world.device();
        let rows = world.grants.store().stats().rows_total();
        let decided = if approve { world.approve(&device) } else { world.deny(&device) };
        assert_eq!(decided, Verified::Done);
        assert_eq!(world.grants.store().stats().rows_total(), rows - 1);
        assert_eq!(world.approve(&device), Verified::Unknown);
        assert_eq!(world.deny(&device), Verified::Unknown);
        assert!(matches!(world.requested(&device), DeviceRequested::Unknown));
        if approve {
            polled(world.poll(&device));
        } else {
            for _ in 0..2 {
                assert_eq!(told(&world.poll(&device)), "access_denied");
            }
        }
    }
}

// Goal: P4, what is no user code, and no device code, is unknown like one that nobody was issued;
// only a text over the token limit is an error. Method: texts of every wrong form.
#[test]
fn unknown_device_and_user_codes() {
    let world = World::new();
    let device = world.device();
    let code = world.code();
    let letters = device.user_code.expose();
    // An unused code differs from the issued one in its first letter.
    let first = if letters.starts_with('B') { 'C' } else { 'B' };
    let other = format!("{first}{}", &letters[1..]);
    let long = "B".repeat(10_000);
    for text in [other.as_str(), "", "BBBB-BBB1", "AEIO-UAEI", &letters[1..], &long] {
        let requested = world.grants.device_request(text).wait().unwrap();
        assert!(matches!(requested, DeviceRequested::Unknown), "{text}");
        let approval = DeviceApproval::by(SUBJECT);
        let approved = world.grants.approve_device(text, &approval).wait().unwrap();
        let denied = world.grants.deny_device(text).wait().unwrap();
        assert_eq!((approved, denied), (Verified::Unknown, Verified::Unknown), "{text}");
    }
    let cut = &device.device_code.expose()[1..];
    for text in ["", "x", &"x".repeat(8_192), letters, cut, code.expose()] {
        let answer = world.grants.poll_device(text, &Presented::by(CLIENT)).wait().unwrap();
        assert!(matches!(answer, Polled::Unknown), "{text}");
        assert_eq!(told(&answer), "invalid_grant");
    }
    let over = world.grants.poll_device(&"x".repeat(8_193), &Presented::by(CLIENT)).wait();
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Limit);
    assert!(matches!(world.requested(&device), DeviceRequested::Pending(_)), "untouched");
}

// Goal: P4, a device code is good for polling and for nothing else. Method: present it, and the
// user code, to every other call, before and after the approval; then poll.
#[test]
fn a_device_code_is_no_other_token() {
    let world = World::new();
    let device = world.device();
    for approved in [false, true] {
        if approved {
            world.approve(&device);
        }
        for text in [device.device_code.expose(), device.user_code.expose()] {
            let redeemed = world.grants.redeem(text, &Presented::by(CLIENT)).wait().unwrap();
            assert!(matches!(redeemed, grantkeep_grants::Redeemed::Unknown));
            assert!(matches!(world.refresh(text), grantkeep_grants::Refreshed::Unknown));
            let answer = world.grants.introspect(text).wait().unwrap();
            assert!(matches!(answer, Introspection::Inactive));
            world.grants.revoke(text).wait().unwrap();
        }
    }
    polled(world.poll(&device));
}

// Goal: an approval grants no more than was asked for, and one that tries changes nothing. Method:
// wider, malformed, all, some, and none of the scopes.
#[test]
fn an_approval_narrows_and_never_widens() {
    let world = World::new();
    let approve = |device: &DeviceIssued, scopes: &[&str]| {
        let approval = DeviceApproval::by(SUBJECT).scopes(scopes);
        world.grants.approve_device(device.user_code.expose(), &approval).wait().unwrap()
    };
    for (scopes, granted) in
        [(&["read", "write"][..], "read write"), (&["write"], "write"), (&[], "")]
    {
        let device = world.device();
        for bad in [&["admin"][..], &["read", "admin"], &["a\"b"], &[&"x".repeat(4_097)]] {
            assert_eq!(approve(&device, bad), Verified::InvalidScope);
        }
        assert_eq!(approve(&device, scopes), Verified::Done);
        assert_eq!(polled(world.poll(&device)).scopes.as_str(), granted);
    }
}

// Goal: P6, a revocation of the client ends what it asked for, and one of the subject what it
// approved; what comes after is not touched. Method: revoke each before and after the approval,
// and after the grant; look at both sides.
#[test]
fn a_revocation_ends_device_authorizations() {
    let world = World::new();
    let revoke_client = || world.grants.revoke_client(CLIENT).wait().unwrap();
    let revoke_subject = || world.grants.revoke_subject(SUBJECT).wait().unwrap();
    let (pending, approved, denied) = (world.device(), world.device(), world.device());
    world.approve(&approved);
    world.deny(&denied);
    revoke_client();
    assert!(matches!(world.requested(&pending), DeviceRequested::Revoked));
    assert_eq!(world.approve(&pending), Verified::Revoked);
    for device in [&pending, &approved] {
        let answer = world.poll(device);
        assert!(matches!(answer, Polled::Revoked));
        assert_eq!(told(&answer), "invalid_grant");
    }
    assert!(matches!(world.poll(&denied), Polled::Denied));
    assert_eq!(world.deny(&pending), Verified::Done, "may still be refused");

    let (pending, approved) = (world.device(), world.device());
    world.approve(&approved);
    revoke_subject();
    assert!(matches!(world.poll(&approved), Polled::Revoked));
    assert_eq!(world.approve(&pending), Verified::Done, "approved after the revocation");
    let pair = polled(world.poll(&pending));
    assert!(world.is_active(pair.access.expose()));
    revoke_subject();
    assert!(!world.is_active(pair.access.expose()) && !world.is_active(refresh_of(&pair)));
}

// Goal: P9, a payload is shown and handed on, sealed wherever it lies if it came sealed, replaced
// by that of the approval, and forgotten once decided. Method: each combination, with the rows.
#[test]
fn payloads_of_request_and_approval() {
    let world = World::new();
    let row = |device: &DeviceIssued| {
        let code = device.device_code.expose().as_bytes();
        world.grants.store().find::<Device>(code).wait().unwrap().unwrap().record
    };
    for (request, approval, sealed, granted) in [
        (ask(), DeviceApproval::by(SUBJECT), None, None),
        (ask().payload(b"a"), DeviceApproval::by(SUBJECT), Some(false), Some(&b"a"[..])),
        (ask().sealed_payload(b"a"), DeviceApproval::by(SUBJECT), Some(true), Some(b"a")),
        (ask().payload(b"a"), DeviceApproval::by(SUBJECT).payload(b"b"), Some(false), Some(b"b")),
        (ask(), DeviceApproval::by(SUBJECT).sealed_payload(b"b"), Some(true), Some(b"b")),
    ] {
        let device = world.grants.device(request).wait().unwrap();
        pending(world.requested(&device));
        world.grants.approve_device(device.user_code.expose(), &approval).wait().unwrap();
        let is_sealed = |payload: Payload| matches!(payload, Payload::Sealed { .. });
        assert_eq!(row(&device).payload.map(is_sealed), sealed);
        let pair = polled(world.poll(&device));
        assert_eq!(pair.payload.as_deref(), granted);
        let claims = world.claims(pair.access.expose()).unwrap();
        let opened = world.grants.payload(&claims, pair.access.expose()).unwrap();
        assert_eq!(opened.as_deref(), granted);
        let spent = row(&device);
        assert!(spent.payload.is_none() && spent.salt == [0; 32] && spent.scopes.is_empty());
    }
    let device = world.grants.device(ask().sealed_payload(b"a")).wait().unwrap();
    assert_eq!(pending(world.requested(&device)).payload.as_deref(), Some(&b"a"[..]));
    world.deny(&device);
    assert!(row(&device).payload.is_none());
    let largest = vec![7; 16 * 1024];
    let device = world.grants.device(ask().sealed_payload(&largest)).wait().unwrap();
    world.approve(&device);
    assert_eq!(polled(world.poll(&device)).payload, Some(largest));
}

// Goal: input outside its limits is refused and changes nothing. Method: empty names, bad scopes,
// long texts and payloads, on both sides; then the device is approved.
#[test]
fn malformed_device_requests_are_refused() {
    let world = World::new();
    let (long, large) = ("x".repeat(4_097), vec![0; 16 * 1024 + 1]);
    let rows = world.grants.store().stats().rows_total();
    for request in [
        DeviceRequest::new(""),
        DeviceRequest::new(&long),
        ask().scopes(["a\"b"]),
        ask().audience([&long]),
        ask().payload(&large),
        ask().sealed_payload(&large),
    ] {
        let error = world.grants.device(request).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
    assert_eq!(world.grants.store().stats().rows_total(), rows);
    let device = world.device();
    for approval in [
        DeviceApproval::by(""),
        DeviceApproval::by(&long),
        DeviceApproval::by(SUBJECT).payload(&large),
        DeviceApproval::by(SUBJECT).sealed_payload(&large),
    ] {
        let refused = world.grants.approve_device(device.user_code.expose(), &approval).wait();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Limit);
    }
    assert_eq!(world.approve(&device), Verified::Done);
    polled(world.poll(&device));
}

// Goal: every bound of the policy of devices is exact. Method: each field at both bounds and one
// step outside.
#[test]
fn device_policy_bounds_are_exact() {
    let store = World::new().grants.store().clone();
    let check = |lifetime, interval| {
        let policy =
            Policy { device_lifetime: lifetime, device_interval: interval, ..Policy::default() };
        Grants::new(store.clone(), policy).map(drop).map_err(|error| error.kind())
    };
    for (lifetime, interval) in [
        (s(1), s(1)),
        (s(5), s(5)),
        (DEVICE_LIFETIME_MAX, s(1)),
        (DEVICE_LIFETIME_MAX, DEVICE_LIFETIME_MAX),
    ] {
        assert_eq!(check(lifetime, interval), Ok(()));
    }
    for (lifetime, interval) in [
        (s(0), s(1)),
        (DEVICE_LIFETIME_MAX + s(1), s(5)),
        (s(600) + MS, s(5)),
        (s(600), s(0)),
        (s(600), s(601)),
        (s(600), s(5) + MS),
    ] {
        assert_eq!(check(lifetime, interval), Err(ErrorKind::Lifetime));
    }
    let policy = Policy { device_lifetime: s(30), device_interval: s(7), ..Policy::default() };
    let device = Grants::new(store, policy).unwrap().device(ask()).wait().unwrap();
    assert_eq!((device.expires_in, device.interval), (s(30), s(7)));
}

// Goal: P9, the Debug output of nothing about a device holds a code or a payload. Method: print
// everything that was near one, and search.
#[test]
fn nothing_printed_holds_a_device_or_user_code() {
    let world = World::new();
    let payload = b"payload-as-bytes";
    let request = ask().payload(payload);
    let device = world.grants.device(request.clone()).wait().unwrap();
    let approval = DeviceApproval::by(SUBJECT).payload(payload);
    let requested = world.requested(&device);
    let approved = world.grants.approve_device(device.user_code.expose(), &approval).wait();
    let code = device.device_code.expose().as_bytes();
    let row = world.grants.store().find::<Device>(code).wait().unwrap().unwrap();
    let polled = world.poll(&device);
    let printed = format!(
        "{request:?} {device:?} {requested:?} {approval:?} {approved:?} {row:?} {polled:?} {:?}",
        world.grants
    );
    assert!(printed.contains(SUBJECT) && printed.contains("Secret"));
    let Polled::Granted(pair) = polled else { panic!("not granted") };
    for secret in [
        device.device_code.expose(),
        device.user_code.expose(),
        &device.user_code.expose().replace('-', ""),
        &format!("{payload:?}").replace(['[', ']'], ""),
        &format!("{:?}", row.record.salt).replace(['[', ']'], ""),
        pair.access.expose(),
    ] {
        assert!(!printed.contains(secret));
    }
}

// Goal: P1, P2, P9, on disk: a pending device is approved after a reopen and granted after another,
// under a keyring that was rotated in between; what was denied and what was spent stays so; and no
// file holds a device code or a user code. Method: one step per open, then a search of the files.
#[test]
fn devices_survive_reopening() {
    let disk = OnDisk::new();
    let by = Presented::by(CLIENT);
    let approval = DeviceApproval::by(SUBJECT);
    let (first, second) = disk.open(|grants| {
        (grants.device(ask()).wait().unwrap(), grants.device(ask()).wait().unwrap())
    });
    let poll = |grants: &Grants<_>, device: &DeviceIssued| {
        grants.poll_device(device.device_code.expose(), &by).wait().unwrap()
    };
    disk.open(|grants| {
        assert!(matches!(poll(grants, &first), Polled::Pending));
        grants.store().rotate_keyring().wait().unwrap();
        let approved = grants.approve_device(first.user_code.expose(), &approval).wait();
        assert_eq!(approved.unwrap(), Verified::Done);
        assert_eq!(grants.deny_device(second.user_code.expose()).wait().unwrap(), Verified::Done);
    });
    let pair = disk.open(|grants| {
        assert!(matches!(poll(grants, &second), Polled::Denied));
        let again = grants.approve_device(first.user_code.expose(), &approval).wait();
        assert_eq!(again.unwrap(), Verified::Unknown);
        polled(poll(grants, &first))
    });
    for code in [&first, &second] {
        let letters = code.user_code.expose();
        assert!(!disk.holds(&code.device_code.expose()[..20]) && !disk.holds(letters));
        assert!(!disk.holds(&letters.replace('-', "")));
    }
    assert!(disk.holds(CLIENT), "the search finds what is there");
    disk.open(|grants| {
        let Polled::Granted(again) = poll(grants, &first) else { panic!("not repeated") };
        assert_eq!(again.family, pair.family);
        rotated(grants.refresh(refresh_of(&again), &RefreshRequest::by(CLIENT)).wait().unwrap());
        let answer = poll(grants, &first);
        assert!(matches!(answer, Polled::Replayed { family } if Some(family) == pair.family));
        let answer = grants.introspect(pair.access.expose()).wait().unwrap();
        assert!(matches!(answer, Introspection::Inactive));
    });
}

// Goal: a server on a multi-threaded executor can spawn every call. Method: the compiler.
#[test]
fn device_futures_are_send() {
    fn assert_send<T: Send>(_: &T) {}
    let world = World::new();
    let (presented, approval) = (Presented::by(CLIENT), DeviceApproval::by(SUBJECT));
    assert_send(&world.grants.device(ask()));
    assert_send(&world.grants.poll_device("", &presented));
    assert_send(&world.grants.device_request(""));
    assert_send(&world.grants.approve_device("", &approval));
    assert_send(&world.grants.deny_device(""));
    assert_send(&world.grants.push(CLIENT, b""));
    assert_send(&world.grants.take_pushed("", CLIENT));
    assert_send(&world.grants.burn(grantkeep_grants::Once::jti(CLIENT, ""), world.now()));
}
