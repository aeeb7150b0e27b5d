//! Changing what a family carries: its label, its facts, its payload.

use crate::decision::{Flow, Found, Owned, Rewriting, Verdict};
use crate::events::Told;
use crate::grants::Grants;
use crate::text::attachment::Attachment;
use grantkeep::backend::Backend;
use grantkeep::{Family, FamilyId, Held, Payload, Result};
use std::fmt;

/// Bytes that are put, and whether they are sealed; `None` to remove what is there.
type Bytes<'a> = Option<(&'a [u8], bool)>;

/// What is changed of a family; what is not named stays as it is.
#[derive(Clone, Copy, Default)]
pub struct FamilyEdit<'a> {
    label: Option<&'a str>,
    facts: Option<Bytes<'a>>,
    payload: Option<Bytes<'a>>,
}

impl<'a> FamilyEdit<'a> {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a person knows it by, at most 4,096 bytes; empty for nothing.
    #[must_use]
    pub fn label(self, label: &'a str) -> Self {
        Self { label: Some(label), ..self }
    }

    /// What the server notes of where it was granted, at most 16 KiB, kept as it is; `None` removes
    /// what was noted.
    #[must_use]
    pub fn facts(self, facts: impl Into<Option<&'a [u8]>>) -> Self {
        Self { facts: Some(facts.into().map(|bytes| (bytes, false))), ..self }
    }

    /// Such facts, sealed at rest.
    #[must_use]
    pub fn sealed_facts(self, facts: &'a [u8]) -> Self {
        Self { facts: Some(Some((facts, true))), ..self }
    }

    /// The bytes that go with the grant, at most 16 KiB, kept as they are; `None` removes them. The
    /// access tokens that are issued from now on have them; those that were issued before keep what
    /// they had.
    #[must_use]
    pub fn payload(self, payload: impl Into<Option<&'a [u8]>>) -> Self {
        Self { payload: Some(payload.into().map(|bytes| (bytes, false))), ..self }
    }

    /// Such a payload, sealed at rest.
    #[must_use]
    pub fn sealed_payload(self, payload: &'a [u8]) -> Self {
        Self { payload: Some(Some((payload, true))), ..self }
    }
}

impl fmt::Debug for FamilyEdit<'_> {
    /// Without the facts and the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilyEdit").field("label", &self.label).finish_non_exhaustive()
    }
}

/// The answer to an edit of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FamilyEdited {
    /// It is changed.
    Done,
    /// No such family is in force; nothing was changed.
    Unknown,
}

impl<B: Backend> Grants<B> {
    /// Changes what a family carries, if it is in force.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a field over its limit; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The change is durable when `Done` is answered.
    pub async fn edit_family(
        &self,
        family: FamilyId,
        edit: FamilyEdit<'_>,
    ) -> Result<FamilyEdited> {
        self.decide(&mut Editing { family, subject: None, edit }).await
    }

    /// Changes a family if it is one of `subject`: an id may come from a form. Somebody else's is
    /// left alone, and is as unknown.
    ///
    /// # Errors
    /// As [`Grants::edit_family`].
    ///
    /// # Durability
    /// The change is durable when `Done` is answered.
    pub async fn edit_family_of(
        &self,
        subject: &str,
        family: FamilyId,
        edit: FamilyEdit<'_>,
    ) -> Result<FamilyEdited> {
        self.decide(&mut Editing { family, subject: Some(subject), edit }).await
    }
}

/// A family that is changed, if it is this subject's or no matter whose.
struct Editing<'a> {
    family: FamilyId,
    subject: Option<&'a str>,
    edit: FamilyEdit<'a>,
}

impl<B: Backend> Flow<B> for Editing<'_> {
    const NAME: &'static str = "edit_family";
    type Read = Held<Family>;
    type Rests = ();
    type Answer = FamilyEdited;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Held<Family>, FamilyEdited>> {
        let unknown = || Ok(Found::Answer(FamilyEdited::Unknown, Told::nothing()));
        let held = grants.store.get::<Family>(self.family.digest()).await?;
        let theirs =
            |held: &Held<Family>| self.subject.is_none_or(|own| own == held.record.subject);
        let Some(held) = held.filter(theirs) else { return unknown() };
        let admitted = grants.admitted_family(held).await?;
        match admitted.filter(|held| held.in_force(grants.store.now())) {
            Some(held) => Ok(Found::Records(held)),
            None => unknown(),
        }
    }

    fn owners<'r>(&'r self, _: &'r Held<Family>) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        held: Held<Family>,
        (): &(),
    ) -> Result<Verdict<FamilyEdited>> {
        let keyring = grants.store.keyring();
        let mut family = held.record.clone();
        let salt = family.salt;
        let close = |bytes: Bytes<'_>| -> Result<Option<Payload>> {
            let close = |(bytes, sealed)| Attachment::new(bytes, sealed).close(&keyring, &salt);
            bytes.map(close).transpose()
        };
        if let Some(label) = self.edit.label {
            label.clone_into(&mut family.label);
        }
        if let Some(facts) = self.edit.facts {
            family.facts = close(facts)?;
        }
        if let Some(payload) = self.edit.payload {
            family.payload = close(payload)?;
        }
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.edit(&held, &family)?;
        Ok(rewriting.commit(Told::nothing(), FamilyEdited::Done))
    }
}
