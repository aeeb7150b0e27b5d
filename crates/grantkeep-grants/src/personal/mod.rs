//! Personal access tokens: made by a person, named, shown once, listed, revoked by hand.

pub(crate) mod last_use;
pub(crate) mod uses;

use crate::decision::{Flow, Found, Owned, Rewriting, Standing, Verdict};
use crate::events::Told;
use crate::events::event::Event;
use crate::family::ending::revoke;
use crate::grants::{Grants, check_name};
use crate::policy::check_lifetime;
use crate::request::listed::Listed;
use crate::request::optional::Optional;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::attachment::close;
use crate::text::format::Tag;
use crate::text::kind::ClaimsKind;
use crate::text::minter::Minting;
use crate::text::secret::Secret;
use data_encoding::HEXLOWER;
use grantkeep::backend::Backend;
use grantkeep::{
    Cursor, Digest, Epochs, Error, ErrorKind, Held, LastUse, Owner, Personal, Result, Timestamp,
};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A personal access token to be made.
#[derive(Clone)]
pub struct NewPersonal<'a> {
    subject: &'a str,
    name: &'a str,
    client: &'a str,
    scopes: String,
    payload: Option<(&'a [u8], bool)>,
    lifetime: Lives,
}

/// How long a personal access token lives.
#[derive(Clone, Copy)]
enum Lives {
    /// As the policy says.
    Default,
    /// This long.
    For(Duration),
    /// Until it is revoked.
    On,
}

impl<'a> NewPersonal<'a> {
    /// A token of `subject`, which may not be empty, under a name that its owner knows it by.
    pub fn new(subject: &'a str, name: &'a str) -> Self {
        Self {
            subject,
            name,
            client: "",
            scopes: String::new(),
            payload: None,
            lifetime: Lives::Default,
        }
    }

    /// The client it is made through: revoking that client takes it along.
    #[must_use]
    pub fn client(self, client: impl Optional<'a, str>) -> Self {
        Self { client: client.optional().unwrap_or_default(), ..self }
    }

    setter! {
        /// Its scopes; one text may name several, separated by spaces.
        scopes
    }

    setter! {
        /// Bytes to go with it, at most 16 KiB, kept as they are.
        payload
    }

    setter! {
        /// Bytes to go with it, at most 16 KiB, sealed so that only presenting the token opens
        /// them.
        sealed_payload
    }

    /// How long it lives: whole seconds up to the policy's `personal_lifetime`, which is the
    /// default.
    #[must_use]
    pub fn lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        Self { lifetime: lifetime.into().map_or(Lives::Default, Lives::For), ..self }
    }

    /// It lives until it is revoked. Refused unless the policy allows it.
    #[must_use]
    pub fn without_expiry(self) -> Self {
        Self { lifetime: Lives::On, ..self }
    }
}

impl fmt::Debug for NewPersonal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPersonal")
            .field("subject", &self.subject)
            .field("name", &self.name)
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// By what a personal access token is listed and revoked; it presents nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PersonalId(Digest);

impl fmt::Display for PersonalId {
    /// 64 hex digits, for a form or an address; [`FromStr`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(self.0.as_bytes()))
    }
}

impl FromStr for PersonalId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        if text.len() == 64 && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok() {
            return Ok(Self(Digest::from_bytes(bytes)));
        }
        Err(Error::new(ErrorKind::Limit, "the id of a personal access token is 64 hex digits"))
    }
}

/// A personal access token that was just made.
#[derive(Debug)]
#[non_exhaustive]
pub struct PersonalIssued {
    /// By what it is listed and revoked.
    pub id: PersonalId,
    /// The token, to be shown to its owner once.
    pub token: Secret,
    /// When it expires; `None` if only a revocation ends it.
    pub expires_at: Option<SystemTime>,
}

