//! The device authorization grant, RFC 8628, as the device sees it: it asks, and then polls.

pub(crate) mod approval;
pub(crate) mod pace;
pub(crate) mod user_code;

use crate::clients::GrantType;
use crate::code::redeem::Presented;
use crate::code::repeat::{self, Again, Noted};
use crate::decision::{Flow, Found, Owned, Standing, Verdict};
use crate::device::user_code::Letters;
use crate::events::Told;
use crate::events::event::Event;
use crate::family::bound::Opens;
use crate::family::ending::{end_family, mismatched};
use crate::family::opening::Opening;
use crate::family::origin::OpenOrigin;
use crate::grants::{Grants, can_be_held, check_name, check_presented};
use crate::request::audience::AskedAudience;
use crate::request::issued::Issued;
use crate::request::mismatch::Mismatch;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::{Attachment, close};
use crate::text::format::Tag;
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Device, DeviceState, Digest, Epochs, Family, FamilyId, Held, Origin, Result, RevocationReason,
    UserCode, random,
};
use std::fmt;
use std::time::Duration;

/// What a device asks for on behalf of whoever holds it (RFC 8628 section 3.1).
///
/// The server has already authenticated the client, or, for a public one, knows it, and has checked
/// which scopes it may ask for.
#[derive(Clone)]
pub struct DeviceRequest<'a> {
    client: &'a str,
    scopes: String,
    audience: AskedAudience,
    payload: Option<(&'a [u8], bool)>,
}

impl<'a> DeviceRequest<'a> {
    /// A request by `client`, which may not be empty.
    pub fn new(client: &'a str) -> Self {
        Self { client, scopes: String::new(), audience: AskedAudience::Unset, payload: None }
    }

    setter! {
        /// The scopes asked for; one text may name several, separated by spaces.
        scopes
    }

    setter! {
        /// The resource servers that the access tokens are meant for (RFC 8707): absolute URIs
        /// without a fragment. Any where it is left out; a list that names none is refused.
        audience
    }

    setter! {
        /// Bytes to go with the request, at most 16 KiB: shown to the verification page, and handed
        /// on to the grant unless the approval brings its own. Kept as they are.
        payload
    }

    setter! {
        /// As [`DeviceRequest::payload`], but sealed at rest, under the root key and a salt in the
        /// row, as a family's is: the verification page has no device code to open it with.
        sealed_payload
    }
}

impl fmt::Debug for DeviceRequest<'_> {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRequest")
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// What a device is answered (RFC 8628 section 3.2); the server adds its `verification_uri`: with
/// the feature `serde`, `DeviceIssued::response` makes the body.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeviceIssued {
    /// What the device polls with.
    pub device_code: Secret,
    /// What its holder types into the verification page: 8 letters as `WDJB-MJHT`. To be shown on
    /// the device, and kept out of logs: who reads it could approve the device for another account.
    pub user_code: Secret,
    /// How long both live, whole seconds.
    pub expires_in: Duration,
    /// How long the device waits between two polls, whole seconds.
    pub interval: Duration,
}

/// The answer to a poll (RFC 8628 section 3.5).
#[derive(Debug)]
#[non_exhaustive]
pub enum Polled {
    /// It was approved. It is spent now, and this is what it was for.
    Granted(Box<Issued>),
    /// Nobody has decided yet.
    Pending,
    /// Nobody has decided yet, and this poll came too soon: from now on this device has to wait
    /// 5 s longer.
    SlowDown,
    /// It was refused.
    Denied,
    /// It is too late; or its answer is asked for once more, and the family that it opened has
    /// expired.
    Expired,
    /// It was issued to another client; nothing was changed.
    Mismatch(Mismatch),
    /// An audience was asked for that was not granted (RFC 8707 section 2); nothing was changed.
    InvalidTarget,
    /// It was granted before. The family that was opened then is revoked, durably, when this is
    /// seen, as with a code (RFC 6749 section 4.1.2).
    Replayed {
        /// That family.
        family: FamilyId,
    },
    /// Its client was revoked since it was issued, or its subject since it was approved; or its
    /// answer is asked for once more ([`Policy::repeat_devices`](crate::Policy::repeat_devices)),
    /// and the family that it opened was revoked since, unused.
    Revoked,
    /// Its client is registered, and not for devices; nothing was changed.
    Unauthorized,
    /// There is no such device code.
    Unknown,
}

