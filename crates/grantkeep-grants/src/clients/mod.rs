//! Clients: registered, changed, disabled, and deleted in the store that holds their grants.

#[cfg(feature = "transfer")]
mod arriving;
mod authenticate;
mod decide;
#[cfg(feature = "hashed-secrets")]
mod foreign;
mod grant_type;
mod info;
mod new;
mod redirect;
#[cfg(feature = "hashed-secrets")]
mod verifying;

#[cfg(feature = "transfer")]
pub(crate) use arriving::{ArrivingClient, ArrivingSecret};
pub use authenticate::{Authenticated, NewSecret, SecretAdded, SecretId};
#[cfg(feature = "hashed-secrets")]
pub use foreign::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, BCRYPT_COST_MAX,
    PBKDF2_ITERATIONS_MAX,
};
pub use grant_type::{GRANT_TYPE_CHARS_MAX, GrantType, OtherGrantType};
pub use info::{ClientInfo, ClientRefusal, ClientState, SecretInfo};
pub use new::NewClient;
#[cfg(feature = "hashed-secrets")]
pub(crate) use verifying::Verifying;
#[cfg(feature = "hashed-secrets")]
pub use verifying::{VERIFYING_QUEUE_MAX, VERIFYING_THREADS_MAX};

use crate::grants::Grants;
use crate::request::listed::Listed;
use crate::request::scope::{Scopes, join};
use crate::text::secret::Secret;
use authenticate::digested;
pub(crate) use decide::Registered;
use decide::{Deletion, Disabling, Edit, Enabling, Registration};
use grant_type::{grant_types, read_grant_types};
use grantkeep::backend::Backend;
use grantkeep::{Client, ClientState as Stored, Cursor, Error, ErrorKind, Result};
use new::{check_id, check_redirects, fresh_id};
use std::fmt;

/// A client that was just created.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClientCreated {
    /// The client.
    pub client: ClientInfo,
    /// Its secret, to be shown once; `None` for a public client, and where one was brought.
    pub secret: Option<Secret>,
}

/// The answer to creating a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Creation {
    /// It is registered.
    Created(Box<ClientCreated>),
    /// The id is that of another client, which is left alone.
    Taken,
}

/// What of a client can be changed; see [`Grants::update_client`].
#[derive(Clone, PartialEq, Eq)]
pub struct ClientEdit {
    /// What people call it.
    pub name: String,
    /// Where it may be redirected to; as [`NewClient::redirect_uri`].
    pub redirect_uris: Vec<String>,
    /// The grants it may use.
    pub grants: Vec<GrantType>,
    /// The scopes it may be granted; one text may name several, separated by spaces.
    pub scopes: Vec<String>,
    /// Whether it may be redirected to `localhost` under any port; as [`NewClient::loopback`].
    pub loopback: bool,
    /// Whether it must use PKCE; as [`NewClient::require_pkce`].
    pub require_pkce: bool,
    /// The name of the policy that its grants are under; as [`NewClient::policy`]. What was issued
    /// keeps the lifetime that it was issued with.
    pub policy: Option<String>,
}

