//! Generations of a family: the refresh token of each, derived or brought, and which of them a
//! presented text is.

use crate::decision::Issuing;
use crate::grants::Grants;
use crate::text::format::Tag;
use crate::text::minter::{Minting, bring};
use crate::text::refresh_token::{self, Masked};
use crate::text::secret::Secret;
use grantkeep::backend::Backend;
use grantkeep::{
    Digest, Error, ErrorKind, Family, Held, Payload, RefreshText, Result, Successor, Timestamp,
};
use zeroize::Zeroizing;

/// A refresh token that was issued, and the family it belongs to.
#[derive(Debug)]
pub(crate) struct Presented {
    pub(crate) held: Held<Family>,
    pub(crate) generation: u32,
}

impl<B: Backend> Grants<B> {
    /// The family and the generation of a refresh token, if it was issued. Nothing tells a forged
    /// one from an unknown one.
    pub(crate) async fn presented(&self, token: &str) -> Result<Option<Presented>> {
        if let Some(presented) = self.presented_derived(token).await? {
            return Ok(Some(presented));
        }
        // A brought text may look like a derived one.
        for id in self.store.ids(token.as_bytes())? {
            if let Some(text) = self.brought(id).await? {
                return self.presented_by(&text).await;
            }
        }
        // What was imported as its SHA-256 comes last: a text's own row says what it is.
        for id in self.store.imported_ids::<RefreshText>(token.as_bytes()) {
            if let Some(text) = self.brought(id).await? {
                return self.presented_by(&text).await;
            }
        }
        Ok(None)
    }

    /// The same for a text that is derived. It does not say under which root key: a family is
    /// looked for under each, at a probe of the index where there is none.
    pub(crate) async fn presented_derived(&self, token: &str) -> Result<Option<Presented>> {
        let Some(masked) = Masked::read(token) else { return Ok(None) };
        let keyring = self.store.keyring();
        for root in keyring.newest_first() {
            if let Some(claim) = masked.claim(root)
                && let Some(held) = self.store.get::<Family>(claim.family.digest()).await?
                && held.record.key_id == root.id()
                && claim.verify(token, root, &held.record.salt)
            {
                return Ok(issued(held, claim.generation));
            }
        }
        Ok(None)
    }

    /// The text that was brought, and has this id. One that has expired is none: whether it was
    /// swept makes no difference.
    pub(crate) async fn brought(&self, id: Digest) -> Result<Option<Held<RefreshText>>> {
        let text = self.store.get::<RefreshText>(id).await?;
        Ok(text.filter(|text| !text.is_expired(self.store.now())))
    }

    /// The family and the generation of a text that was brought.
    pub(crate) async fn presented_by(&self, text: &Held<RefreshText>) -> Result<Option<Presented>> {
        let RefreshText { family, generation } = text.record;
        let held = self.store.get::<Family>(family.digest()).await?;
        Ok(held.and_then(|held| issued(held, generation)))
    }

    /// The refresh token of the family's generation, made now; what it takes is issued, the family
    /// itself is not.
    pub(crate) fn add_refresh(
        &self,
        issuing: &mut Issuing,
        family: &mut Family,
        until: Timestamp,
    ) -> Result<Secret> {
        let minting = Minting {
            tag: Tag::Refresh,
            client: &family.client,
            subject: &family.subject,
            scopes: &family.scopes,
            audience: &family.audience,
            confirmation: family.confirmation.as_ref(),
            family: Some(family.id),
            generation: Some(family.generation),
            issued_at: family.refreshed_at().into(),
            expires_at: self.store.on_the_wall(until).into(),
        };
        let brought = bring(self.minter(), &minting)?;
        let Some(text) = brought else {
            family.brought = None;
            return self.derived(family);
        };
        family.brought = Some(issuing.root_key_id()?);
        let record = RefreshText { family: family.id, generation: family.generation };
        // The longest lifetime may have been shortened since the family was opened.
        let until = family.absolute_expires_at.min(issuing.latest());
        self.add_text(issuing, &text, &record, until)?;
        Ok(text)
    }

    /// The refresh token that is derived for the family's generation.
    pub(crate) fn derived(&self, family: &Family) -> Result<Secret> {
        let keyring = self.store.keyring();
        let root = keyring.key(family.key_id).ok_or_else(retired)?;
        let format = &self.policy.refresh_format;
        Ok(refresh_token::derive(root, &family.salt, family.id, family.generation, format))
    }

