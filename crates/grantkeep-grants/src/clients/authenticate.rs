//! Secrets of clients: added, removed, and compared, RFC 6749 section 2.3.1.

use super::ClientInfo;
#[cfg(feature = "hashed-secrets")]
use super::foreign::Foreign;
use super::public_with;
use crate::events::event::Event;
use crate::events::observe;
use crate::grants::Grants;
use crate::policy::check_lifetime;
use crate::text::format::{Format, Tag};
use crate::text::secret::Secret;
use data_encoding::HEXLOWER;
use grantkeep::backend::Backend;
use grantkeep::{
    Client, ClientSecret, Digest, Error, ErrorKind, Held, LIFETIME_MAX, Result, RootKey,
    SecretDigest, Store, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, Timestamp, random,
};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
#[cfg(feature = "hashed-secrets")]
use zeroize::Zeroizing;

/// By what a client's secret is listed and removed; it presents nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretId(pub(super) [u8; 8]);

impl fmt::Display for SecretId {
    /// 16 hex digits, for a form or an address; [`FromStr`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for SecretId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 8];
        if text.len() == 16 && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok() {
            return Ok(Self(bytes));
        }
        Err(Error::new(ErrorKind::Limit, "the id of a client's secret is 16 hex digits"))
    }
}

/// A secret to be added to a client.
#[derive(Clone, Copy, Default)]
pub struct NewSecret<'a> {
    brought: Option<&'a str>,
    lifetime: Option<Duration>,
}

impl<'a> NewSecret<'a> {
    /// One of 256 random bits, minted here.
    pub fn minted() -> Self {
        Self::default()
    }

    /// One that the client brings along, 16 to 8,192 bytes.
    pub fn brought(secret: &'a str) -> Self {
        Self { brought: Some(secret), lifetime: None }
    }

    /// How long it is accepted: whole seconds, up to 100 years; until it is removed by default.
    #[must_use]
    pub fn lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        Self { lifetime: lifetime.into(), ..self }
    }
}

impl fmt::Debug for NewSecret<'_> {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSecret").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// A secret that was just added.
#[derive(Debug)]
#[non_exhaustive]
pub struct SecretAdded {
    /// By what it is listed and removed.
    pub id: SecretId,
    /// The secret, to be shown once; `None` where it was brought.
    pub secret: Option<Secret>,
}

/// The answer to a client's credentials.
#[derive(Debug)]
#[non_exhaustive]
pub enum Authenticated {
    /// It is this client.
    Client(Box<ClientInfo>),
    /// It is not, and nobody is told why: there is no such client, it is disabled, its secret is
    /// another, missing, or expired, or it is public and sent one.
    Refused,
}

impl<B: Backend> Grants<B> {
    /// Whether these are the credentials of a client: for a confidential one any of its secrets
    /// that has not expired, for a public one its id alone. An empty secret counts as none (RFC
    /// 6749 section 3.1).
    ///
    /// Digests are compared in constant time, and whatever is wrong takes the same path: one
    /// look-up, one digest under each root key, and a comparison with each secret. A secret that
    /// was digested under an older root key is digested anew under the active one, so that the
    /// older key can be retired once its clients have been seen.
    ///
    /// A secret that was imported as another server hashed it (feature `hashed-secrets`) is
    /// verified as that hash wants the first time that it is right, on one of a few threads, and is
    /// then digested as any other. Until then the answers about its client take as long as that
    /// takes: `docs/security.md` says what this tells.
    ///
    /// # Errors
    /// As [`Backend::get`]; [`ErrorKind::Unavailable`] if 64 such secrets wait to be
    /// verified already.
    pub async fn authenticate_client(
        &self,
        id: &str,
        secret: Option<&[u8]>,
    ) -> Result<Authenticated> {
        observe::span("authenticate_client", self.authenticated(id, secret, true)).await
    }