/// A personal access token in force, as its owner sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PersonalInForce {
    /// By what it is revoked.
    pub id: PersonalId,
    /// What its owner calls it.
    pub name: String,
    /// The client it was made through; empty for none.
    pub client: String,
    /// Its scopes.
    pub scopes: Scopes,
    /// When it was made.
    pub issued_at: SystemTime,
    /// When it was last introspected, as far as is known: see [`Grants::write_last_uses`].
    pub last_used_at: Option<SystemTime>,
    /// When it expires; `None` if only a revocation ends it.
    pub expires_at: Option<SystemTime>,
}

impl<B: Backend> Grants<B> {
    /// Makes a personal access token. Its text is answered here and never again.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for an empty subject, a field over its limit, or a malformed scope;
    /// [`ErrorKind::Lifetime`] for a lifetime over the policy's; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The token is durable when it is answered.
    pub async fn create_personal(&self, new: NewPersonal<'_>) -> Result<PersonalIssued> {
        check_name("a subject", new.subject)?;
        let lifetime = self.lives(new.lifetime)?;
        let record = Personal {
            name: new.name.to_owned(),
            key_id: 0,
            subject: new.subject.to_owned(),
            client: new.client.to_owned(),
            scopes: Scopes::read(&new.scopes)?.into_text(),
            issued_at: self.store.wall(),
            epochs: Epochs::default(),
            revoked_at: None,
            payload: None,
        };
        self.decide(&mut Making { record, payload: new.payload, lifetime }).await
    }

    /// How long a new one lives; `None` for until it is revoked.
    fn lives(&self, asked: Lives) -> Result<Option<Duration>> {
        let lifetime = match asked {
            Lives::Default => self.policy.personal_lifetime,
            Lives::For(lifetime) => lifetime,
            Lives::On if self.policy.personal_without_expiry => return Ok(None),
            Lives::On => {
                return Err(Error::new(
                    ErrorKind::Lifetime,
                    "the policy does not allow personal tokens without expiry: name a lifetime, or \
                     set `personal_without_expiry`",
                ));
            }
        };
        let max = self.policy.personal_lifetime;
        check_lifetime("a personal token's lifetime", lifetime, max)?;
        Ok(Some(lifetime))
    }

    /// The personal access tokens of `subject` that are in force, looked for among its next
    /// `limit` after `cursor` (at most [`PAGE_ROWS_MAX`](grantkeep::backend::PAGE_ROWS_MAX)).
    ///
    /// # Errors
    /// As [`Backend::list`].
    pub async fn personal_of(
        &self,
        subject: &str,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Listed<PersonalInForce>> {
        let listing = self.store.list::<Personal>(Owner::Subject(subject), cursor, limit).await?;
        let mut items = Vec::with_capacity(listing.records.len());
        let keyring = self.store.keyring();
        for held in listing.records {
            let token = held.record;
            if self.store.now() < held.expires_at
                && keyring.key(token.key_id).is_some()
                && token.revoked_at.is_none()
                && self.admitted_apart(&token).await?
            {
                let last_used_at = self.last_use_of(held.id).await?;
                items.push(PersonalInForce {
                    id: PersonalId(held.id),
                    name: token.name,
                    client: token.client,
                    scopes: Scopes::stored(token.scopes),
                    issued_at: token.issued_at.into(),
                    last_used_at: last_used_at.map(Into::into),
                    expires_at: self.shown_expiry(held.expires_at),
                });
            }
        }
        Ok(Listed { items, next: listing.next })
    }

    /// Revokes a personal access token of `subject`. One that is not there, or is somebody else's,
    /// is left alone and is success: an id may come from a form.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns.
    pub async fn revoke_personal(&self, subject: &str, id: PersonalId) -> Result<()> {
        self.decide(&mut Removal { subject, id }).await
    }
}

/// A personal access token that is to be made.
struct Making<'a> {
    record: Personal,
    payload: Option<(&'a [u8], bool)>,
    lifetime: Option<Duration>,
}

impl<B: Backend> Flow<B> for Making<'_> {
    const NAME: &'static str = "personal";
    type Read = ();
    type Rests = Standing;
    type Answer = PersonalIssued;