    /// Keeps a brought text for whoever presents its predecessor again within the grace period.
    pub(crate) fn keep_successor(
        &self,
        issuing: &mut Issuing,
        predecessor: &str,
        successor: &Secret,
    ) -> Result<()> {
        let grace = self.policy.refresh_grace;
        if grace.is_zero() {
            return Ok(());
        }
        let predecessor = predecessor.as_bytes();
        let text = successor.expose().as_bytes();
        let text = Payload::seal(&self.store.keyring(), predecessor, text)?;
        let id = self.store.id(predecessor)?;
        let until = issuing.now().saturating_add(grace);
        issuing.insert(id, &Successor { text }, until)
    }

    /// The brought text that came after `predecessor`, if it was kept.
    pub(crate) async fn kept_successor(&self, predecessor: &str) -> Result<Option<Secret>> {
        let predecessor = predecessor.as_bytes();
        let Some(held) = self.store.find::<Successor>(predecessor).await? else {
            return Ok(None);
        };
        let text = held.record.text.open(&self.store.keyring(), predecessor)?;
        let text = String::from_utf8(text)
            .map_err(|_| Error::new(ErrorKind::Corrupt, "a successor is not text"))?;
        Ok(Some(Secret::new(Zeroizing::new(text))))
    }
}

/// A generation that was not issued is unknown, though its keys are right: as after a restore.
fn issued(held: Held<Family>, generation: u32) -> Option<Presented> {
    (generation <= held.record.generation).then_some(Presented { held, generation })
}

fn retired() -> Error {
    Error::new(ErrorKind::Keyring, "the root key of a family was retired while it was refreshed")
}

#[cfg(test)]
mod tests {
    use crate::text::minter::{Minter, MinterError, Minting};
    use crate::{Format, Grant, Grants, Policy, Tag};
    use grantkeep::{KeySource, Keyring, Store, Wait as _};
    use std::sync::Arc;

    /// Brings refresh tokens that look like derived ones.
    #[derive(Debug)]
    struct Alike;

    impl Minter for Alike {
        fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
            let text = Format::hex().mint(Tag::Refresh)?;
            Ok((minting.tag == Tag::Refresh).then(|| text.expose().to_owned()))
        }
    }

    // Goal: a refresh token does not say under which root key it was made, and is found under each
    // of them until that is retired, in every format; one that a minter brought is found though it
    // looks like a derived one. Method: a token in each format under each of three keys; read under
    // all of them, and under all but one.
    #[test]
    fn tokens_are_found_under_each_root_key() {
        let dir = tempfile::tempdir().unwrap();
        let open = |ids: &[u8]| {
            let keys = ids.iter().map(|id| (u32::from(*id), [*id; 32]));
            let keys = KeySource::Given(Keyring::from_keys(keys).unwrap());
            Store::options().keys(keys).reserve_bytes(0).open(dir.path().join("store")).unwrap()
        };
        let mut tokens = Vec::new();
        for ids in [&[1][..], &[1, 2], &[1, 2, 3]] {
            let store = open(ids);
            for refresh_format in [Format::prefixed("gk"), Format::hex(), Format::base64url()] {
                let policy = Policy { refresh_format, ..Policy::default() };
                let grants = Grants::new(store.clone(), policy).unwrap();
                let brings = grants.clone().with_minter(Arc::new(Alike));
                for grants in [grants, brings] {
                    let opened = grants.open(Grant::new("client-1", "alice")).wait().unwrap();
                    tokens.push((ids.len(), opened.refresh.unwrap(), opened.family.unwrap()));
                }
            }
            store.close().unwrap();
        }
        for (ids, retired) in [(&[1, 2, 3][..], 0), (&[1, 3], 2)] {
            let grants = Grants::new(open(ids), Policy::default()).unwrap();
            for (made_under, token, family) in &tokens {
                let found = grants.presented(token.expose()).wait().unwrap();
                let found = found.map(|presented| presented.held.record.id);
                assert_eq!(found, (*made_under != retired).then_some(*family), "{made_under}");
            }
            grants.store().close().unwrap();
        }
    }
}