    /// As [`Grants::authenticate_client`], at little cost: digests alone are compared, no hash of
    /// another server is verified, and a refusal is no event. For a server that limits guesses and
    /// lets whoever is right through all the same; what is refused here may be right there.
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn recognize_client(&self, id: &str, secret: Option<&[u8]>) -> Result<Authenticated> {
        observe::span("authenticate_client", self.authenticated(id, secret, false)).await
    }

    async fn authenticated(
        &self,
        id: &str,
        secret: Option<&[u8]>,
        thoroughly: bool,
    ) -> Result<Authenticated> {
        let _measured = observe::measured("authenticate_client");
        let held = self.store.client(id).await?;
        let now = self.store.now();
        let secret = secret.filter(|secret| !secret.is_empty());
        let stored: &[ClientSecret] = held.as_ref().map_or(&[], |held| &held.record.secrets);
        let held_by_none = [0; TOKEN_BYTES_MIN];
        let presented = secret.filter(|secret| secret.len() <= TOKEN_BYTES_MAX);
        let keyring = self.store.keyring();
        let mut matched = None;
        for key in keyring.newest_first() {
            let digest = key.client_secret(id, presented.unwrap_or(&held_by_none));
            for (at, each) in stored.iter().enumerate() {
                let SecretDigest::Keyed { key_id, digest: stored } = each.digest else { continue };
                let same = Digest::from_bytes(stored) == digest && key_id == key.id();
                if same && now < each.expires_at {
                    matched = Some(at);
                }
            }
        }
        let matched = matched.filter(|_| presented.is_some());
        #[cfg(feature = "hashed-secrets")]
        let matched = match (matched, &held, presented) {
            (None, Some(held), Some(secret)) if thoroughly => {
                self.foreign_match(&held.record, secret, now).await?
            }
            (matched, ..) => matched,
        };
        let exists = held.is_some();
        let Some(held) = held.filter(|held| {
            let known = if held.record.confidential { matched.is_some() } else { secret.is_none() };
            known && held.record.is_enabled()
        }) else {
            if !thoroughly {
                return Ok(Authenticated::Refused);
            }
            // Another text may be a secret that was given in the wrong place.
            let client = if exists { id.to_owned() } else { String::new() };
            let told = self.told().event(|| Event::ClientRefused { client });
            return Ok(told.with(Authenticated::Refused));
        };
        let info = ClientInfo::of(held.record.clone(), &self.store);
        if let (Some(at), Some(secret)) = (matched, presented) {
            self.digest_anew(held, at, secret).await;
        }
        Ok(Authenticated::Client(Box::new(info)))
    }

    /// Adds a secret to a confidential client, beside those it has (at most
    /// [`CLIENT_SECRETS_MAX`](grantkeep::CLIENT_SECRETS_MAX)); expired ones make room. `None` if
    /// there is no such client. To roll over: add one, hand it out, remove the old one.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a public client, one with as many secrets as it may have, or a
    /// brought secret out of bounds; [`ErrorKind::Lifetime`] for a lifetime out of bounds;
    /// otherwise as [`Backend::commit`].
    ///
    /// # Durability
    /// The secret is durable when it is answered.
    pub async fn add_client_secret(
        &self,
        id: &str,
        new: NewSecret<'_>,
    ) -> Result<Option<SecretAdded>> {
        if let Some(lifetime) = new.lifetime {
            check_lifetime("a client secret's lifetime", lifetime, LIFETIME_MAX)?;
        }
        let minted = new.brought.is_none().then(|| self.mint_client_secret()).transpose()?;
        let text = minted.as_ref().map(Secret::expose).or(new.brought).unwrap_or_default();
        let (secret_id, entry) = digested(&self.store, id, text, new.lifetime)?;
        let added = self.rewrite_client(id, |client| {
            if !client.confidential {
                return Err(public_with("a secret"));
            }
            let now = self.store.now();
            client.secrets.retain(|each| now < each.expires_at);
            client.secrets.push(entry.clone());
            Ok(())
        });
        Ok(added.await?.map(|_| SecretAdded { id: secret_id, secret: minted }))
    }

