//! Redeeming a code, RFC 6749 section 4.1.3: exactly one of any number of racers is granted.

use crate::attachment::Attachment;
use crate::audience::AskedAudience;
use crate::event::Event;
use crate::grants::{Grants, check_presented};
use crate::observe;
use crate::opening::{Opening, Pair};
use crate::pkce;
use crate::setter::setter;
use grantkeep::backend::Backend;
use grantkeep::{Code, CodeState, Confirmation, FamilyId, Held, Purpose, Result, RevocationReason};
use std::fmt;

/// What comes with a code. The server has already authenticated the client.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    pub(crate) client: &'a str,
    redirect_uri: Option<&'a str>,
    verifier: Option<&'a str>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) audience: Option<&'a [&'a str]>,
}

impl<'a> Presented<'a> {
    /// A code presented by this client.
    pub fn by(client: &'a str) -> Self {
        Self { client, redirect_uri: None, verifier: None, confirmation: None, audience: None }
    }

    /// The `redirect_uri` of the request.
    #[must_use]
    pub fn redirect_uri(self, uri: &'a str) -> Self {
        Self { redirect_uri: Some(uri), ..self }
    }

    /// The `code_verifier` of the request, RFC 7636 section 4.5.
    #[must_use]
    pub fn verifier(self, verifier: &'a str) -> Self {
        Self { verifier: Some(verifier), ..self }
    }

    /// The `resource` parameters of the request (RFC 8707 section 2.2): some of the granted
    /// audience, for the first access token only. All of it where that is left out or names none.
    #[must_use]
    pub fn audience(self, audience: &'a [&'a str]) -> Self {
        Self { audience: Some(audience), ..self }
    }

    setter! {
        /// The key whose possession the request proved (RFC 9449, RFC 8705): the tokens are bound
        /// to it.
        confirmation
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

/// What does not match what a code or a family is bound to. For the log: a client is told
/// `invalid_grant`, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It was issued to another client.
    Client,
    /// The redirect URI is another, or missing.
    RedirectUri,
    /// The verifier does not match, is missing, or is there without a challenge (a downgrade, RFC
    /// 9700 section 4.8.2).
    Verifier,
    /// The proven key is another, or missing.
    Confirmation,
}

/// The answer to a presented code.
#[derive(Debug)]
#[non_exhaustive]
pub enum Redeemed {
    /// It is spent now, and this is what it was for.
    Granted(Box<Pair>),
    /// It was spent before. The family that the first redemption opened is revoked, durably, when
    /// this is seen (RFC 6749 section 4.1.2); `None` if the code was burnt by a mismatch.
    Replayed {
        /// That family.
        family: Option<FamilyId>,
    },
    /// It is too late.
    Expired,
    /// It was issued for something else than was presented; it is spent only if the policy says
    /// so.
    Mismatch(Mismatch),
    /// An audience was asked for that was not granted (RFC 8707 section 2); nothing was changed.
    InvalidTarget,
    /// Its subject or client was revoked since it was issued.
    Revoked,
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
        let _decision = observe::decision("redeem");
        check_presented(code)?;
        if !crate::grants::can_be_held(code) {
            return Ok(Redeemed::Unknown);
        }
        loop {
            let Some(held) = self.store.find::<Code>(code.as_bytes()).await? else {
                return Ok(Redeemed::Unknown);
            };
            if held.record.purpose != Purpose::Authorization {
                return Ok(Redeemed::Unknown);
            }
            if let CodeState::Spent { family, .. } = held.record.state {
                return self.replayed(family, presented.client == held.record.client).await;
            }
            let now = self.store.now();
            if held.is_expired(now) {
                return Ok(Redeemed::Expired);
            }
            let answer = match presented.mismatch(&held.record) {
                Some(mismatch) if !self.policy.burn_on_mismatch => {
                    return Ok(Redeemed::Mismatch(mismatch));
                }
                Some(mismatch) => {
                    self.burn_code(held).await?.then_some(Redeemed::Mismatch(mismatch))
                }
                None if !presented.is_within(&held.record.audience) => {
                    return Ok(Redeemed::InvalidTarget);
                }
                None => self.spend(code, held, presented).await?,
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    async fn replayed(&self, family: Option<FamilyId>, by_its_client: bool) -> Result<Redeemed> {
        if !by_its_client {
            return Ok(Redeemed::Mismatch(Mismatch::Client));
        }
        if let Some(family) = family {
            self.revoke_family_for(family, RevocationReason::CodeReplayed).await?;
        }
        self.events().tell(|| Event::Replayed { family });
        Ok(Redeemed::Replayed { family })
    }

    /// Spends a code for nothing; false if somebody else was faster.
    async fn burn_code(&self, mut held: Held<Code>) -> Result<bool> {
        let mut change = self.store.change()?;
        strip(&mut held.record);
        held.record.state = CodeState::Spent { at: self.store.wall(), family: None };
        change.replace(&held, &held.record, held.expires_at)?;
        self.commit(change).await
    }

    /// Spends a code for a family; `None` if something it rests on changed meanwhile.
    async fn spend(
        &self,
        code: &str,
        mut held: Held<Code>,
        presented: &Presented<'_>,
    ) -> Result<Option<Redeemed>> {
        let (client, subject) = (held.record.client.clone(), held.record.subject.clone());
        let (standing, now) = self.standing_or_closed(&subject, &client).await?;
        if !standing.admit(&held.record.epochs) {
            return self.unless_changed(&held, Redeemed::Revoked).await;
        }
        let keyring = self.store.keyring();
        let open = |payload| Attachment::open(&payload, &keyring, code.as_bytes());
        let attachment = held.record.payload.take().map(open).transpose()?;
        let nonce = held.record.nonce.take();
        let opening = Opening {
            client,
            subject,
            scopes: std::mem::take(&mut held.record.scopes),
            audience: std::mem::take(&mut held.record.audience),
            narrowed: presented.narrowed(),
            confirmation: presented.confirmation,
            attachment,
        };
        let mut change = self.store.change()?;
        let mut pair = self.open(&mut change, &standing, now, &opening)?;
        strip(&mut held.record);
        held.record.state = CodeState::Spent { at: self.store.wall(), family: Some(pair.family) };
        change.replace(&held, &held.record, held.expires_at)?;
        standing.require(&mut change);
        if !self.commit(change).await? {
            return Ok(None);
        }
        let family = pair.family;
        let (client, subject) = (opening.client, opening.subject);
        self.events().tell(|| Event::Redeemed { client, subject, family });
        pair.nonce = nonce;
        Ok(Some(Redeemed::Granted(Box::new(pair))))
    }
}

/// Drops what a spent code no longer needs: it is kept to recognize a replay by its client.
pub(crate) fn strip(code: &mut Code) {
    code.scopes = String::new();
    code.audience = String::new();
    code.redirect_uri = None;
    code.challenge = None;
    code.confirmation = None;
    code.nonce = None;
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
        self.audience.map_or(AskedAudience::Unset, AskedAudience::read)
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
