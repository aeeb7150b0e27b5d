//! Listing the grants of a subject: the page on which a person sees which applications have
//! access.

use crate::grants::Grants;
use crate::request::listed::Listed;
use crate::request::scope::Scopes;
use grantkeep::backend::Backend;
use grantkeep::{Cursor, Family, FamilyId, Owner, Result, SessionId};
use std::fmt;
use std::time::SystemTime;

/// A grant in force.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantInForce {
    /// Its family, to be revoked by.
    pub family: FamilyId,
    /// The client it was granted to.
    pub client: String,
    /// Who granted it.
    pub subject: String,
    /// What was granted.
    pub scopes: Scopes,
    /// What a person knows it by; may be empty.
    pub label: String,
    /// The log-in session that it was granted in: [`SessionId::of`] its name.
    pub session: Option<SessionId>,
    /// What the server noted of where it was granted, opened; `None` also where the root key that
    /// it was sealed under is retired.
    pub facts: Option<Vec<u8>>,
    /// When it was granted.
    pub granted_at: SystemTime,
    /// When it was last used, which is when it was last refreshed, or else granted. A use of an
    /// access token writes nothing.
    pub last_used_at: SystemTime,
    /// When it ends if it is not refreshed.
    pub expires_at: SystemTime,
    /// When it ends at the latest.
    pub ends_at: SystemTime,
}

impl fmt::Debug for GrantInForce {
    /// Without the facts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantInForce")
            .field("family", &self.family)
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .field("label", &self.label)
            .field("session", &self.session)
            .field("last_used_at", &self.last_used_at)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Grants<B> {
    /// The grants of `subject` that are in force, looked for among its next `limit` families
    /// after `cursor` (at most [`PAGE_ROWS_MAX`](grantkeep::backend::PAGE_ROWS_MAX)).
    ///
    /// # Errors
    /// As [`Backend::list`].
    pub async fn families_of(
        &self,
        subject: &str,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Listed<GrantInForce>> {
        self.families(Owner::Subject(subject), cursor, limit).await
    }

    /// The grants to `client` that are in force; otherwise as [`Grants::families_of`].
    ///
    /// # Errors
    /// As [`Backend::list`].
    pub async fn families_of_client(
        &self,
        client: &str,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Listed<GrantInForce>> {
        self.families(Owner::Client(client), cursor, limit).await
    }

    pub(crate) async fn families(
        &self,
        owner: Owner<'_>,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Listed<GrantInForce>> {
        let listing = self.store.list::<Family>(owner, cursor, limit).await?;
        let mut items = Vec::with_capacity(listing.records.len());
        let keyring = self.store.keyring();
        for held in listing.records {
            if let Some(held) = self.admitted_family(held).await?
                && held.in_force(self.store.now())
                && held.record.is_presentable(&keyring)
            {
                let family = held.record;
                let last_used_at = family.refreshed_at().into();
                let facts = family.facts.as_ref().filter(|facts| facts.opens_under(&keyring));
                let facts = facts.map(|facts| facts.open(&keyring, &family.salt)).transpose()?;
                items.push(GrantInForce {
                    family: family.id,
                    client: family.client,
                    subject: family.subject,
                    scopes: Scopes::stored(family.scopes),
                    label: family.label,
                    session: family.session,
                    facts,
                    granted_at: family.granted_at.into(),
                    last_used_at,
                    expires_at: self.store.on_the_wall(held.expires_at).into(),
                    ends_at: self.store.on_the_wall(family.absolute_expires_at).into(),
                });
            }
        }
        Ok(Listed { items, next: listing.next })
    }
}
