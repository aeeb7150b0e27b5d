//! Clients: who may ask for grants, RFC 6749 section 2.

use super::fence::Fence;
use super::list::{Cursor, Listing};
use super::record::{Held, Record, check_optional, check_text};
use super::{Store, bytes};
use crate::backend::{Backend, Kind, Term, Terms};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A client has at most this many secrets at one time: an old and a new one while they are rolled
/// over, and some to spare.
pub const CLIENT_SECRETS_MAX: usize = 16;

/// A client has at most this many redirect URIs.
pub const REDIRECT_URIS_MAX: usize = 64;

/// A hash of another server is at most this long, in bytes.
pub const FOREIGN_HASH_BYTES_MAX: usize = 512;

/// By what a client's secret is recognized.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretDigest {
    /// A keyed digest of it, together with the client's id.
    Keyed {
        /// The root key it was digested under.
        key_id: u32,
        /// The digest.
        #[serde(with = "bytes::fixed")]
        digest: [u8; 32],
    },
    /// What another server made of it, until it is seen for the first time: a PHC string, or the
    /// modular crypt format of bcrypt.
    Foreign(String),
}

impl fmt::Debug for SecretDigest {
    /// Without the digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyed { key_id, .. } => write!(f, "Keyed({key_id})"),
            Self::Foreign(_) => f.write_str("Foreign"),
        }
    }
}

/// One of a client's secrets: its digest, never its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// By what it is removed.
    #[serde(with = "bytes::fixed")]
    pub id: [u8; 8],
    /// Its digest.
    pub digest: SecretDigest,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it stops being accepted, by the store's time; [`Timestamp::NEVER`] for one that is
    /// removed by hand.
    pub expires_at: Timestamp,
}

impl fmt::Debug for ClientSecret {
    /// Without the digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret")
            .field("id", &data_encoding::HEXLOWER.encode(&self.id))
            .field("digest", &self.digest)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Whether a client may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientState {
    /// It may.
    Enabled,
    /// Somebody disabled it.
    Disabled {
        /// Since when, by the wall clock.
        at: Timestamp,
    },
    /// Nobody disabled it, as far as the backup knows that the store was restored from: it may have
    /// been disabled, or may have lost a secret, after the backup was made. It waits until somebody
    /// enables it.
    AwaitsReview {
        /// When the store was restored, by the wall clock.
        since: Timestamp,
    },
}

/// A registered client. Its row never expires.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it can keep a secret (RFC 6749 section 2.1).
    pub confidential: bool,
    /// Its secrets; none for a public client.
    pub secrets: Vec<ClientSecret>,
    /// Where it may be redirected to.
    pub redirect_uris: Vec<String>,
    /// The `grant_type`s it may use, separated by spaces.
    pub grant_types: String,
    /// The scopes it may be granted, separated by spaces.
    pub scopes: String,
    /// Whether it may be redirected to `localhost` under any port (RFC 8252 section 8.3).
    pub loopback: bool,
    /// Whether it must use PKCE, whatever the policy says.
    pub require_pkce: bool,
    /// The name of the policy that its grants are under; `None` for the one that all others have.
    pub policy: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it may act.
    pub state: ClientState,
    /// The store's fence when it was created or enabled last.
    pub fence: Option<Fence>,
    /// How far the store's time had been set back when the ends of the secrets were written.
    pub set_back_ms: u64,
}

impl fmt::Debug for Client {
    /// How many secrets and redirect URIs there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("secrets", &self.secrets.len())
            .field("redirect_uris", &self.redirect_uris.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// True if it may act: it is neither disabled, nor does it wait for a review.
    pub fn is_enabled(&self) -> bool {
        self.state == ClientState::Enabled
    }

    /// The id under which the client's row is filed.
    pub fn row_id(client: &str) -> Digest {
        Digest::of_name("client record", client.as_bytes())
    }
}

/// What all clients are listed by.
fn all() -> Term {
    let digest = Digest::of_name("list", b"clients");
    Term(digest.as_bytes().first_chunk().copied().unwrap_or_default())
}

impl Record for Client {
    const KIND: Kind = Kind::revised(8);
    const NAME: &'static str = "client";
    /// In version 2 a client was disabled since a time or was not, and nothing told a restore from
    /// a decision; it had no policy of its own, no demand for PKCE, and no word on `localhost`. In
    /// version 3 every secret was digested here.
    const FORMAT: u8 = 4;

    fn terms(&self) -> Terms {
        Terms::one(all())
    }

    fn check(&self) -> Result<()> {
        check_text("a client id", &self.id)?;
        check_text("a client name", &self.name)?;
        check_text("a list of grant types", &self.grant_types)?;
        check_text("a list of scopes", &self.scopes)?;
        check_optional("the name of a policy", self.policy.as_ref())?;
        for uri in &self.redirect_uris {
            check_text("a redirect URI", uri)?;
        }
        let (uris, secrets) = (self.redirect_uris.len(), self.secrets.len());
        if uris > REDIRECT_URIS_MAX {
            return Err(Error::limit("a client", uris, REDIRECT_URIS_MAX, "redirect URIs"));
        }
        if secrets > CLIENT_SECRETS_MAX {
            return Err(Error::limit("a client", secrets, CLIENT_SECRETS_MAX, "secrets"));
        }
        for secret in &self.secrets {
            if let SecretDigest::Foreign(hash) = &secret.digest
                && hash.len() > FOREIGN_HASH_BYTES_MAX
            {
                let max = FOREIGN_HASH_BYTES_MAX;
                return Err(Error::limit("the hash of a secret", hash.len(), max, "bytes"));
            }
        }
        Ok(())
    }
}

impl<B: Backend> Store<B> {
    /// The client with this id, disabled or not.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn client(&self, client: &str) -> Result<Option<Held<Client>>> {
        let held = self.get(Client::row_id(client)).await?;
        Ok(held.map(|held| self.judged(held)))
    }

    /// All clients, in no order that means anything, at most `limit` a page (up to
    /// [`PAGE_ROWS_MAX`](crate::backend::PAGE_ROWS_MAX)).
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn clients(&self, after: Option<Cursor>, limit: usize) -> Result<Listing<Client>> {
        let mut listing = self.list_by(all(), after, limit).await?;
        listing.records = listing.records.into_iter().map(|held| self.judged(held)).collect();
        Ok(listing)
    }

    /// How far the store's time was set back by restores.
    pub fn set_back_ms(&self) -> u64 {
        self.fence().map_or(0, |fence| fence.set_back_ms())
    }

    /// A client from before a restore waits until somebody enables it: see
    /// [`ClientState::AwaitsReview`]. One that had been disabled before stays as it was, since
    /// enabling it says as much.
    /// The ends of its secrets come no later on the wall clock if the store's time was set back.
    fn judged(&self, mut held: Held<Client>) -> Held<Client> {
        let set_back_ms = self.set_back_ms();
        let by = set_back_ms.saturating_sub(held.record.set_back_ms);
        held.record.set_back_ms = set_back_ms;
        for secret in held.record.secrets.iter_mut().filter(|it| it.expires_at != Timestamp::NEVER)
        {
            secret.expires_at = secret.expires_at.saturating_sub(Duration::from_millis(by));
        }
        if let Some(fence) = self.fence()
            && held.record.fence != Some(fence)
        {
            held.record.state = match held.record.state {
                ClientState::Enabled | ClientState::AwaitsReview { .. } => {
                    ClientState::AwaitsReview { since: fence.at() }
                }
                disabled @ ClientState::Disabled { .. } => disabled,
            };
        }
        held
    }
}
