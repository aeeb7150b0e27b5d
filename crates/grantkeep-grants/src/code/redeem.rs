//! Redeeming a code, RFC 6749 section 4.1.3: exactly one of any number of racers is granted.

use crate::clients::GrantType;
use crate::code::pkce;
use crate::code::repeat::{self, Again, Noted};
use crate::decision::{Flow, Found, Owned, Rewriting, Standing, Verdict};
use crate::events::Told;
use crate::events::event::Event;
use crate::family::bound::Opens;
use crate::family::ending::{end_family, mismatched};
use crate::family::opening::Opening;
use crate::family::origin::OpenOrigin;
use crate::grants::{Grants, can_be_held, check_presented};
use crate::request::audience::AskedAudience;
use crate::request::issued::Issued;
use crate::request::mismatch::Mismatch;
use crate::request::optional::{Optional, parameter};
use crate::request::setter::setter;
use crate::text::attachment::Attachment;
use grantkeep::backend::Backend;
use grantkeep::{
    Code, CodeState, Confirmation, Family, FamilyId, Held, Purpose, Repeat, Result,
    RevocationReason, Timestamp,
};
use std::fmt;

/// What comes with a code. The server has already authenticated the client.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    pub(crate) client: &'a str,
    redirect_uri: Option<&'a str>,
    verifier: Option<&'a str>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) client_authenticated: bool,
    pub(crate) audience: Option<&'a [&'a str]>,
}

impl<'a> Presented<'a> {
    /// A code presented by this client.
    pub fn by(client: &'a str) -> Self {
        Self {
            client,
            redirect_uri: None,
            verifier: None,
            confirmation: None,
            client_authenticated: false,
            audience: None,
        }
    }

    /// The `redirect_uri` of the request.
    #[must_use]
    pub fn redirect_uri(self, uri: impl Optional<'a, str>) -> Self {
        Self { redirect_uri: parameter(uri), ..self }
    }

    /// The `code_verifier` of the request, RFC 7636 section 4.5.
    #[must_use]
    pub fn verifier(self, verifier: impl Optional<'a, str>) -> Self {
        Self { verifier: parameter(verifier), ..self }
    }

    /// The `resource` parameters of the request (RFC 8707 section 2.2): some of the granted
    /// audience, for the first access token only. All of it where that is left out or names none.
    #[must_use]
    pub fn audience(self, audience: impl Optional<'a, [&'a str]>) -> Self {
        Self { audience: audience.optional(), ..self }
    }

    setter! {
        /// The key whose possession the request proved (RFC 9449, RFC 8705): the tokens are bound
        /// to it.
        confirmation
    }

    setter! {
        /// Says that the client has authenticated, by a secret or a key of its own: refresh tokens
        /// are bound to it and not to the key of this request, which it may renew (RFC 8705 section
        /// 7.1, RFC 9449 section 5). Of a registered client its record says so.
        client_authenticated
    }
}

impl fmt::Debug for Presented<'_> {
    /// Without the verifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("client", &self.client)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// The answer to a presented code.
#[derive(Debug)]
#[non_exhaustive]
pub enum Redeemed {
    /// It is spent now, and this is what it was for.
    Granted(Box<Issued>),
    /// It was spent before, within the policy's `replay_memory`. The family that the first
    /// redemption opened is revoked, durably, when this is seen (RFC 6749 section 4.1.2); `None` if
    /// the code was burnt by a mismatch.
    Replayed {
        /// That family.
        family: Option<FamilyId>,
    },
    /// It is too late; or its answer is asked for once more, and the family that it opened has
    /// expired.
    Expired,
    /// It was issued for something else than was presented; it is spent only if the policy says
    /// so.
    Mismatch(Mismatch),
    /// An audience was asked for that was not granted (RFC 8707 section 2); nothing was changed.
    InvalidTarget,
    /// Its subject or client was revoked since it was issued; or its answer is asked for once more
    /// ([`Policy::repeat_codes`](crate::Policy::repeat_codes)), and the family that it opened was
    /// revoked since, unused.
    Revoked,
    /// Its client is registered, and not for codes; nothing was changed.
    Unauthorized,
    /// There is no such code.
    Unknown,
}

impl<B: Backend> Grants<B> {
    /// Redeems `code`: in one batch the code is spent, the family opened, and the access token
    /// issued.
    ///
    /// A spent code that the *same* client presents again revokes the family. From another client
    /// it is a mismatch and changes nothing: a stolen code must not be enough to log its owner
    /// out. A redirect URI presented for a code that was issued without one is not compared.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a code over the token limit;
    /// otherwise as [`Backend::commit`]. After
    /// [`ErrorKind::Unknown`](grantkeep::ErrorKind::Unknown) the code may be spent: presenting it
    /// again is then a replay, and safe.
    ///
    /// # Durability
    /// Every answer rests on durable state; `Granted` and `Replayed` are durable when answered.
    pub async fn redeem(&self, code: &str, presented: &Presented<'_>) -> Result<Redeemed> {
        check_presented(code)?;
        if !can_be_held(code) {
            return Ok(Redeemed::Unknown);
        }
        self.decide(&mut Redemption { code, presented }).await
    }
}

