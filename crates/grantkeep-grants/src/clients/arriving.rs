//! Clients that come from another server, with their secrets as texts or hashed.

use super::NewClient;
use super::authenticate::digested;
use super::decide::{Registered, Registration};
use super::public_with;
use crate::grants::Grants;
use grantkeep::backend::Backend;
use grantkeep::{Client, ClientSecret, Error, ErrorKind, Result, SecretDigest, Timestamp, random};

/// So many hashed secrets may a client come with: each is verified in turn while none of them has
/// been seen.
const HASHED_SECRETS_MAX: usize = 4;

/// A client that arrives, and its secrets.
pub(crate) struct ArrivingClient<'a> {
    pub(crate) id: &'a str,
    pub(crate) new: NewClient<'a>,
    pub(crate) secrets: Vec<ArrivingSecret<'a>>,
    pub(crate) created_at: Option<Timestamp>,
}

/// One of its secrets, and until when it is accepted, by the store's time.
pub(crate) enum ArrivingSecret<'a> {
    Text(&'a str, Timestamp),
    Hash(&'a str, Timestamp),
}

impl<B: Backend> Grants<B> {
    /// The record of a client that arrives.
    ///
    /// # Errors
    /// As [`Grants::create_client`]; [`ErrorKind::Limit`] for a hash that is none, or asks for more
    /// than is allowed.
    pub(crate) fn arrived(&self, arriving: &ArrivingClient<'_>) -> Result<Client> {
        let mut client = self.client_of(arriving.id.to_owned(), &arriving.new)?;
        client.created_at = arriving.created_at.unwrap_or(client.created_at);
        if !client.confidential && !arriving.secrets.is_empty() {
            return Err(public_with("a secret"));
        }
        let mut hashed = 0;
        for secret in &arriving.secrets {
            let entry = match *secret {
                ArrivingSecret::Text(text, expires_at) => {
                    let (_, entry) = digested(&self.store, arriving.id, text, None)?;
                    ClientSecret { expires_at, ..entry }
                }
                ArrivingSecret::Hash(hash, expires_at) => {
                    hashed += 1;
                    check_hash(hash)?;
                    let mut id = [0; 8];
                    random(&mut id)?;
                    let digest = SecretDigest::Foreign(hash.to_owned());
                    ClientSecret { id, digest, created_at: client.created_at, expires_at }
                }
            };
            client.secrets.push(entry);
        }
        if hashed > HASHED_SECRETS_MAX {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a client has {hashed} hashed secrets, more than the limit of \
                     {HASHED_SECRETS_MAX}: leave out those that it does not use"
                ),
            ));
        }
        Ok(client)
    }

    /// Registers it, unless there is a client of its id, or was one that was deleted.
    pub(crate) async fn register_arrived(&self, client: Client) -> Result<Registered> {
        self.decide(&mut Registration { client, anew: false }).await
    }
}

#[cfg(feature = "hashed-secrets")]
fn check_hash(hash: &str) -> Result<()> {
    let told = |why| Error::new(ErrorKind::Limit, format!("the hash of a secret {why}"));
    super::foreign::Foreign::read(hash).map(drop).map_err(told)
}

#[cfg(not(feature = "hashed-secrets"))]
fn check_hash(_: &str) -> Result<()> {
    Err(Error::new(
        ErrorKind::Limit,
        "the hash of a secret cannot be verified by this build: build it with the feature \
         `hashed-secrets`",
    ))
}
