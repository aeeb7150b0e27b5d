//! Revocation, RFC 7009: of a token, a family, a subject, a client.

use crate::decision::{Flow, Found, Owned, Rewriting, Verdict};
use crate::family::ending::{OwnerRevocation, end_family, revoke, revoke_family};
use crate::grants::{Grants, can_be_held, check_name};
use crate::personal::FoundPersonal;
use grantkeep::backend::Backend;
use grantkeep::{
    Family, FamilyId, Held, Owner, Record, RefreshText, Result, RevocationReason, Token,
};

/// The answer to a client that asks for a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokedBy {
    /// It is revoked.
    Done,
    /// There is no such token, and nothing was changed: it was never issued, it has expired, or the
    /// root key that it was issued under was retired. What else came of the same grant may be in
    /// force; [`Grants::revoke_family`] ends that. A client is told of success (RFC 7009 section
    /// 2.2).
    Unknown,
    /// It was issued to another client; nothing was changed.
    NotYours,
}

impl<B: Backend> Grants<B> {
    /// Revokes whatever `token` is: an access or personal token by itself, a refresh token of any
    /// generation with its family and all of that family's access tokens.
    ///
    /// A token that is not there is success (RFC 7009 section 2.2), and so is a text that no store
    /// can hold. Whose it is was checked before, or does not matter, as when an administrator
    /// revokes; [`Grants::revoke_by`] is for a client's request.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns.
    pub async fn revoke(&self, token: &str) -> Result<RevokedBy> {
        self.revoke_for(token, None).await
    }

    /// The same on the request of a client, which the server has authenticated: a token that was
    /// issued to another is left alone (RFC 7009 section 2.1).
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when `Done` is answered.
    pub async fn revoke_by(&self, client: &str, token: &str) -> Result<RevokedBy> {
        check_name("a client id", client)?;
        self.revoke_for(token, Some(client)).await
    }

    /// Each record of this type that is filed under a text, by itself or by its SHA-256, expired or
    /// not.
    async fn filed_as<R: Record>(&self, token: &str) -> Result<Vec<Held<R>>> {
        let imported = self.store.imported_ids::<R>(token.as_bytes());
        let mut found = Vec::new();
        for id in self.store.ids(token.as_bytes())?.chain(imported) {
            found.extend(self.store.get(id).await?);
        }
        Ok(found)
    }

    /// Each family of which a text is a refresh token.
    async fn families_by(&self, token: &str) -> Result<Vec<Held<Family>>> {
        let derived = self.presented_derived(token).await?;
        let mut found: Vec<Held<Family>> = derived.into_iter().map(|it| it.held).collect();
        for text in self.filed_as::<RefreshText>(token).await? {
            if found.iter().all(|held| held.record.id != text.record.family)
                && let Some(presented) = self.presented_by(&text).await?
            {
                found.push(presented.held);
            }
        }
        Ok(found)
    }

    async fn revoke_for(&self, token: &str, client: Option<&str>) -> Result<RevokedBy> {
        if !can_be_held(token) {
            return Ok(RevokedBy::Unknown);
        }
        self.decide(&mut Revocation { token, client }).await
    }

    /// Revokes a family: its refresh tokens, and the access tokens issued from it. One that is not
    /// there is success.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns.
    pub async fn revoke_family(&self, family: FamilyId) -> Result<()> {
        self.decide(&mut FamilyRevocation { family, subject: None }).await
    }

    /// Revokes a family if it is one of `subject`: an id may come from a form. Somebody else's is
    /// left alone, which is success as well.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns.
    pub async fn revoke_family_of(&self, subject: &str, family: FamilyId) -> Result<()> {
        self.decide(&mut FamilyRevocation { family, subject: Some(subject) }).await
    }

    /// Revokes everything that was issued to `subject` until now, codes included, in one write.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty name; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns, and no issue that is answered later falls
    /// before it.
    pub async fn revoke_subject(&self, subject: &str) -> Result<()> {
        check_name("a subject", subject)?;
        self.decide(&mut OwnerRevocation(Owner::Subject(subject))).await
    }