/// A code that is presented.
struct Redemption<'a> {
    code: &'a str,
    presented: &'a Presented<'a>,
}

/// A code as it was found, and, if it is spent, the family that it opened.
pub(crate) struct FoundCode {
    pub(crate) code: Held<Code>,
    pub(crate) family: Option<Held<Family>>,
    noted: Option<Noted>,
}

impl FoundCode {
    /// The authorization code of this text.
    pub(crate) async fn read<B: Backend>(grants: &Grants<B>, text: &str) -> Result<Option<Self>> {
        let found = grants.store.find::<Code>(text.as_bytes()).await?;
        let ours = |held: &Held<Code>| held.record.purpose == Purpose::Authorization;
        let Some(code) = found.filter(ours) else {
            return Ok(None);
        };
        let CodeState::Spent { family: Some(id), .. } = code.record.state else {
            return Ok(Some(Self { code, family: None, noted: None }));
        };
        let family = grants.store.get(id.digest()).await?;
        let noted = Noted::read(grants, code.id).await?;
        Ok(Some(Self { code, family, noted }))
    }

    pub(crate) fn owners(&self) -> Owned<'_> {
        let Code { subject, client, origin, .. } = &self.code.record;
        Owned { subject, client, session: origin.session }
    }

    /// True once nothing is known of it any more, though its row may not have been swept.
    pub(crate) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.code.record.state != CodeState::Fresh && self.code.is_expired(now)
    }

    /// A spent code came again: the family that it opened ends.
    pub(crate) fn replayed<B: Backend, A>(
        self,
        grants: &Grants<B>,
        answer: impl FnOnce(Option<FamilyId>) -> A,
    ) -> Result<Verdict<A>> {
        let Code { client, subject, state, .. } = self.code.record;
        let family = match state {
            CodeState::Spent { family, .. } => family,
            CodeState::Fresh => None,
        };
        let told = |told: Told| told.event(|| Event::Replayed { client, subject, family });
        end_family(grants, self.family, RevocationReason::CodeReplayed, told, answer(family))
    }
}

impl<B: Backend> Flow<B> for Redemption<'_> {
    const NAME: &'static str = "redeem";
    type Read = FoundCode;
    type Rests = Opens;
    type Answer = Redeemed;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<FoundCode, Redeemed>> {
        let found = FoundCode::read(grants, self.code).await?;
        Ok(Found::or(found, Redeemed::Unknown))
    }

    fn owners<'r>(&'r self, read: &'r FoundCode) -> Owned<'r> {
        read.owners()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        read: FoundCode,
        standing: &Opens,
    ) -> Result<Verdict<Redeemed>> {
        let (held, presented) = (&read.code, self.presented);
        let refused = |what| {
            let whose = (&held.record.subject[..], None);
            mismatched(grants, whose, presented.client, what, Redeemed::Mismatch)
        };
        if read.is_forgotten(grants.store.now()) {
            return Ok(Verdict::answer(Redeemed::Unknown));
        }
        if let CodeState::Spent { .. } = held.record.state {
            if presented.client != held.record.client {
                return Ok(refused(Mismatch::Client));
            }
            return self.come_again(grants, read, standing);
        }
        if held.is_expired(grants.store.now()) {
            return Ok(Verdict::answer(Redeemed::Expired));
        }
        if let Some(mismatch) = presented.mismatch(&held.record) {
            let refused = refused(mismatch);
            if !grants.policy.burn_on_mismatch {
                return Ok(refused);
            }
            let Verdict::Answer(answer, told) = refused else { return Ok(refused) };
            return burn(grants, read.code, told, answer);
        }
        if !presented.is_within(&held.record.audience) {
            return Ok(Verdict::answer(Redeemed::InvalidTarget));
        }
        if !standing.admits(&held.record.epochs) {
            return Ok(Verdict::if_unchanged(held, Redeemed::Revoked));
        }
        if !standing.permits(GrantType::AuthorizationCode.as_str()) {
            return Ok(Verdict::answer(Redeemed::Unauthorized));
        }
        self.spend(grants, read.code, standing)
    }
}

