//! [Grantkeep](grantkeep) as the authorizer, the issuer, and the registrar of
//! [oxide-auth](oxide_auth) 0.6, and of oxide-auth-async 0.2: codes, tokens, and clients in a
//! crash-safe store in place of its maps in memory.
//!
//! ```
//! use grantkeep::{Store, Wait};
//! use grantkeep_grants::{GrantType, Grants, NewClient, Policy};
//! use grantkeep_oxide::Oxide;
//! use oxide_auth::endpoint::{OwnerConsent, Solicitation};
//! use oxide_auth::frontends::simple::endpoint::{FnSolicitor, Generic, Vacant};
//! use oxide_auth::frontends::simple::request::{Request, Response, Status};
//! use std::collections::HashMap;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("tokens");
//! let grants = Grants::new(Store::open(&path)?, Policy::default())?;
//! let client = NewClient::confidential("app-1")
//!     .redirect_uri("https://app.example/cb")
//!     .grants([GrantType::AuthorizationCode, GrantType::RefreshToken])
//!     .scopes(["read", "write"]);
//! grants.create_client(client).wait()?;
//!
//! let oxide = Oxide::new(grants);
//! let endpoint = || Generic {
//!     registrar: oxide.registrar(),
//!     authorizer: oxide.authorizer(),
//!     issuer: oxide.issuer(),
//!     solicitor: FnSolicitor(|_: &mut Request, asked: Solicitation<'_>| {
//!         assert_eq!(asked.pre_grant().client_id, "app-1");
//!         OwnerConsent::<Response>::Authorized("alice".to_owned())
//!     }),
//!     scopes: Vacant,
//!     response: Vacant,
//! };
//! let query = [("response_type", "code"), ("client_id", "app-1")];
//! let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
//! let request = Request { query: HashMap::from(query), ..Request::default() };
//! let response = endpoint().authorization_flow().execute(request).map_err(|_| "no answer")?;
//! assert_eq!(response.status, Status::Redirect);
//! assert!(response.location.is_some_and(|url| url.as_str().contains("code=")));
//! # oxide.grants().store().close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does about what the traits hide
//!
//! - *A code is burnt by `extract`, before anything is checked, and `issue` is not told of it.*
//!   [`Oxide`] remembers in between which grant came of which code, so that a replay of the code,
//!   also much later, revokes what it gave (RFC 6749 section 4.1.2). Up to [`CLAIMS_MAX`] codes of
//!   one client may be in between; beyond, `extract` fails before it burns one. Two codes for one
//!   grant, alike in owner, client, redirect URI, scope, and time to the nanosecond, may be taken
//!   for each other.
//! - *A code stands for its grant as it was,* its extensions and its time to the nanosecond
//!   included, sealed at rest. It is extracted after its time as well, and the flow judges; but
//!   not past the policy's `code_lifetime_max`, whatever its time says.
//! - *There is one time for an access token and its refresh token.* Tokens live as the policy
//!   says, not as the grant does: `recover_token` answers the expiry of the access token,
//!   `recover_refresh` that of the refresh token. A grant whose time has passed is not issued for.
//! - *A narrowed scope* is that of one access token, and not of the next.
//! - *Reuse of a refresh token* is seen by `recover_refresh`, which revokes the family and answers
//!   `None`: the client is told `invalid_grant`. The predecessor within the grace period is
//!   answered once more, and `refresh` then gives the same successor.
//! - *A grant that came of no code* looks like that of a code which is not remembered any more.
//!   Nothing is issued for it, unless [`OxideOptions::client_credentials`] says so, or
//!   [`OxideOptions::refresh_without_code`].
//! - *The client credentials flow asks for a refresh token and drops it.* None is made, unless
//!   [`OxideOptions::refresh_without_code`] says so.
//! - *Errors are `()`.* [`OxideOptions::on_error`] is told what they were.
//!
//! A token that was not issued through these traits, or is bound to a key, is not recovered by
//! them: they have no place for the proof.
//!
//! # Clients
//!
//! [`StoreRegistrar`] knows the clients of [`Grants::create_client`](grantkeep_grants::Grants):
//! exact redirect URIs, scopes among their own (all of them by default), secrets in constant time.
//! A registered client is held to its grant types by the grants themselves, in every flow. Where
//! several redirect URIs are registered, a request that names none gets no code (RFC 6749 section
//! 3.1.2.3). Another registrar may stand in its place; the grants then know no client, and hold
//! none to its grant types.
//!
//! # Blocking and async
//!
//! The types for oxide-auth block the calling thread. Those for oxide-auth-async (feature `async`,
//! on by default) do not, and complete on any executor.

#[cfg(feature = "async")]
mod asynchronous;
mod blocking;
mod core;
mod envelope;
mod oxide;
mod pending;
mod registration;
mod tagging;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncAuthorizer, AsyncIssuer, AsyncRegistrar};
pub use blocking::{StoreAuthorizer, StoreIssuer, StoreRegistrar};
pub use oxide::{Oxide, OxideOptions};
pub use pending::CLAIMS_MAX;
