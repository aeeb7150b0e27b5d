//! The device authorization grant, RFC 8628 section 3.3, as the person sees it who types the user
//! code into the verification page.

use crate::clients::GrantType;
use crate::decision::{Flow, Found, Owned, Rewriting, Standing, Verdict};
use crate::device::strip;
use crate::device::user_code::Letters;
use crate::events::Told;
use crate::events::event::Event;
use crate::family::opening::expires_in;
use crate::family::origin::{GivenOrigin, origin_setters};
use crate::grants::{Grants, check_name};
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::Attachment;
use grantkeep::backend::Backend;
use grantkeep::{Device, DeviceState, Epochs, Held, Result, SessionId, UserCode};
use std::fmt;
use std::time::Duration;

/// What a subject grants a device. The server has already authenticated the subject, shown it what
/// is asked for, and asked for consent (RFC 8628 section 5.4).
#[derive(Clone)]
pub struct DeviceApproval<'a> {
    subject: &'a str,
    scopes: Option<String>,
    payload: Option<(&'a [u8], bool)>,
    origin: GivenOrigin<'a>,
}

impl<'a> DeviceApproval<'a> {
    /// An approval by `subject`, which may not be empty, of all that was asked for.
    pub fn by(subject: &'a str) -> Self {
        Self { subject, scopes: None, payload: None, origin: GivenOrigin::default() }
    }

    setter! {
        /// Only these of the scopes that were asked for; none of them where it is a list of none.
        some_scopes
    }

    setter! {
        /// Bytes to go with the grant (claims, a session) in place of those of the request, at most
        /// 16 KiB, kept as they are.
        payload
    }

    setter! {
        /// As [`DeviceApproval::payload`], but sealed at rest.
        sealed_payload
    }

    origin_setters!();
}

impl fmt::Debug for DeviceApproval<'_> {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceApproval")
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A device authorization that waits for a decision.
#[non_exhaustive]
pub struct PendingDevice {
    /// The client that asks.
    pub client: String,
    /// What it asks for.
    pub scopes: Scopes,
    /// The resource servers it asks for, separated by spaces; `None` for any.
    pub audience: Option<String>,
    /// How long there is to decide, whole seconds.
    pub expires_in: Duration,
    /// What the server attached to the request.
    pub payload: Option<Vec<u8>>,
}

impl fmt::Debug for PendingDevice {
    /// Without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingDevice")
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .field("audience", &self.audience)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// What a typed user code leads to.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeviceRequested {
    /// To a device that waits for a decision.
    Pending(Box<PendingDevice>),
    /// It is too late.
    Expired,
    /// The client was revoked since it asked.
    Revoked,
    /// There is no such code, or it was decided: a user code works once.
    Unknown,
}

/// The answer to an approval or a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verified {
    /// It is decided so.
    Done,
    /// It is too late.
    Expired,
    /// The client was revoked since it asked.
    Revoked,
    /// The client is registered, and not for devices; nothing was changed.
    Unauthorized,
    /// The scopes are malformed, or more than was asked for; nothing was changed.
    InvalidScope,
    /// There is no such code, or it was decided before: a user code works once.
    Unknown,
}

/// A device that waits, and the code that leads to it.
struct Waiting {
    code: Held<UserCode>,
    device: Held<Device>,
}

impl<B: Backend> Grants<B> {
    /// What the device asks for that showed this user code: for the page on which a subject
    /// decides.
    ///
    /// A user code is short (RFC 8628 section 5.1): before asking, the server has authenticated the
    /// subject, and limits how often one subject and one address may try. Nothing is counted here.
    /// Case and separators do not matter; whatever cannot be a user code is unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`](grantkeep::ErrorKind::Keyring) if the root key of a sealed payload
    /// was retired; otherwise as [`Backend::get`].
    pub async fn device_request(&self, user_code: &str) -> Result<DeviceRequested> {
        let device = match self.waiting(Letters::read(user_code).as_ref()).await? {
            Ok(Waiting { device, .. }) => device,
            Err(Verified::Expired) => return Ok(DeviceRequested::Expired),
            Err(_) => {
                let told = self.told().event(|| Event::UserCodeUnknown);
                return Ok(told.with(DeviceRequested::Unknown));
            }
        };
        if !self.admitted("", &device.record.client, &device.record.epochs).await? {
            return Ok(DeviceRequested::Revoked);
        }
        let payload = self.device_attachment(&device.record)?;
        let Device { client, scopes, audience, .. } = device.record;
        Ok(DeviceRequested::Pending(Box::new(PendingDevice {
            client,
            scopes: Scopes::stored(scopes),
            audience: (!audience.is_empty()).then_some(audience),
            expires_in: expires_in(self.store.now(), device.expires_at),
            payload: payload.as_ref().map(Attachment::bytes),
        })))
    }

    /// Approves what the device asks for that showed this user code; its next poll is granted. In
    /// one batch the user code ends: of any number of decisions one is done, the others find it
    /// unknown. What is said at [`Grants::device_request`] of guessing holds here too.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty subject, or a field over its
    /// limit; otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// `Done` is durable when it is answered.
    pub async fn approve_device(
        &self,
        user_code: &str,
        approval: &DeviceApproval<'_>,
    ) -> Result<Verified> {
        check_name("a subject", approval.subject)?;
        approval.origin.read()?;
        self.decide(&mut Approving { letters: Letters::read(user_code), approval }).await
    }

