//! Revocation, RFC 7009: of a token, a family, a subject, a client.

use crate::event::Event;
use crate::generation::Presented;
use crate::grants::{Grants, can_be_held, check_name};
use crate::kind::ClaimsKind;
use crate::observe;
use grantkeep::backend::Backend;
use grantkeep::{
    Family, FamilyId, FamilyState, Held, Owner, Personal, Record, Result, RevocationReason,
    Timestamp, Token,
};

/// The answer to a client that asks for a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// It is revoked, or was not there.
    Done,
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
    pub async fn revoke(&self, token: &str) -> Result<()> {
        self.revoke_for(token, None).await.map(drop)
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
        self.revoke_for(token, Some(client)).await
    }

    async fn revoke_for(&self, token: &str, client: Option<&str>) -> Result<RevokedBy> {
        let _decision = observe::decision("revoke");
        if !can_be_held(token) {
            return Ok(RevokedBy::Done);
        }
        // One text may be several tokens, where the server makes them.
        let mut answers = Vec::new();
        answers.extend(self.revoke_row::<Token>(token, client).await?);
        answers.extend(self.revoke_row::<Personal>(token, client).await?);
        if let Some(Presented { held, .. }) = self.presented(token).await? {
            let another = client.is_some_and(|client| client != held.record.client);
            if another {
                answers.push(RevokedBy::NotYours);
            } else {
                self.revoke_family(held.record.id).await?;
                answers.push(RevokedBy::Done);
            }
        }
        let refused = !answers.is_empty() && !answers.contains(&RevokedBy::Done);
        Ok(if refused { RevokedBy::NotYours } else { RevokedBy::Done })
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
        self.revoke_family_for(family, RevocationReason::Requested).await
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
        let _decision = observe::decision("revoke_subject");
        check_name("a subject", subject)?;
        self.store.begin_epoch(Owner::Subject(subject)).await?;
        self.events().tell(|| Event::SubjectRevoked { subject: subject.to_owned() });
        Ok(())
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
        let _decision = observe::decision("revoke_client");
        check_name("a client id", client)?;
        self.store.begin_epoch(Owner::Client(client)).await?;
        self.events().tell(|| Event::ClientRevoked { client: client.to_owned() });
        Ok(())
    }

    /// Revokes a family and notes why; the first reason stands.
    pub(crate) async fn revoke_family_for(
        &self,
        family: FamilyId,
        reason: RevocationReason,
    ) -> Result<()> {
        loop {
            let Some(mut held) = self.store.get::<Family>(family.digest()).await? else {
                return Ok(());
            };
            if held.record.state != FamilyState::Active {
                return Ok(());
            }
            held.record.state = FamilyState::Revoked { at: self.store.wall(), reason };
            if self.rewrite(&held).await? {
                self.events().tell(|| Event::FamilyRevoked { family, reason });
                return Ok(());
            }
        }
    }

    /// What there is to answer if `token` is of this type.
    async fn revoke_row<R: Revocable>(
        &self,
        token: &str,
        client: Option<&str>,
    ) -> Result<Option<RevokedBy>> {
        loop {
            let Some(held) = self.store.find::<R>(token.as_bytes()).await? else {
                return Ok(None);
            };
            if client.is_some_and(|client| client != held.record.client()) {
                return Ok(Some(RevokedBy::NotYours));
            }
            if self.revoke_held(held).await? {
                return Ok(Some(RevokedBy::Done));
            }
        }
    }

    /// Revokes a record by itself; false if it changed since it was read.
    pub(crate) async fn revoke_held<R: Revocable>(&self, mut held: Held<R>) -> Result<bool> {
        let revoked_at = held.record.revoked_at_mut();
        if revoked_at.is_some() {
            return Ok(true);
        }
        *revoked_at = Some(self.store.wall());
        let applied = self.rewrite(&held).await?;
        if applied {
            self.events().tell(|| Event::TokenRevoked { kind: held.record.kind() });
        }
        Ok(applied)
    }

    /// Puts a changed record in place of itself, with its expiry; a store whose longest lifetime
    /// was shortened meanwhile must not refuse a revocation.
    async fn rewrite<R: Record>(&self, held: &Held<R>) -> Result<bool> {
        let latest = self.store.now().saturating_add(self.store.lifetime_max());
        let until = held.expires_at.min(latest);
        let mut change = self.store.change()?;
        change.replace(held, &held.record, until)?;
        if R::KIND == Personal::KIND {
            self.end_last_use(&mut change, held.id, until).await?;
        }
        self.commit(change).await
    }
}

/// A record that can be revoked by itself.
pub(crate) trait Revocable: Record {
    fn revoked_at_mut(&mut self) -> &mut Option<Timestamp>;

    fn kind(&self) -> ClaimsKind;

    fn client(&self) -> &str;
}

impl Revocable for Token {
    fn revoked_at_mut(&mut self) -> &mut Option<Timestamp> {
        &mut self.revoked_at
    }

    fn kind(&self) -> ClaimsKind {
        self.kind.into()
    }

    fn client(&self) -> &str {
        &self.client
    }
}

impl Revocable for Personal {
    fn revoked_at_mut(&mut self) -> &mut Option<Timestamp> {
        &mut self.revoked_at
    }

    fn kind(&self) -> ClaimsKind {
        ClaimsKind::Personal
    }

    fn client(&self) -> &str {
        &self.client
    }
}