    /// Removes a secret of a client: it does not authenticate any more. One that is not there is
    /// success. What was issued to the client stays; `revoke_client` ends that.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The removal is durable when this returns.
    pub async fn remove_client_secret(&self, id: &str, secret: SecretId) -> Result<()> {
        let removed = self.rewrite_client(id, |client| {
            client.secrets.retain(|each| each.id != secret.0);
            Ok(())
        });
        removed.await.map(drop)
    }

    /// 256 random bits in the style of personal access tokens, at its shortest.
    pub(super) fn mint_client_secret(&self) -> Result<Secret> {
        Format::shortest(self.policy.personal_format.style.clone()).mint(Tag::ClientSecret)
    }

    /// Which of a client's secrets this is, of those that another server has hashed. They are
    /// verified where that holds nobody up.
    #[cfg(feature = "hashed-secrets")]
    async fn foreign_match(
        &self,
        client: &Client,
        secret: &[u8],
        now: Timestamp,
    ) -> Result<Option<usize>> {
        let may_act = client.confidential && client.is_enabled();
        let secrets = client.secrets.iter().enumerate();
        let read = |(at, each): (usize, &ClientSecret)| match &each.digest {
            SecretDigest::Foreign(hash) if now < each.expires_at => {
                Some((at, Foreign::read(hash).ok()?))
            }
            _ => None,
        };
        let hashes: Vec<_> = secrets.filter(|_| may_act).filter_map(read).collect();
        if hashes.is_empty() {
            return Ok(None);
        }
        let secret = Zeroizing::new(secret.to_vec());
        let verify = move || {
            let found = hashes.iter().find(|(_, hash)| hash.verify(&secret));
            found.map(|(at, _)| *at)
        };
        self.verifying().run(verify).await
    }

    /// Digests a secret that was just seen under the active root key, if it is not yet. Whatever
    /// goes wrong is left to the next time: the answer that it comes with does not rest on it.
    async fn digest_anew(&self, mut held: Held<Client>, at: usize, secret: &[u8]) {
        let keyring = self.store.keyring();
        let Some((active, entry)) = keyring.active().zip(held.record.secrets.get_mut(at)) else {
            return;
        };
        if matches!(entry.digest, SecretDigest::Keyed { key_id, .. } if key_id == active.id()) {
            return;
        }
        entry.digest = keyed(active, &held.record.id, secret);
        if let Ok(mut change) = self.store.change()
            && change.replace(&held, &held.record, held.expires_at).is_ok()
        {
            drop(self.store.commit(change).await);
        }
    }
}

/// The digest of a secret under this root key.
fn keyed(key: &RootKey, client: &str, secret: &[u8]) -> SecretDigest {
    SecretDigest::Keyed { key_id: key.id(), digest: *key.client_secret(client, secret).as_bytes() }
}

/// A secret as it is stored, under the active root key.
pub(super) fn digested<B: Backend>(
    store: &Store<B>,
    client: &str,
    secret: &str,
    lifetime: Option<Duration>,
) -> Result<(SecretId, ClientSecret)> {
    if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&secret.len()) {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "a client secret is {} bytes, not within {TOKEN_BYTES_MIN} and {TOKEN_BYTES_MAX}",
                secret.len()
            ),
        ));
    }
    let mut id = [0; 8];
    random(&mut id)?;
    let keyring = store.keyring();
    let key =
        keyring.active().ok_or_else(|| Error::new(ErrorKind::Keyring, "the keyring is empty"))?;
    let now = store.now();
    let entry = ClientSecret {
        id,
        digest: keyed(key, client, secret.as_bytes()),
        created_at: store.wall(),
        expires_at: lifetime.map_or(Timestamp::NEVER, |lifetime| now.saturating_add(lifetime)),
    };
    Ok((SecretId(id), entry))
}