    /// Refuses what the device asks for that showed this user code; its next poll is told so.
    /// Otherwise as [`Grants::approve_device`].
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// `Done` is durable when it is answered.
    pub async fn deny_device(&self, user_code: &str) -> Result<Verified> {
        self.decide(&mut Denying { letters: Letters::read(user_code) }).await
    }

    /// The device that waits under a user code, or what there is to answer instead.
    async fn waiting(&self, letters: Option<&Letters>) -> Result<Result<Waiting, Verified>> {
        let Some(letters) = letters else {
            return Ok(Err(Verified::Unknown));
        };
        let Some(code) = self.store.find::<UserCode>(&letters.labeled()).await? else {
            return Ok(Err(Verified::Unknown));
        };
        if code.is_expired(self.store.now()) {
            return Ok(Err(Verified::Expired));
        }
        // Decided between the two looks, or swept: the code is no longer good.
        Ok(match self.store.get::<Device>(code.record.device()).await? {
            Some(device) if device.record.state == DeviceState::Pending => {
                Ok(Waiting { code, device })
            }
            _ => Err(Verified::Unknown),
        })
    }
}

/// What a user code leads to that was typed for a decision.
async fn found<B: Backend>(
    grants: &Grants<B>,
    letters: Option<&Letters>,
) -> Result<Found<Waiting, Verified>> {
    Ok(match grants.waiting(letters).await? {
        Ok(waiting) => Found::Records(waiting),
        Err(Verified::Unknown) => {
            Found::Answer(Verified::Unknown, grants.told().event(|| Event::UserCodeUnknown))
        }
        Err(answer) => Found::Answer(answer, Told::nothing()),
    })
}

/// A device that is approved.
struct Approving<'a> {
    letters: Option<Letters>,
    approval: &'a DeviceApproval<'a>,
}

impl<B: Backend> Flow<B> for Approving<'_> {
    const NAME: &'static str = "approve_device";
    type Read = Waiting;
    type Rests = Standing;
    type Answer = Verified;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Waiting, Verified>> {
        found(grants, self.letters.as_ref()).await
    }

    fn owners<'r>(&'r self, read: &'r Waiting) -> Owned<'r> {
        let session = self.approval.origin.session.map(SessionId::of);
        Owned { subject: self.approval.subject, client: &read.device.record.client, session }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        Waiting { code, mut device }: Waiting,
        standing: &Standing,
    ) -> Result<Verdict<Verified>> {
        let approval = self.approval;
        // Nobody's subject was asked when the device asked.
        let Epochs { fence, client, .. } = device.record.epochs;
        let issued = Epochs { fence, client, ..standing.epochs() };
        if !standing.admits(&issued) {
            return Ok(Verdict::if_unchanged(&device, Verified::Revoked));
        }
        if !standing.permits(GrantType::DeviceCode.as_str()) {
            return Ok(Verdict::answer(Verified::Unauthorized));
        }
        if let Some(asked) = approval.scopes.as_deref() {
            let requested = Scopes::stored(std::mem::take(&mut device.record.scopes));
            match Scopes::read(asked) {
                Ok(asked) if asked.is_subset(&requested) => {
                    device.record.scopes = asked.into_text();
                }
                _ => return Ok(Verdict::answer(Verified::InvalidScope)),
            }
        }
        if let Some((bytes, sealed)) = approval.payload {
            let attachment = Attachment::new(bytes, sealed);
            let payload = attachment.close(&grants.store.keyring(), &device.record.salt)?;
            device.record.payload = Some(payload);
        }
        let origin = approval.origin.read()?;
        device.record.origin = origin.close(&grants.store.keyring(), &device.record.salt)?;
        let mut issuing = standing.issue(grants)?;
        device.record.epochs = issuing.epochs();
        device.record.state = DeviceState::Approved { subject: approval.subject.to_owned() };
        issuing.edit(&device, &device.record, device.expires_at)?;
        issuing.delete(&code);
        let told = grants.told().event(|| Event::Authorized {
            client: device.record.client,
            subject: approval.subject.to_owned(),
        });
        Ok(issuing.commit(told, Verified::Done))
    }
}

/// A device that is refused.
struct Denying {
    letters: Option<Letters>,
}

impl<B: Backend> Flow<B> for Denying {
    const NAME: &'static str = "deny_device";
    type Read = Waiting;
    type Rests = ();
    type Answer = Verified;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Waiting, Verified>> {
        found(grants, self.letters.as_ref()).await
    }

    fn owners<'r>(&'r self, _: &'r Waiting) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        Waiting { code, mut device }: Waiting,
        (): &(),
    ) -> Result<Verdict<Verified>> {
        strip(&mut device.record);
        device.record.state = DeviceState::Denied;
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.replace(&device, &device.record)?;
        rewriting.delete(&code);
        Ok(rewriting.commit(Told::nothing(), Verified::Done))
    }
}
