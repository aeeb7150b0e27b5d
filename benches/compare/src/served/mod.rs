//! HTTP handlers on a store behind a trait: what an authorization server does for a refresh and for
//! an introspection, once, so that nothing but the store is exchanged.
//!
//! 1. Routing, parsing, the client's authentication, and the answers are those of [`handlers`],
//!    whatever the store. Bodies are read by `grantkeep-axum`'s own reader, and errors are told as
//!    it tells them.
//! 2. A refresh spends the presented token, and issues its successor and an access token, in one
//!    step that is durable before it is answered. A spent one that comes again ends its family, and
//!    with it the family's access tokens.
//! 3. An introspection tells a client of its own tokens in force: the token is there and its family
//!    as well.
//!
//! The peers are asked for less than the store does: they have no epochs of subjects and clients,
//! no policies, and no index by expiry. No sweep goes on beside them.

mod grantkeep;
mod handlers;
mod postgres;
mod process;
mod redis;
mod texts;

pub(crate) use grantkeep::Embedded;
pub(crate) use postgres::{Postgres, SCHEMA};
pub(crate) use process::{Asked, answer};
pub(crate) use redis::Redis;

use futures_util::{StreamExt as _, stream};
use grantkeep_benches::served::subject;
use serde::Serialize;

/// Families that are opened at a time while a stock is made.
const OPENING: usize = 1_024;

/// A store of families and their tokens.
pub(crate) trait Tokens: Send + Sync + 'static {
    /// What a refresh is answered, as RFC 6749 section 5.1 says it.
    type Issued: Serialize;
    /// What is told of a token in force, as RFC 7662 section 2.2 says it.
    type Told: Serialize;

    /// Opens a family of the generator's client for a subject; its access token and its refresh
    /// token.
    fn open(&self, subject: &str) -> impl Future<Output = (String, String)> + Send;

    /// Rotates; `None` where nothing is granted.
    fn refresh(
        &self,
        client: &str,
        token: &str,
    ) -> impl Future<Output = Option<Self::Issued>> + Send;

    /// What an access token of this client stands for; `None` where it is not in force.
    fn introspect(
        &self,
        client: &str,
        token: &str,
    ) -> impl Future<Output = Option<Self::Told>> + Send;
}

/// Opens so many families.
pub(crate) async fn opened(tokens: &impl Tokens, count: usize) -> Vec<(String, String)> {
    let opening = (0..count).map(async |number| tokens.open(&subject(number)).await);
    stream::iter(opening).buffer_unordered(OPENING).collect().await
}

#[cfg(test)]
mod tests;
