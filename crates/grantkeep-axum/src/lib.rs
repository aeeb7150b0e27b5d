//! Pieces of an authorization server on [axum], over a Grantkeep store: endpoints, extractors, and
//! the answers of their RFCs.
//!
//! What a server author adds is who its people are, how they are asked, and where it listens:
//!
//! ```
//! use axum::Router;
//! use grantkeep::Store;
//! use grantkeep_axum::{Consent, Granted};
//! use grantkeep_grants::{Grants, Policy};
//!
//! # let directory = tempfile::tempdir()?;
//! # let store = Store::open(directory.path().join("tokens"))?;
//! let grants = Grants::new(store, Policy::default())?;
//! let oauth = grantkeep_axum::oauth(grants)
//!     .issuer("https://as.example")
//!     .password(|name, password| async move {
//!         Ok((name == "alice" && password.as_str() == "wonderland").then(|| "alice".to_owned()))
//!     })
//!     .consent(|asking| async move {
//!         // A page to sign in and one to ask, in a real server.
//!         let _ = asking.scopes;
//!         Consent::Granted(Granted::by("alice"))
//!     });
//! let app: Router = Router::new().merge(oauth);
//! # drop(app);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The server says where a request comes from, so that guesses are limited: it is served with
//! [`axum::extract::ConnectInfo`] of a socket address.

// Each uses those before it: rejection, params, guesses, client, bearer, paths, asking, oauth and
// the endpoints.
mod admin;
mod asking;
mod authorize;
mod bearer;
mod client;
mod device;
mod guesses;
mod introspect;
mod metadata;
mod oauth;
mod params;
mod paths;
mod push;
mod rejection;
mod revoke;
mod token;
mod wanted;

pub use admin::{Admin, OPERATOR_SECRET_CHARS_MIN, admin, check_operator_secret};
pub use asking::{Asking, Consent, Granted};
pub use bearer::{Bearer, Resource};
pub use client::AuthenticatedClient;
pub use guesses::{
    Guess, Guessed, Guesses, PASSWORDS_AT_ONCE, PENDING_AT_ONCE, PENDING_ROW_BYTES, SLOTS, Whose,
};
pub use introspect::INTROSPECTION_GRANT;
pub use oauth::{OAuth, oauth};
pub use params::{BODY_BYTES_MAX, PARAMETERS_MAX, Params};
pub use paths::Paths;
pub use rejection::{Rejection, json};

/// The document's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/server.md")]
struct ServerDocument;