impl<B: Backend> Grants<B> {
    /// Begins a device authorization: a device code to poll with, and a user code to be typed into
    /// the verification page. Both live for the policy's `device_lifetime`.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty client, a field over its
    /// limit, or a malformed scope or `resource`; otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// Both codes are durable when they are answered, from one batch.
    pub async fn device(&self, request: DeviceRequest<'_>) -> Result<DeviceIssued> {
        self.issue_device(&request, Letters::mint).await
    }

    /// Issues under the first of the user codes that nobody else has.
    async fn issue_device(
        &self,
        request: &DeviceRequest<'_>,
        mint: impl FnMut() -> Result<Letters> + Send,
    ) -> Result<DeviceIssued> {
        check_name("a client id", request.client)?;
        let device_code = self.mint_own(Tag::Device)?;
        let id = self.store.id(device_code.expose().as_bytes())?;
        let record = self.device_record(request)?;
        let (user_code, expires_in, interval) =
            self.decide(&mut Asking { id, record, mint }).await?;
        Ok(DeviceIssued { device_code, user_code, expires_in, interval })
    }

    fn device_record(&self, request: &DeviceRequest<'_>) -> Result<Device> {
        let mut salt = [0; 32];
        random(&mut salt)?;
        Ok(Device {
            state: DeviceState::Pending,
            client: request.client.to_owned(),
            scopes: Scopes::read(&request.scopes)?.into_text(),
            audience: request.audience.granted()?,
            origin: Origin::default(),
            epochs: Epochs::default(),
            salt,
            payload: close(request.payload, &self.store.keyring(), &salt)?,
        })
    }

    /// Polls for the outcome of a device authorization. Once it was approved, one poll spends it,
    /// opens the family, and issues the access token, in one batch; of any number of racers exactly
    /// one is granted.
    ///
    /// Of `presented` the client counts, the audience, and the proven key, which the tokens are
    /// bound to. A poll that comes sooner than the policy's `device_interval` after the one before,
    /// by more than 1 s and more than a tenth of it, is answered [`Polled::SlowDown`], and the
    /// device has to wait 5 s longer for this and all later polls (RFC 8628 section 3.5). So a
    /// device may poll every 4 s where 5 s are asked, and no faster. When it polled last is kept in
    /// memory only, shared by the clones of this `Grants`, for at most
    /// [`DEVICE_PACES_MAX`](crate::DEVICE_PACES_MAX) devices: a restart forgets pace, never a
    /// decision.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a device code over the token limit;
    /// otherwise as [`Backend::commit`]. After
    /// [`ErrorKind::Unknown`](grantkeep::ErrorKind::Unknown) the device code may be spent: polling
    /// again is then a replay, and safe.
    ///
    /// # Durability
    /// Every answer rests on durable state; `Granted` and `Replayed` are durable when answered. A
    /// poll that is answered otherwise writes nothing.
    pub async fn poll_device(
        &self,
        device_code: &str,
        presented: &Presented<'_>,
    ) -> Result<Polled> {
        check_presented(device_code)?;
        if !can_be_held(device_code) {
            return Ok(Polled::Unknown);
        }
        self.decide(&mut Poll { device_code, presented }).await
    }

    /// What goes with a device authorization, opened.
    pub(crate) fn device_attachment(&self, device: &Device) -> Result<Option<Attachment>> {
        let open = |payload| Attachment::open(payload, &self.store.keyring(), &device.salt);
        device.payload.as_ref().map(open).transpose()
    }
}

/// A device that asks.
struct Asking<M> {
    id: Digest,
    record: Device,
    mint: M,
}

impl<B: Backend, M: FnMut() -> Result<Letters> + Send> Flow<B> for Asking<M> {
    const NAME: &'static str = "device";
    type Read = Letters;
    type Rests = Standing;
    /// The user code, how long it lives, and the time between two polls.
    type Answer = (Secret, Duration, Duration);

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Letters, Self::Answer>> {
        loop {
            let letters = (self.mint)()?;
            if grants.store.find::<UserCode>(&letters.labeled()).await?.is_none() {
                return Ok(Found::Records(letters));
            }
        }
    }