    async fn read(&mut self, _: &Grants<B>) -> Result<Found<(), PersonalIssued>> {
        Ok(Found::Records(()))
    }

    fn owners<'r>(&'r self, (): &'r ()) -> Owned<'r> {
        Owned { subject: &self.record.subject, client: &self.record.client, ..Owned::default() }
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (): (),
        standing: &Standing,
    ) -> Result<Verdict<PersonalIssued>> {
        let (mut issuing, record) = (standing.issue(grants)?, &mut self.record);
        record.issued_at = grants.store.wall();
        let until = self.lifetime.map(|lifetime| issuing.now().saturating_add(lifetime));
        let expires_at = until.unwrap_or(Timestamp::NEVER);
        let token = grants.mint(&Minting {
            tag: Tag::Personal,
            client: &record.client,
            subject: &record.subject,
            scopes: &record.scopes,
            audience: "",
            confirmation: None,
            family: None,
            generation: None,
            issued_at: record.issued_at.into(),
            expires_at: grants.store.on_the_wall(expires_at).into(),
        })?;
        let secret = token.expose().as_bytes();
        record.payload = close(self.payload, &grants.store.keyring(), secret)?;
        record.epochs = issuing.epochs().without_pair();
        record.key_id = issuing.root_key_id()?;
        let id = grants.add_text(&mut issuing, &token, record, expires_at)?;
        let told = grants.told().event(|| Event::Issued {
            kind: ClaimsKind::Personal,
            client: record.client.clone(),
            subject: record.subject.clone(),
            family: None,
        });
        let (id, expires_at) = (PersonalId(id), grants.shown_expiry(expires_at));
        Ok(issuing.commit(told, PersonalIssued { id, token, expires_at }))
    }
}

/// A personal access token as it was found, and when it was last used.
pub(crate) struct FoundPersonal {
    pub(crate) held: Held<Personal>,
    used: Option<Held<LastUse>>,
}

impl FoundPersonal {
    pub(crate) async fn read<B: Backend>(grants: &Grants<B>, held: Held<Personal>) -> Result<Self> {
        let used = grants.store.get(held.id).await?;
        Ok(Self { held, used })
    }

    /// Revokes it in `rewriting`; false if it is revoked already. Its last use ends when it does.
    pub(crate) fn revoke<B: Backend>(
        &self,
        grants: &Grants<B>,
        rewriting: &mut Rewriting,
        told: Told,
    ) -> Result<(bool, Told)> {
        let (changed, told) = revoke(grants, rewriting, &self.held, told)?;
        if let Some(used) = self.used.as_ref().filter(|_| changed) {
            rewriting.end(used, &used.record)?;
        }
        Ok((changed, told))
    }
}

/// A personal access token that its owner takes back.
struct Removal<'a> {
    subject: &'a str,
    id: PersonalId,
}

impl<B: Backend> Flow<B> for Removal<'_> {
    const NAME: &'static str = "revoke_personal";
    type Read = FoundPersonal;
    type Rests = ();
    type Answer = ();

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<FoundPersonal, ()>> {
        let held = grants.store.get::<Personal>(self.id.0).await?;
        Ok(match held.filter(|held| held.record.subject == self.subject) {
            Some(held) => Found::Records(FoundPersonal::read(grants, held).await?),
            None => Found::Answer((), Told::nothing()),
        })
    }

    fn owners<'r>(&'r self, _: &'r FoundPersonal) -> Owned<'r> {
        Owned::default()
    }

    fn judge(&mut self, grants: &Grants<B>, found: FoundPersonal, (): &()) -> Result<Verdict<()>> {
        let mut rewriting = Rewriting::of(grants)?;
        let (changed, told) = found.revoke(grants, &mut rewriting, grants.told())?;
        Ok(if changed { rewriting.commit(told, ()) } else { Verdict::answer(()) })
    }
}
