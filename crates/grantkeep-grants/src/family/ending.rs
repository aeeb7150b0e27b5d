//! How what was issued ends: a family, a record by itself, and all that an owner has.

use crate::decision::{Flow, Found, Owned, Rewriting, Verdict};
use crate::events::Told;
use crate::events::event::Event;
use crate::grants::Grants;
use crate::request::mismatch::Mismatch;
use crate::text::kind::ClaimsKind;
use grantkeep::backend::Backend;
use grantkeep::{
    Family, FamilyId, FamilyState, Held, HeldEpoch, Owner, Personal, Record, Result,
    RevocationReason, SessionId, Timestamp, Token,
};

/// Everything of an owner that is to be revoked.
pub(crate) struct OwnerRevocation<'a>(pub(crate) Owner<'a>);

impl<B: Backend> Flow<B> for OwnerRevocation<'_> {
    const NAME: &'static str = "revoke_owner";
    type Read = HeldEpoch;
    type Rests = ();
    type Answer = ();

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<HeldEpoch, ()>> {
        Ok(Found::Records(grants.store.epoch(self.0).await?))
    }

    fn owners<'r>(&'r self, _: &'r HeldEpoch) -> Owned<'r> {
        Owned::default()
    }

    fn judge(&mut self, grants: &Grants<B>, epoch: HeldEpoch, (): &()) -> Result<Verdict<()>> {
        let mut rewriting = Rewriting::of(grants)?;
        if epoch.is_closed() {
            rewriting.close_epoch(&epoch)?;
        } else {
            rewriting.open_epoch(&epoch)?;
        }
        rewriting.revoking_owner();
        let told = grants.told().event(|| match self.0 {
            Owner::Subject(subject) => Event::SubjectRevoked { subject: subject.to_owned() },
            Owner::Client(client) => Event::ClientRevoked { client: client.to_owned() },
            Owner::Pair { subject, client } => {
                Event::PairRevoked { client: client.to_owned(), subject: subject.to_owned() }
            }
            Owner::Session(session) => Event::SessionRevoked { session: SessionId::of(session) },
        });
        Ok(rewriting.commit(told, ()))
    }
}

/// Revokes a family and notes why, if it is in force; the first reason stands. `more` is told of it
/// in either case.
pub(crate) fn end_family<B: Backend, A>(
    grants: &Grants<B>,
    held: Option<Held<Family>>,
    reason: RevocationReason,
    more: impl FnOnce(Told) -> Told,
    answer: A,
) -> Result<Verdict<A>> {
    let Some(held) = held.filter(|held| held.record.state == FamilyState::Active) else {
        return Ok(Verdict::Answer(answer, more(grants.told())));
    };
    let mut rewriting = Rewriting::of(grants)?;
    let (_, told) = revoke_family(grants, &mut rewriting, &held, reason, grants.told())?;
    Ok(rewriting.commit(more(told), answer))
}

/// Revokes a family in `rewriting`; false if it is revoked already.
pub(crate) fn revoke_family<B: Backend>(
    grants: &Grants<B>,
    rewriting: &mut Rewriting,
    held: &Held<Family>,
    reason: RevocationReason,
    told: Told,
) -> Result<(bool, Told)> {
    if held.record.state != FamilyState::Active {
        return Ok((false, told));
    }
    let ended = ended(grants, held, reason);
    rewriting.replace(held, &ended)?;
    Ok((true, told.ended(&ended)))
}

/// This family as it ends: without what nobody needs any more. So it can end however long its
/// record was, and several that end together fit into one batch.
pub(crate) fn ended<B: Backend>(
    grants: &Grants<B>,
    held: &Held<Family>,
    reason: RevocationReason,
) -> Family {
    Family {
        state: FamilyState::Revoked { at: grants.store.wall(), reason },
        label: String::new(),
        facts: None,
        scopes: String::new(),
        audience: String::new(),
        payload: None,
        ..held.record.clone()
    }
}

/// Revokes a record by itself in `rewriting`; false if it is revoked already. It keeps nothing that
/// nobody needs any more: so it can be revoked however long it was, and all that one text is fits
/// into one batch.
pub(crate) fn revoke<B: Backend, R: Revocable>(
    grants: &Grants<B>,
    rewriting: &mut Rewriting,
    held: &Held<R>,
    told: Told,
) -> Result<(bool, Told)> {
    if held.record.is_revoked() {
        return Ok((false, told));
    }
    let revoked = held.record.revoked(grants.store.wall());
    rewriting.end(held, &revoked)?;
    Ok((true, told.event(|| revoked.event())))
}

/// A record that can be revoked by itself.
pub(crate) trait Revocable: Record {
    fn is_revoked(&self) -> bool;

    /// This as it ends.
    fn revoked(&self, at: Timestamp) -> Self;

    /// What is told of it.
    fn event(&self) -> Event;
}

impl Revocable for Token {
    fn is_revoked(&self) -> bool {
        self.revoked_at.is_some()
    }

    fn revoked(&self, at: Timestamp) -> Self {
        let (scopes, audience) = (String::new(), String::new());
        Self { revoked_at: Some(at), scopes, audience, payload: None, ..self.clone() }
    }

    fn event(&self) -> Event {
        Event::TokenRevoked {
            kind: self.kind.into(),
            client: self.client.clone(),
            subject: self.subject.clone(),
            family: self.family,
        }
    }
}

impl Revocable for Personal {
    fn is_revoked(&self) -> bool {
        self.revoked_at.is_some()
    }

    fn revoked(&self, at: Timestamp) -> Self {
        Self { revoked_at: Some(at), scopes: String::new(), payload: None, ..self.clone() }
    }

    fn event(&self) -> Event {
        Event::TokenRevoked {
            kind: ClaimsKind::Personal,
            client: self.client.clone(),
            subject: self.subject.clone(),
            family: None,
        }
    }
}

/// Refuses what `client` came with for a grant of `subject`, and tells of it; the family, where
/// there is one already.
pub(crate) fn mismatched<B: Backend, A>(
    grants: &Grants<B>,
    (subject, family): (&str, Option<FamilyId>),
    client: &str,
    what: Mismatch,
    answer: impl FnOnce(Mismatch) -> A,
) -> Verdict<A> {
    let told = grants.told().event(|| Event::Mismatched {
        what,
        client: client.to_owned(),
        subject: subject.to_owned(),
        family,
    });
    Verdict::Answer(answer(what), told)
}