impl fmt::Debug for ClientEdit {
    /// How many redirect URIs there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEdit")
            .field("name", &self.name)
            .field("redirect_uris", &self.redirect_uris.len())
            .field("grants", &self.grants)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Grants<B> {
    /// Registers a client. A confidential one gets a secret of 256 random bits unless it brings
    /// its own.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for an id or a brought secret out of bounds, a redirect URI that is
    /// not allowed, a malformed scope, or a public client with a secret or the client credentials
    /// grant; [`ErrorKind::Missing`] for a policy that is not registered; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The client is durable when it is answered.
    pub async fn create_client(&self, new: NewClient<'_>) -> Result<Creation> {
        let id = match new.id {
            Some(id) => id.to_owned(),
            None => fresh_id()?,
        };
        let mut client = self.client_of(id, &new)?;
        let secret = self.first_secret(&mut client, &new)?;
        let info = ClientInfo::of(client.clone(), &self.store);
        Ok(match self.decide(&mut Registration { client, anew: true }).await? {
            Registered::Done => Creation::Created(Box::new(ClientCreated { client: info, secret })),
            Registered::Taken | Registered::Deleted => Creation::Taken,
        })
    }

    /// The record of a new client, without secrets.
    fn client_of(&self, id: String, new: &NewClient<'_>) -> Result<Client> {
        check_id(&id)?;
        let mut client = Client {
            name: new.name.to_owned(),
            confidential: new.confidential,
            secrets: Vec::new(),
            redirect_uris: new.redirect_uris.iter().map(|&uri| uri.to_owned()).collect(),
            grant_types: grant_types(&new.grants),
            scopes: Scopes::read(&new.scopes)?.into_text(),
            loopback: new.loopback,
            require_pkce: new.require_pkce,
            policy: new.policy.map(str::to_owned),
            created_at: self.store.wall(),
            state: Stored::Enabled,
            fence: self.store.fence(),
            set_back_ms: self.store.set_back_ms(),
            id,
        };
        self.check_client(&mut client)?;
        Ok(client)
    }

    /// The client with this id, disabled or not; `None` if there is none.
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn client(&self, id: &str) -> Result<Option<ClientInfo>> {
        let held = self.store.client(id).await?;
        Ok(held.map(|held| ClientInfo::of(held.record, &self.store)))
    }

    /// The next `limit` clients after `cursor` (at most
    /// [`PAGE_ROWS_MAX`](grantkeep::backend::PAGE_ROWS_MAX)), disabled ones among them, in no
    /// order that means anything.
    ///
    /// # Errors
    /// As [`Backend::list`].
    pub async fn clients(
        &self,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Listed<ClientInfo>> {
        let page = self.store.clients(cursor, limit).await?;
        let items =
            page.records.into_iter().map(|held| ClientInfo::of(held.record, &self.store)).collect();
        Ok(Listed { items, next: page.next })
    }

    /// Changes a client's name, redirect URIs, grants, scopes, demand for PKCE, or policy, and
    /// answers it as it stands then; `None` if there is none of this id. `edit` is called again,
    /// with the client as it then is, if somebody else changed it meanwhile. What was issued keeps
    /// the scopes that it was issued with.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] and [`ErrorKind::Missing`] as [`Grants::create_client`], also for a
    /// policy that the record named before and that is not registered any more; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The change is durable when it is answered.
    pub async fn update_client(
        &self,
        id: &str,
        mut edit: impl FnMut(&mut ClientEdit) + Send,
    ) -> Result<Option<ClientInfo>> {
        self.rewrite_client(id, |client| {
            let mut edited = ClientEdit {
                name: std::mem::take(&mut client.name),
                redirect_uris: std::mem::take(&mut client.redirect_uris),
                grants: read_grant_types(&client.grant_types),
                scopes: client.scopes.split_whitespace().map(str::to_owned).collect(),
                loopback: client.loopback,
                require_pkce: client.require_pkce,
                policy: client.policy.take(),
            };
            edit(&mut edited);
            client.name = edited.name;
            client.redirect_uris = edited.redirect_uris;
            client.grant_types = grant_types(&edited.grants);
            client.scopes = Scopes::read(&join(&edited.scopes))?.into_text();
            client.loopback = edited.loopback;
            client.require_pkce = edited.require_pkce;
            client.policy = edited.policy;
            self.check_client(client)
        })
        .await
    }

    /// Disables a client: in one write everything that was issued to it is revoked, and nothing
    /// more is issued to it, whatever was under way. `None` if there is no such client.
    ///
    /// It does not authenticate any more; issuing to it answers [`ErrorKind::Disabled`], its
    /// codes and refresh tokens are `Revoked`, and its access tokens inactive.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// All of this is durable when it is answered.
    pub async fn disable_client(&self, id: &str) -> Result<Option<ClientInfo>> {
        self.decide(&mut Disabling { id }).await
    }

    /// Enables a client again: it authenticates and is issued to. What was revoked when it was
    /// disabled stays revoked. `None` if there is no such client. After a restore every client of
    /// the backup waits ([`ClientState::AwaitsReview`]) until this says that it
    /// is still to be trusted.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The change is durable when it is answered.
    pub async fn enable_client(&self, id: &str) -> Result<Option<ClientInfo>> {
        self.decide(&mut Enabling { id }).await
    }

    /// Deletes a client: as [`Grants::disable_client`], and its record is gone. Its id may be
    /// given to another client, which inherits nothing. One that is not there is success.
    ///
    /// # Errors
    /// As [`Backend::commit`].
    ///
    /// # Durability
    /// The deletion is durable when this returns.
    pub async fn delete_client(&self, id: &str) -> Result<()> {
        self.decide(&mut Deletion { id }).await
    }

    /// Changes a client's record, again and again until nobody else did meanwhile.
    async fn rewrite_client(
        &self,
        id: &str,
        rewrite: impl FnMut(&mut Client) -> Result<()> + Send,
    ) -> Result<Option<ClientInfo>> {
        self.decide(&mut Edit { id, rewrite }).await
    }

    /// Checks what the grants know better than the store: redirect URIs, what a public client is,
    /// and which policies there are.
    fn check_client(&self, client: &mut Client) -> Result<()> {
        check_redirects(&mut client.redirect_uris, client.confidential)?;
        let own = |grant: GrantType| read_grant_types(&client.grant_types).contains(&grant);
        if !client.confidential && own(GrantType::ClientCredentials) {
            return Err(public_with("the client credentials grant (RFC 6749 section 4.4)"));
        }
        self.policy_for(Some(client)).map(drop)
    }

    /// Gives a new client its first secret; answers it where it is minted here.
    fn first_secret(&self, client: &mut Client, new: &NewClient<'_>) -> Result<Option<Secret>> {
        let minted = match (new.confidential, new.secret) {
            (true, None) => Some(self.mint_client_secret()?),
            (false, Some(_)) => return Err(public_with("a secret")),
            (true, Some(_)) | (false, None) => None,
        };
        if let Some(text) = minted.as_ref().map(Secret::expose).or(new.secret) {
            client.secrets.push(digested(&self.store, &client.id, text, None)?.1);
        }
        Ok(minted)
    }
}

fn public_with(what: &str) -> Error {
    let message = format!("a public client cannot have {what}: register it as confidential");
    Error::new(ErrorKind::Limit, message)
}
