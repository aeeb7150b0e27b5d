//! Pushed authorization requests, RFC 9126: the parameters wait here while the user agent carries
//! a reference to them.

use crate::clients::GrantType;
use crate::decision::{Flow, Found, Owned, Rewriting, Standing, Verdict};
use crate::events::Told;
use crate::grants::{Grants, can_be_held, check_name, check_presented};
use crate::text::format::Tag;
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Code, CodeState, Digest, Epochs, Error, ErrorKind, Held, Origin, Payload, Purpose, Result,
};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// What stands before the random part of each `request_uri` (RFC 9126 section 2.2).
pub const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// What a client that pushed is answered (RFC 9126 section 2.2). With the feature `serde` it
/// serializes as that.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pushed {
    /// The reference: [`REQUEST_URI_PREFIX`] and a minted text.
    pub request_uri: Secret,
    /// How long it lives, whole seconds.
    pub expires_in: Duration,
}

/// The answer to a presented `request_uri`.
#[non_exhaustive]
pub enum Taken {
    /// These are the parameters, as they were pushed. It is used up now, unless it was only
    /// [looked at](Grants::look_at_pushed).
    Request(Vec<u8>),
    /// It was used before, within the policy's `replay_memory`.
    Used,
    /// It is too late.
    Expired,
    /// It was pushed by another client; nothing was changed.
    Mismatch,
    /// Its client was revoked since it was pushed.
    Revoked,
    /// There is no such reference.
    Unknown,
}

impl fmt::Debug for Taken {
    /// Without the parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(bytes) => write!(f, "Request({} bytes)", bytes.len()),
            Self::Used => f.write_str("Used"),
            Self::Expired => f.write_str("Expired"),
            Self::Mismatch => f.write_str("Mismatch"),
            Self::Revoked => f.write_str("Revoked"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

impl<B: Backend> Grants<B> {
    /// Keeps the parameters of an authorization request until the user agent brings the answered
    /// `request_uri`, for the policy's `push_lifetime`.
    ///
    /// The parameters are opaque bytes, at most 16 KiB, and always sealed: only the `request_uri`
    /// opens them. The server has already authenticated the client and checked the request as it
    /// would at the authorization endpoint, and that it has no `request_uri` itself (RFC 9126
    /// section 2.1).
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for an empty or too long client id, or more parameters than the limit
    /// (status 413, RFC 9126 section 2.3); otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// The request is durable when its `request_uri` is answered.
    pub async fn push(&self, client: &str, parameters: &[u8]) -> Result<Pushed> {
        check_name("a client id", client)?;
        let minted = self.mint_own(Tag::PushedRequest)?;
        let secret = minted.expose().as_bytes();
        let record = Code {
            purpose: Purpose::PushedRequest,
            client: client.to_owned(),
            subject: String::new(),
            scopes: String::new(),
            audience: String::new(),
            redirect_uri: None,
            challenge: None,
            confirmation: None,
            nonce: None,
            origin: Origin::default(),
            epochs: Epochs::default(),
            state: CodeState::Fresh,
            payload: Some(Payload::seal(&self.store.keyring(), secret, parameters)?),
        };
        let expires_in = self.decide(&mut Push { id: self.store.id(secret)?, record }).await?;
        Ok(Pushed { request_uri: uri(&minted), expires_in })
    }

    /// Takes the parameters that were pushed for a `request_uri`, once: of any number of racers one
    /// gets them, and nothing of them is left in the store.
    ///
    /// `client` is the `client_id` of the authorization request. Who reloads the page comes with a
    /// used `request_uri` (RFC 9126 section 4): keep what was taken in the session.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a reference over the token limit, [`ErrorKind::Keyring`] if the
    /// root key that it was sealed under was retired; otherwise as [`Backend::commit`]. After
    /// [`ErrorKind::Unknown`] it may be used up: the client has to push again.
    ///
    /// # Durability
    /// Every answer rests on durable state; `Request` is durable when answered.
    pub async fn take_pushed(&self, request_uri: &str, client: &str) -> Result<Taken> {
        match minted(request_uri)? {
            Some(minted) => self.decide(&mut Take { minted, client }).await,
            None => Ok(Taken::Unknown),
        }
    }

    /// What [`Grants::take_pushed`] would answer, without taking it: for the pages between the
    /// authorization request and its decision, such as the one on which a user signs in. It may be
    /// looked at any number of times, and taken once; whoever takes it meanwhile, takes it.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a reference over the token limit, [`ErrorKind::Keyring`] if the
    /// root key that it was sealed under was retired; otherwise as [`Backend::get`].
    pub async fn look_at_pushed(&self, request_uri: &str, client: &str) -> Result<Taken> {
        match minted(request_uri)? {
            Some(minted) => self.decide(&mut Look(Take { minted, client })).await,
            None => Ok(Taken::Unknown),
        }
    }
}

/// The minted part of a `request_uri`; `None` for what was never one.
fn minted(request_uri: &str) -> Result<Option<&str>> {
    let Some(minted) = request_uri.strip_prefix(REQUEST_URI_PREFIX) else {
        return Ok(None);
    };
    check_presented(minted)?;
    Ok(Some(minted).filter(|minted| can_be_held(minted)))
}

/// A request that is to be kept.
struct Push {
    id: Digest,
    record: Code,
}

impl<B: Backend> Flow<B> for Push {
    const NAME: &'static str = "push";
    type Read = ();
    type Rests = Standing;
    /// How long it lives.
    type Answer = Duration;

    async fn read(&mut self, _: &Grants<B>) -> Result<Found<(), Duration>> {
        Ok(Found::Records(()))
    }

    fn owners<'r>(&'r self, (): &'r ()) -> Owned<'r> {
        Owned { client: &self.record.client, ..Owned::default() }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (): (),
        standing: &Standing,
    ) -> Result<Verdict<Duration>> {
        let mut issuing = standing.issue_by(grants, GrantType::AuthorizationCode.as_str())?;
        self.record.epochs = issuing.epochs();
        let until = issuing.now().saturating_add(grants.policy.push_lifetime);
        issuing.insert(self.id, &self.record, until)?;
        Ok(issuing.commit(Told::nothing(), grants.policy.push_lifetime))
    }
}

/// A request that is asked for.
struct Take<'a> {
    minted: &'a str,
    client: &'a str,
}

impl<B: Backend> Flow<B> for Take<'_> {
    const NAME: &'static str = "take_pushed";
    type Read = Held<Code>;
    type Rests = Standing;
    type Answer = Taken;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Held<Code>, Taken>> {
        let found = grants.store.find::<Code>(self.minted.as_bytes()).await?;
        let pushed = found.filter(|held| is_pushed(&held.record));
        Ok(Found::or(pushed, Taken::Unknown))
    }

