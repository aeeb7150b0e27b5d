//! What is presented: codes and tokens, made before the server starts.
//!
//! Texts are kept as they are sent, so the generator spends as little as it can on each request.

use crate::CONNECTIONS;
use crate::kind::Kind;
use futures_util::{StreamExt as _, stream};
use grantkeep::{Embedded, Store, Wait};
use grantkeep_benches::Random;
use grantkeep_grants::{
    Authorize, Creation, Grant, GrantType, Grants, NewClient, Policy, Profile, Secret,
};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

/// The client that asks for everything.
pub(crate) const CLIENT: &str = "load";
pub(crate) const SECRET: &str = "a-secret-of-the-load-generator";

/// Families, and access tokens, that requests draw from.
const FAMILIES: usize = 20_000;
/// Codes a second that are more than any server here redeems.
const CODES_PER_SECOND: usize = 60_000;
/// Callers that wait for one sync together while the stock is made.
const MAKERS: usize = 1_024;

/// What there is to present.
#[derive(Debug)]
pub(crate) struct Stock {
    codes: Vec<String>,
    refresh: Vec<VecDeque<String>>,
    access: Vec<String>,
    random: Random,
}

/// The grants in the store of a directory.
pub(crate) fn grants(dir: &Path) -> Grants<Embedded> {
    Grants::new(Store::open(dir.join("store")).expect("a store"), policy()).expect("grants")
}

/// The policy of the profile that is served.
pub(crate) fn policy() -> Policy {
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
    pub(crate) fn make(dir: &Path, kind: Kind, lasts: Duration) -> Self {
        let grants = grants(dir);
        register(&grants);
        let mut stock = Self {
            codes: Vec::new(),
            refresh: Vec::new(),
            access: Vec::new(),
            random: Random::new(1),
        };
        stock.fill(&grants, kind, lasts);
        grants.store().close().expect("the store closes");
        stock
    }

    /// What a kind of request presents.
    pub(crate) fn of(grants: &Grants<Embedded>, kind: Kind, lasts: Duration) -> Self {
        let mut stock = Self {
            codes: Vec::new(),
            refresh: Vec::new(),
            access: Vec::new(),
            random: Random::new(2),
        };
        stock.fill(grants, kind, lasts);
        stock
    }

    fn fill(&mut self, grants: &Grants<Embedded>, kind: Kind, lasts: Duration) {
        self.refresh = vec![VecDeque::new(); CONNECTIONS];
        match kind {
            Kind::ClientCredentials => {}
            Kind::Code => {
                // The first second is not measured.
                let count = CODES_PER_SECOND * (lasts.as_secs() as usize + 1);
                self.codes = all((0..count).map(async |at| {
                    let subject = format!("person-{at}");
                    let lifetime = grants.policy().code_lifetime_max;
                    let asked = Authorize::new(CLIENT, &subject).lifetime(lifetime);
                    text(&grants.authorize(asked.scopes(["profile"])).await.expect("a code"))
                }));
            }
            Kind::Refresh | Kind::Introspect | Kind::Bearer => {
                let opened = all((0..FAMILIES).map(async |at| {
                    let subject = format!("person-{at}");
                    let grant = Grant::new(CLIENT, &subject).scopes(["profile"]);
                    grants.open(grant).await.expect("a pair")
                }));
                for (at, pair) in opened.iter().enumerate() {
                    self.access.push(text(&pair.access));
                    let own = self.refresh.get_mut(at % CONNECTIONS).expect("a connection");
                    own.extend(pair.refresh.as_ref().map(text));
                }
            }
        }
    }

    /// The refresh token of the next family of a connection.
    pub(crate) fn take_refresh(&mut self, connection: usize) -> Option<String> {
        self.refresh.get_mut(connection)?.pop_front()
    }

    /// Notes the next refresh token of a family; false where there is no such connection.
    pub(crate) fn put_refresh(&mut self, connection: usize, token: &str) -> bool {
        let own = self.refresh.get_mut(connection);
        own.map(|own| own.push_back(token.to_owned())).is_some()
    }

    /// A code that nobody has presented.
    pub(crate) fn take_code(&mut self) -> Option<String> {
        self.codes.pop()
    }

    /// Any of the access tokens.
    pub(crate) fn any_access(&mut self) -> &str {
        let at = self.random.below(self.access.len() as u64) as usize;
        &self.access[at]
    }
}

fn register(grants: &Grants<Embedded>) {
    let client = NewClient::confidential(CLIENT).secret(SECRET).scopes(["profile"]).grants([
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
    ]);
    let client = client.redirect_uri("https://app.example/cb");
    let created = grants.create_client(client).wait().expect("a client");
    assert!(matches!(created, Creation::Created(_)), "the client is there already");
}