    fn owners<'r>(&'r self, _: &'r Letters) -> Owned<'r> {
        Owned { client: &self.record.client, ..Owned::default() }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        letters: Letters,
        standing: &Standing,
    ) -> Result<Verdict<Self::Answer>> {
        let mut issuing = standing.issue_by(grants, GrantType::DeviceCode.as_str())?;
        self.record.epochs = issuing.epochs();
        let (lifetime, interval) = (grants.policy.device_lifetime, grants.policy.device_interval);
        let until = issuing.now().saturating_add(lifetime);
        issuing.insert(self.id, &self.record, until)?;
        // Also if the same one comes, or a root key does, after the look at it.
        issuing.insert_text(&letters.labeled(), &UserCode::of(self.id), until)?;
        Ok(issuing.commit(Told::nothing(), (letters.shown(), lifetime, interval)))
    }
}

/// A device that polls.
struct Poll<'a> {
    device_code: &'a str,
    presented: &'a Presented<'a>,
}

/// A device as it was found, and, once it was granted, the family that it opened.
struct FoundDevice {
    device: Held<Device>,
    family: Option<Held<Family>>,
    noted: Option<Noted>,
}

impl<B: Backend> Flow<B> for Poll<'_> {
    const NAME: &'static str = "poll_device";
    type Read = FoundDevice;
    type Rests = Opens;
    type Answer = Polled;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<FoundDevice, Polled>> {
        let Some(device) = grants.store.find::<Device>(self.device_code.as_bytes()).await? else {
            return Ok(Found::Answer(Polled::Unknown, Told::nothing()));
        };
        let DeviceState::Spent { family, .. } = &device.record.state else {
            return Ok(Found::Records(FoundDevice { device, family: None, noted: None }));
        };
        let family = grants.store.get(family.digest()).await?;
        let noted = Noted::read(grants, device.id).await?;
        Ok(Found::Records(FoundDevice { device, family, noted }))
    }

    fn owners<'r>(&'r self, read: &'r FoundDevice) -> Owned<'r> {
        let subject = match (&read.device.record.state, &read.family) {
            (DeviceState::Approved { subject }, _) => subject,
            (DeviceState::Spent { .. }, Some(family)) => &family.record.subject,
            _ => "",
        };
        let device = &read.device.record;
        Owned { subject, client: &device.client, session: device.origin.session }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        read: FoundDevice,
        standing: &Opens,
    ) -> Result<Verdict<Polled>> {
        let FoundDevice { device: held, family, noted } = read;
        if held.record.client != self.presented.client {
            let (client, what) = (self.presented.client, Mismatch::Client);
            return Ok(mismatched(grants, ("", None), client, what, Polled::Mismatch));
        }
        if let DeviceState::Spent { family: id, .. } = held.record.state {
            if held.is_expired(grants.store.now()) {
                return Ok(Verdict::answer(Polled::Unknown));
            }
            let noted = noted.filter(|_| grants.policy.repeat_devices);
            let (found, presented) = (family.as_ref(), self.presented);
            let answer = |again| match again {
                Again::Granted(issued) => Polled::Granted(issued),
                Again::Expired => Polled::Expired,
                Again::Revoked => Polled::Revoked,
            };
            let again = repeat::answer(grants, standing, noted, found, presented, answer)?;
            if let Some(verdict) = again {
                return Ok(verdict);
            }
            let client = held.record.client;
            let subject = family.as_ref().map(|held| held.record.subject.clone());
            let told = |told: Told| {
                let (subject, family) = (subject.unwrap_or_default(), Some(id));
                told.event(|| Event::Replayed { client, subject, family })
            };
            let reason = RevocationReason::CodeReplayed;
            return end_family(grants, family, reason, told, Polled::Replayed { family: id });
        }
        if held.is_expired(grants.store.now()) {
            return Ok(Verdict::answer(Polled::Expired));
        }
        if held.record.state == DeviceState::Denied {
            return Ok(Verdict::answer(Polled::Denied));
        }
        if !standing.admits(&held.record.epochs) {
            return Ok(Verdict::if_unchanged(&held, Polled::Revoked));
        }
        if !standing.permits(GrantType::DeviceCode.as_str()) {
            return Ok(Verdict::answer(Polled::Unauthorized));
        }
        let DeviceState::Approved { subject } = &held.record.state else {
            let interval = grants.policy.device_interval;
            let kept = grants.paces.keeps(held.id, grants.store.now(), interval);
            return Ok(Verdict::answer(if kept { Polled::Pending } else { Polled::SlowDown }));
        };
        if !self.presented.is_within(&held.record.audience) {
            return Ok(Verdict::answer(Polled::InvalidTarget));
        }
        let subject = subject.clone();
        self.grant(grants, held, subject, standing)
    }
}

