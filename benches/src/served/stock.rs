//! What is presented: codes and tokens, made before the server starts.
//!
//! Texts are kept as they are sent, so the generator spends as little as it can on each request.

use super::CONNECTIONS;
use super::kind::Kind;
use crate::Random;
use futures_util::{StreamExt as _, stream};
use grantkeep::{Embedded, Store, Wait};
use grantkeep_grants::{
    Authorize, Creation, Grant, GrantType, Grants, NewClient, Policy, Profile, Secret,
};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

/// The client that asks for everything.
pub const CLIENT: &str = "load";
/// Its secret.
pub const SECRET: &str = "a-secret-of-the-load-generator";

/// What every grant is for.
pub const SCOPE: &str = "profile";

/// Families, and access tokens, that requests draw from.
pub const FAMILIES: usize = 20_000;
/// Codes a second that are more than any server here redeems.
const CODES_PER_SECOND: usize = 60_000;
/// Callers that wait for one sync together while the stock is made.
const MAKERS: usize = 1_024;

/// What there is to present.
#[derive(Debug)]
pub struct Stock {
    codes: Vec<String>,
    refresh: Vec<VecDeque<String>>,
    access: Vec<String>,
    random: Random,
}

/// The grants in the store of a directory.
pub fn grants(dir: &Path) -> Grants<Embedded> {
    Grants::new(Store::open(dir.join("store")).expect("a store"), policy()).expect("grants")
}

/// The policy of the profile that is served.
pub fn policy() -> Policy {
    Profile::hourfleet().expect("a shipped policy")
}

/// The futures' outputs, many of them at a time.
fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    stream::iter(futures).buffer_unordered(MAKERS).collect::<Vec<_>>().wait()
}

fn text(secret: &Secret) -> String {
    secret.expose().to_owned()
}

impl Stock {
    /// Makes a store in a directory, with the client and what a kind of request presents.
    pub fn make(dir: &Path, kind: Kind, lasts: Duration) -> Self {
        let grants = grants(dir);
        register(&grants);
        let stock = Self::of(&grants, kind, lasts);
        grants.store().close().expect("the store closes");
        stock
    }

    fn empty() -> Self {
        Self {
            codes: Vec::new(),
            refresh: vec![VecDeque::new(); CONNECTIONS],
            access: Vec::new(),
            random: Random::new(1),
        }
    }

    /// What refreshes and introspections present, of whatever store: an access token and a refresh
    /// token of each family.
    pub fn of_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut stock = Self::empty();
        for (at, (access, refresh)) in pairs.into_iter().enumerate() {
            stock.access.push(access);
            stock.put_refresh(at % CONNECTIONS, &refresh);
        }
        stock
    }

    /// What a kind of request presents.
    pub fn of(grants: &Grants<Embedded>, kind: Kind, lasts: Duration) -> Self {
        match kind {
            Kind::ClientCredentials => Self::empty(),
            Kind::Code => {
                // The first second is not measured.
                let count = CODES_PER_SECOND * (lasts.as_secs() as usize + 1);
                let codes = all((0..count).map(async |at| {
                    let subject = subject(at);
                    let lifetime = grants.policy().code_lifetime_max;
                    let asked = Authorize::new(CLIENT, &subject).lifetime(lifetime);
                    text(&grants.authorize(asked.scopes([SCOPE])).await.expect("a code"))
                }));
                Self { codes, ..Self::empty() }
            }
            Kind::Refresh | Kind::Introspect | Kind::Bearer => {
                Self::of_pairs(all((0..FAMILIES).map(async |at| open(grants, &subject(at)).await)))
            }
        }
    }

    /// The refresh token of the next family of a connection.
    pub fn take_refresh(&mut self, connection: usize) -> Option<String> {
        self.refresh.get_mut(connection)?.pop_front()
    }

    /// Notes the next refresh token of a family; false where there is no such connection.
    pub fn put_refresh(&mut self, connection: usize, token: &str) -> bool {
        let own = self.refresh.get_mut(connection);
        own.map(|own| own.push_back(token.to_owned())).is_some()
    }

    /// A code that nobody has presented.
    pub fn take_code(&mut self) -> Option<String> {
        self.codes.pop()
    }

    /// Any of the access tokens.
    pub fn any_access(&mut self) -> &str {
        let at = self.random.below(self.access.len() as u64) as usize;
        &self.access[at]
    }
}

/// Whose a family or a code of this number is.
pub fn subject(number: usize) -> String {
    format!("person-{number}")
}

/// Opens a family of this subject: its access token and its refresh token.
pub async fn open(grants: &Grants<Embedded>, subject: &str) -> (String, String) {
    let grant = Grant::new(CLIENT, subject).scopes([SCOPE]);
    let pair = grants.open(grant).await.expect("a pair");
    (text(&pair.access), text(&pair.refresh.expect("a refresh token")))
}

/// Registers the client.
pub fn register(grants: &Grants<Embedded>) {
    let client = NewClient::confidential(CLIENT).secret(SECRET).scopes([SCOPE]).grants([
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
    ]);
    let client = client.redirect_uri("https://app.example/cb");
    let created = grants.create_client(client).wait().expect("a client");
    assert!(matches!(created, Creation::Created(_)), "the client is there already");
}