impl Redemption<'_> {
    /// A spent code: its answer once more, or a replay.
    fn come_again<B: Backend>(
        &self,
        grants: &Grants<B>,
        mut read: FoundCode,
        standing: &Standing,
    ) -> Result<Verdict<Redeemed>> {
        let noted = read.noted.take().filter(|_| grants.policy.repeat_codes);
        let (family, presented) = (read.family.as_ref(), self.presented);
        let answer = |again| match again {
            Again::Granted(issued) => Redeemed::Granted(issued),
            Again::Expired => Redeemed::Expired,
            Again::Revoked => Redeemed::Revoked,
        };
        let again = repeat::answer(grants, standing, noted, family, presented, answer)?;
        match again {
            Some(verdict) => Ok(verdict),
            None => read.replayed(grants, |family| Redeemed::Replayed { family }),
        }
    }

    /// Spends a code for a family.
    fn spend<B: Backend>(
        &self,
        grants: &Grants<B>,
        mut held: Held<Code>,
        standing: &Opens,
    ) -> Result<Verdict<Redeemed>> {
        let keyring = grants.store.keyring();
        let open = |payload| Attachment::open(&payload, &keyring, self.code.as_bytes());
        let attachment = held.record.payload.take().map(open).transpose()?;
        let nonce = held.record.nonce.take();
        let opening = Opening {
            client: held.record.client.clone(),
            subject: held.record.subject.clone(),
            scopes: std::mem::take(&mut held.record.scopes),
            audience: std::mem::take(&mut held.record.audience),
            narrowed: self.presented.narrowed(),
            confirmation: self.presented.confirmation,
            client_authenticated: self.presented.client_authenticated,
            attachment,
            origin: OpenOrigin::open(&held.record.origin, &keyring, self.code.as_bytes())?,
            ..Opening::default()
        };
        let mut issuing = standing.issue(grants)?;
        let (family, mut first) = grants.open_family(&mut issuing, &opening, standing)?;
        first.issued.nonce = nonce;
        if grants.policy.repeat_codes {
            let audience = opening.narrowed.as_ref().unwrap_or(&opening.audience).clone();
            let kept = (held.record.redirect_uri.take(), held.record.challenge.take());
            repeat::note(grants, &mut issuing, held.id, self.presented, kept, &first, audience)?;
        }
        strip(&mut held.record);
        held.record.state = CodeState::Spent { at: grants.store.wall(), family: Some(family) };
        let until = issuing.now().saturating_add(grants.policy.remembers());
        issuing.replace(&held, &held.record, until.max(held.expires_at))?;
        let (client, subject) = (opening.client, opening.subject);
        let told = grants.told().event(|| Event::Redeemed { client, subject, family });
        Ok(issuing.commit(told, Redeemed::Granted(Box::new(first.issued))))
    }
}

/// Spends a code for nothing.
fn burn<B: Backend>(
    grants: &Grants<B>,
    mut held: Held<Code>,
    told: Told,
    answer: Redeemed,
) -> Result<Verdict<Redeemed>> {
    strip(&mut held.record);
    held.record.state = CodeState::Spent { at: grants.store.wall(), family: None };
    let mut rewriting = Rewriting::of(grants)?;
    let until = grants.store.now().saturating_add(grants.policy.remembers());
    rewriting.replace_until(&held, &held.record, until.max(held.expires_at))?;
    Ok(rewriting.commit(told, answer))
}

/// Drops what a spent code no longer needs: it is kept to recognize a replay by its client.
pub(crate) fn strip(code: &mut Code) {
    code.scopes = String::new();
    code.audience = String::new();
    code.redirect_uri = None;
    code.challenge = None;
    code.confirmation = None;
    code.nonce = None;
    code.origin = std::mem::take(&mut code.origin).spent();
    code.payload = None;
}

impl Presented<'_> {
    pub(crate) fn is_within(&self, granted: &str) -> bool {
        self.asked().narrowed(granted).is_some()
    }

    /// The audience of the first access token; `None` for all that was granted.
    pub(crate) fn narrowed(&self) -> Option<String> {
        self.asked().named()
    }

    fn asked(&self) -> AskedAudience {
        AskedAudience::read(self.audience)
    }

    /// True if this is what came with the first of two redemptions, or polls.
    pub(crate) fn is_again(&self, first: &Repeat) -> bool {
        let redirected =
            first.redirect_uri.is_none() || first.redirect_uri.as_deref() == self.redirect_uri;
        redirected
            && first.confirmation == self.confirmation
            && pkce::matches(first.challenge.as_ref(), self.verifier)
    }

    fn mismatch(&self, code: &Code) -> Option<Mismatch> {
        if code.client != self.client {
            return Some(Mismatch::Client);
        }
        if code.redirect_uri.is_some() && code.redirect_uri.as_deref() != self.redirect_uri {
            return Some(Mismatch::RedirectUri);
        }
        if !pkce::matches(code.challenge.as_ref(), self.verifier) {
            return Some(Mismatch::Verifier);
        }
        if code.confirmation.is_some() && code.confirmation != self.confirmation {
            return Some(Mismatch::Confirmation);
        }
        None
    }
}