impl Poll<'_> {
    /// Spends an approved device for a family.
    fn grant<B: Backend>(
        &self,
        grants: &Grants<B>,
        mut held: Held<Device>,
        subject: String,
        standing: &Opens,
    ) -> Result<Verdict<Polled>> {
        let attachment = grants.device_attachment(&held.record)?;
        let opening = Opening {
            client: held.record.client.clone(),
            subject,
            scopes: std::mem::take(&mut held.record.scopes),
            audience: std::mem::take(&mut held.record.audience),
            narrowed: self.presented.narrowed(),
            confirmation: self.presented.confirmation,
            client_authenticated: self.presented.client_authenticated,
            attachment,
            origin: OpenOrigin::open(
                &held.record.origin,
                &grants.store.keyring(),
                &held.record.salt,
            )?,
            ..Opening::default()
        };
        let mut issuing = standing.issue(grants)?;
        let (family, first) = grants.open_family(&mut issuing, &opening, standing)?;
        if grants.policy.repeat_devices {
            let audience = opening.narrowed.as_ref().unwrap_or(&opening.audience).clone();
            let kept = (None, None);
            repeat::note(grants, &mut issuing, held.id, self.presented, kept, &first, audience)?;
        }
        strip(&mut held.record);
        held.record.state = DeviceState::Spent { at: grants.store.wall(), family };
        let until = issuing.now().saturating_add(grants.policy.remembers());
        issuing.replace(&held, &held.record, until.max(held.expires_at))?;
        let (client, subject) = (opening.client, opening.subject);
        let told = grants.told().event(|| Event::Redeemed { client, subject, family });
        Ok(issuing.commit(told, Polled::Granted(Box::new(first.issued))))
    }
}

/// Drops what a decided device authorization no longer needs.
pub(crate) fn strip(device: &mut Device) {
    device.scopes = String::new();
    device.audience = String::new();
    device.origin = std::mem::take(&mut device.origin).spent();
    device.salt = [0; 32];
    device.payload = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::approval::DeviceRequested;
    use crate::policy::Policy;
    use grantkeep::{ManualClock, Store, Wait as _};
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    // Goal: no two devices share a user code, dead ones that are not yet swept and those under an
    // earlier root key included. Method: offer one code twice, and another after it; the same once
    // the first has expired, and once the keyring was rotated.
    #[test]
    fn a_user_code_that_is_taken_is_not_issued() {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let dir = tempfile::tempdir().unwrap();
        let options = Store::options().clock(clock.clone()).by_itself(false);
        let store = options.reserve_bytes(0).open(dir.path()).unwrap();
        let grants = Grants::new(store, Policy::default()).unwrap();
        let issue = |codes: &[&str]| {
            let mut codes: VecDeque<_> = codes.iter().map(|code| Letters::read(code)).collect();
            let mint = || Ok(codes.pop_front().flatten().expect("another code"));
            let issued = grants.issue_device(&DeviceRequest::new("tv"), mint).wait().unwrap();
            issued.user_code.expose().to_owned()
        };
        assert_eq!(issue(&["BBBB-BBBB"]), "BBBB-BBBB");
        assert_eq!(issue(&["BBBB-BBBB", "BBBB-BBBB", "BBBB-BBBC"]), "BBBB-BBBC");
        clock.advance(Duration::from_secs(600));
        assert_eq!(issue(&["BBBB-BBBB", "BBBB-BBBD"]), "BBBB-BBBD");
        grants.store().rotate_keyring().wait().unwrap();
        assert_eq!(issue(&["BBBB-BBBD", "BBBB-BBBF"]), "BBBB-BBBF");
        let requested = grants.device_request("BBBB-BBBD").wait().unwrap();
        assert!(matches!(requested, DeviceRequested::Pending(_)));
    }
}
