//! Revocation, RFC 7009: of a token, a family, a subject, a client.

use crate::decision::{Flow, Found, Owned, Rewriting, Verdict};
use crate::family::ending::{OwnerRevocation, end_family, revoke, revoke_family};
use crate::family::generation::Presented;
use crate::grants::{Grants, can_be_held, check_name};
use crate::personal::FoundPersonal;
use grantkeep::backend::Backend;
use grantkeep::{Family, FamilyId, Held, Owner, Result, RevocationReason, Token};

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

/// All that one text is: it may be several tokens, where the server makes them.
struct AllOf {
    access: Option<Held<Token>>,
    personal: Option<FoundPersonal>,
    family: Option<Held<Family>>,
}

impl<B: Backend> Flow<B> for Revocation<'_> {
    const NAME: &'static str = "revoke";
    type Read = AllOf;
    type Rests = ();
    type Answer = RevokedBy;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<AllOf, RevokedBy>> {
        let presented = grants.presented(self.token).await?;
        let personal = match grants.store.find(self.token.as_bytes()).await? {
            Some(held) => Some(FoundPersonal::read(grants, held).await?),
            None => None,
        };
        Ok(Found::Records(AllOf {
            access: grants.store.find(self.token.as_bytes()).await?,
            personal,
            family: presented.map(|Presented { held, .. }| held),
        }))
    }

    fn owners<'r>(&'r self, _: &'r AllOf) -> Owned<'r> {
        Owned::default()
    }

    fn judge(&mut self, grants: &Grants<B>, read: AllOf, (): &()) -> Result<Verdict<RevokedBy>> {
        let AllOf { access, personal, family } = read;
        let theirs = |client: &str| self.client.is_none_or(|own| own == client);
        let any = access.is_some() || personal.is_some() || family.is_some();
        let access = access.filter(|held| theirs(&held.record.client));
        let personal = personal.filter(|found| theirs(&found.held.record.client));
        let family = family.filter(|held| theirs(&held.record.client));
        if access.is_none() && personal.is_none() && family.is_none() {
            let answer = if any { RevokedBy::NotYours } else { RevokedBy::Unknown };
            return Ok(Verdict::answer(answer));
        }
        let (mut rewriting, mut told) = (Rewriting::of(grants)?, grants.told());
        let mut changed = [false; 3];
        if let Some(mut held) = access {
            (changed[0], told) = revoke(grants, &mut rewriting, &mut held, told)?;
        }
        if let Some(mut found) = personal {
            (changed[1], told) = found.revoke(grants, &mut rewriting, told)?;
        }
        if let Some(held) = family {
            let reason = RevocationReason::Requested;
            (changed[2], told) = revoke_family(grants, &mut rewriting, &held, reason, told)?;
        }
        Ok(if changed.contains(&true) {
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