    fn owners<'r>(&'r self, _: &'r Held<Code>) -> Owned<'r> {
        Owned { client: self.client, ..Owned::default() }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        mut held: Held<Code>,
        standing: &Standing,
    ) -> Result<Verdict<Taken>> {
        let parameters = match self.parameters(grants, &mut held, standing)? {
            Taken::Request(parameters) => parameters,
            refused => return Ok(Verdict::answer(refused)),
        };
        held.record.state = CodeState::Spent { at: grants.store.wall(), family: None };
        let mut rewriting = Rewriting::of(grants)?;
        let until = grants.store.now().saturating_add(grants.policy.remembers());
        rewriting.replace_until(&held, &held.record, until.max(held.expires_at))?;
        rewriting.require(standing);
        Ok(rewriting.commit(Told::nothing(), Taken::Request(parameters)))
    }
}

impl Take<'_> {
    /// The parameters, out of the record, or why there are none for this client now.
    fn parameters<B: Backend>(
        &self,
        grants: &Grants<B>,
        held: &mut Held<Code>,
        standing: &Standing,
    ) -> Result<Taken> {
        if held.record.client != self.client {
            return Ok(Taken::Mismatch);
        }
        let expired = held.is_expired(grants.store.now());
        match held.record.state {
            CodeState::Spent { .. } if expired => return Ok(Taken::Unknown),
            CodeState::Spent { .. } => return Ok(Taken::Used),
            CodeState::Fresh if expired => return Ok(Taken::Expired),
            CodeState::Fresh => {}
        }
        if !standing.admits(&held.record.epochs) {
            return Ok(Taken::Revoked);
        }
        let sealed = held.record.payload.take().ok_or_else(empty)?;
        sealed.open(&grants.store.keyring(), self.minted.as_bytes()).map(Taken::Request)
    }
}

/// A request that is looked at.
struct Look<'a>(Take<'a>);

impl<B: Backend> Flow<B> for Look<'_> {
    const NAME: &'static str = "look_at_pushed";
    type Read = Held<Code>;
    type Rests = Standing;
    type Answer = Taken;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Held<Code>, Taken>> {
        self.0.read(grants).await
    }

    fn owners<'r>(&'r self, read: &'r Held<Code>) -> Owned<'r> {
        Flow::<B>::owners(&self.0, read)
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        mut held: Held<Code>,
        standing: &Standing,
    ) -> Result<Verdict<Taken>> {
        self.0.parameters(grants, &mut held, standing).map(Verdict::answer)
    }
}

fn is_pushed(code: &Code) -> bool {
    code.purpose == Purpose::PushedRequest
}

fn empty() -> Error {
    Error::new(ErrorKind::Corrupt, "a stored pushed request has no parameters")
}

fn uri(minted: &Secret) -> Secret {
    let minted = minted.expose();
    let mut text = Zeroizing::new(String::with_capacity(REQUEST_URI_PREFIX.len() + minted.len()));
    text.push_str(REQUEST_URI_PREFIX);
    text.push_str(minted);
    Secret::new(text)
}
