//! Records as long as they may be: what follows for them is never refused for their length.

use crate::device::polled;
use crate::world::*;
use grantkeep::{
    Clock as _, ErrorKind, LEAP_HOLD, PAYLOAD_BYTES_MAX, Result, TEXT_BYTES_MAX, Wait,
};
use grantkeep_grants::{
    Authorize, ClientCredentials, DeviceApproval, DeviceRequest, FamilyEdit, Grant, Issued,
    NewPersonal, OthersRevoked, Policy, Presented, RefreshRequest, Refreshed, RevokedBy, Verified,
};

/// Texts that leave less than one more for the rest of a record with the largest payload.
fn text(of: char) -> String {
    of.to_string().repeat(4_000)
}

const PAYLOAD: [u8; PAYLOAD_BYTES_MAX] = [7; PAYLOAD_BYTES_MAX];

/// What comes of the longest text that is not refused; one byte more is, and names the limit.
fn longest<T>(bytes_max: usize, put: impl Fn(&str) -> Result<T>) -> T {
    let text = |len: usize| "x".repeat(len);
    let (mut fits, mut over) = (0, TEXT_BYTES_MAX);
    while over - fits > 1 {
        let len = fits.midpoint(over);
        match put(&text(len)) {
            Ok(_) => fits = len,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
                let words = format!("does not fit in {bytes_max} bytes");
                assert!(error.to_string().contains(&words), "{error}");
                over = len;
            }
        }
    }
    assert!(fits > 0 && over < TEXT_BYTES_MAX, "the record is what is too long");
    put(&text(fits)).unwrap()
}

/// A world whose clock was ahead for a while: times are told with a lead.
fn world() -> World {
    let world = World::under(Policy { refresh_grace: s(30), ..Policy::default() });
    let before = world.clock.wall();
    world.clock.step_to(before + s(3_600));
    world.grants.store().now();
    world.clock.advance(LEAP_HOLD);
    world.grants.store().now();
    world.clock.step_to(before + LEAP_HOLD);
    assert!(!world.grants.store().lead().is_zero());
    world
}

impl World {
    /// Refreshes, retries, keeps while all others end, and ends a family.
    fn is_lived(&self, client: &str, subject: &str, opened: &Issued) {
        let family = opened.family.unwrap();
        let mut token = refresh_of(opened).to_owned();
        for round in 0..300 {
            let request = RefreshRequest::by(client).confirmation(key(1));
            let next = self.grants.refresh(&token, &request).wait().unwrap();
            let next = rotated(next);
            if round == 299 {
                let again = self.grants.refresh(&token, &request).wait().unwrap();
                assert!(matches!(again, Refreshed::Retried(_)), "{again:?}");
            }
            refresh_of(&next).clone_into(&mut token);
            self.clock.advance(MS);
        }
        let kept = self.grants.revoke_others(subject, family).wait().unwrap();
        assert_eq!(kept, OthersRevoked::Kept);
        assert!(self.is_active(&token));
        let request = RefreshRequest::by(client).confirmation(key(1));
        token = refresh_of(&rotated(self.grants.refresh(&token, &request).wait().unwrap())).into();
        let edit = self.grants.edit_family(family, FamilyEdit::new().label("short")).wait();
        edit.unwrap();
        self.grants.revoke_family(family).wait().unwrap();
        assert!(!self.is_active(&token));
    }
}

// Goal: P6, what was issued as long as it may be is refreshed, kept, and revoked as all else (RFC
// 6749 section 6, RFC 7009), whichever way its family was opened. Method: the longest label with
// the largest payload and long texts, for a grant, a code, and a device; 301 rotations with a lead.
#[test]
fn families_at_their_longest_live_on() {
    let world = world();
    let (client, subject, scopes) = (text('c'), text('s'), text('o'));
    let (family, code) = (32_768 - 256, 32_768 - 1_024);

    let opened = longest(family, |label| {
        let grant = Grant::new(&client, &subject).scopes([&scopes]).payload(&PAYLOAD[..]);
        world.grants.open(grant.confirmation(key(1)).label(label)).wait()
    });
    world.is_lived(&client, &subject, &opened);

    let presented = Presented::by(&client).confirmation(key(1));
    let codes = longest(code, |label| {
        let request = Authorize::new(&client, &subject).scopes([&scopes]).payload(&PAYLOAD[..]);
        world.grants.authorize(request.pkce_verified_elsewhere().label(label)).wait()
    });
    let opened = world.grants.redeem(codes.expose(), &presented).wait().unwrap();
    world.is_lived(&client, &subject, &granted(opened));

    let device = longest(code, |label| {
        let request = DeviceRequest::new(&client).scopes([&scopes]).payload(&PAYLOAD[..]);
        let device = world.grants.device(request).wait().unwrap();
        let approval = DeviceApproval::by(&subject).label(label);
        let answer = world.grants.approve_device(device.user_code.expose(), &approval).wait()?;
        assert_eq!(answer, Verified::Done);
        Ok(device)
    });
    let answer = world.grants.poll_device(device.device_code.expose(), &presented).wait().unwrap();
    world.is_lived(&client, &subject, &polled(answer));
}

// Goal: P6, tokens as long as they may be are revoked (RFC 7009). Method: the longest list of
// scopes with the largest payload and long texts, for a token of a client and a personal one.
#[test]
fn tokens_at_their_longest_are_revoked() {
    let world = world();
    let (client, subject, name) = (text('c'), text('s'), text('n'));
    let personal = longest(32_768 - 256, |scopes| {
        let new = NewPersonal::new(&subject, &name).client(&client[..]).scopes([scopes]);
        world.grants.create_personal(new.payload(&PAYLOAD[..])).wait()
    });
    let audience = format!("https://{}", text('a'));
    let token = longest(32_768 - 256, |scopes| {
        let request = ClientCredentials::new(&client).subject(&subject[..]).scopes([scopes]);
        world.grants.client_credentials(request.audience([&audience]).payload(&PAYLOAD[..])).wait()
    });
    for text in [personal.token.expose(), token.access.expose()] {
        assert!(world.is_active(text));
        assert_eq!(world.grants.revoke(text).wait().unwrap(), RevokedBy::Done);
        assert!(!world.is_active(text));
    }
}