    /// Revokes everything that was issued to `client` until now, codes included, in one write.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty name; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns, and no issue that is answered later falls
    /// before it.
    pub async fn revoke_client(&self, client: &str) -> Result<()> {
        check_name("a client id", client)?;
        self.decide(&mut OwnerRevocation(Owner::Client(client))).await
    }

    /// Revokes everything that `subject` granted to `client` until now, codes and device codes
    /// included, in one write: what a person does who takes an application's access back. Personal
    /// tokens made through the client stay, since their owner revokes them by hand.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty name; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns, and no issue that is answered later falls
    /// before it.
    pub async fn revoke_pair(&self, subject: &str, client: &str) -> Result<()> {
        check_name("a subject", subject)?;
        check_name("a client id", client)?;
        self.decide(&mut OwnerRevocation(Owner::Pair { subject, client })).await
    }
}

/// A token that is to be revoked, by this client or by anybody.
struct Revocation<'a> {
    token: &'a str,
    client: Option<&'a str>,
}

/// All that one text is. It may be tokens of several types, where the server makes them, and two of
/// one type, where it was imported by its text and as its SHA-256.
struct AllOf {
    access: Vec<Held<Token>>,
    personal: Vec<FoundPersonal>,
    families: Vec<Held<Family>>,
}

impl AllOf {
    fn is_empty(&self) -> bool {
        self.access.is_empty() && self.personal.is_empty() && self.families.is_empty()
    }

    /// Keeps what is of this client.
    fn keep_of(&mut self, client: &str) {
        self.access.retain(|held| held.record.client == client);
        self.personal.retain(|found| found.held.record.client == client);
        self.families.retain(|held| held.record.client == client);
    }
}

impl<B: Backend> Flow<B> for Revocation<'_> {
    const NAME: &'static str = "revoke";
    type Read = AllOf;
    type Rests = ();
    type Answer = RevokedBy;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<AllOf, RevokedBy>> {
        let mut personal = Vec::new();
        for held in grants.filed_as(self.token).await? {
            personal.push(FoundPersonal::read(grants, held).await?);
        }
        Ok(Found::Records(AllOf {
            access: grants.filed_as(self.token).await?,
            personal,
            families: grants.families_by(self.token).await?,
        }))
    }

    fn owners<'r>(&'r self, _: &'r AllOf) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        mut read: AllOf,
        (): &(),
    ) -> Result<Verdict<RevokedBy>> {
        if read.is_empty() {
            return Ok(Verdict::answer(RevokedBy::Unknown));
        }
        if let Some(client) = self.client {
            read.keep_of(client);
        }
        if read.is_empty() {
            return Ok(Verdict::answer(RevokedBy::NotYours));
        }
        let (mut rewriting, mut told) = (Rewriting::of(grants)?, grants.told());
        let mut any = false;
        let mut changed;
        for held in read.access {
            (changed, told) = revoke(grants, &mut rewriting, &held, told)?;
            any |= changed;
        }
        for found in read.personal {
            (changed, told) = found.revoke(grants, &mut rewriting, told)?;
            any |= changed;
        }
        for held in read.families {
            let reason = RevocationReason::Requested;
            (changed, told) = revoke_family(grants, &mut rewriting, &held, reason, told)?;
            any |= changed;
        }
        Ok(if any {
            rewriting.commit(told, RevokedBy::Done)
        } else {
            Verdict::answer(RevokedBy::Done)
        })
    }
}

/// A family that is to be revoked, if it is this subject's or no matter whose.
struct FamilyRevocation<'a> {
    family: FamilyId,
    subject: Option<&'a str>,
}

impl<B: Backend> Flow<B> for FamilyRevocation<'_> {
    const NAME: &'static str = "revoke_family";
    type Read = Option<Held<Family>>;
    type Rests = ();
    type Answer = ();

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Option<Held<Family>>, ()>> {
        let held = grants.store.get::<Family>(self.family.digest()).await?;
        let theirs =
            |held: &Held<Family>| self.subject.is_none_or(|own| own == held.record.subject);
        Ok(Found::Records(held.filter(theirs)))
    }

    fn owners<'r>(&'r self, _: &'r Option<Held<Family>>) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        held: Option<Held<Family>>,
        (): &(),
    ) -> Result<Verdict<()>> {
        end_family(grants, held, RevocationReason::Requested, |told| told, ())
    }
}
