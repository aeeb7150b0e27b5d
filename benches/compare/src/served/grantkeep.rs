//! The handlers' store: the grants, as any server asks them.

use super::Tokens;
use grantkeep::Store;
use grantkeep_benches::served::{open, policy, register};
use grantkeep_grants::{Grants, Introspection, Issued, Policy, RefreshRequest, Refreshed};
use std::path::Path;
use std::time::Duration;

/// What is said if a decision fails.
const DECIDES: &str = "the store decides";

pub(crate) struct Embedded(Grants);

impl Embedded {
    /// The store of a directory. The grace for lost answers, which the peers do not have, is none.
    pub(crate) fn open(dir: &Path) -> Self {
        let store = Store::open(dir.join("store")).expect("the store opens");
        let policy = Policy { refresh_grace: Duration::ZERO, ..policy() };
        Self(Grants::new(store, policy).expect("the policy is in order"))
    }

    /// A new store in a directory, with the client in it.
    pub(crate) fn create(dir: &Path) -> Self {
        let made = Self::open(dir);
        register(&made.0);
        made
    }

    /// Closes it, so that another process may open it.
    pub(crate) fn close(self) {
        self.0.store().close().expect("the store closes");
    }
}

impl Tokens for Embedded {
    type Issued = Box<Issued>;
    type Told = Introspection;

    async fn open(&self, subject: &str) -> (String, String) {
        open(&self.0, subject).await
    }

    async fn refresh(&self, client: &str, token: &str) -> Option<Box<Issued>> {
        match self.0.refresh(token, &RefreshRequest::by(client)).await.expect(DECIDES) {
            Refreshed::Rotated(issued) => Some(issued),
            _ => None,
        }
    }

    async fn introspect(&self, client: &str, token: &str) -> Option<Introspection> {
        match self.0.introspect(token).await.expect(DECIDES) {
            Introspection::Active(claims) if claims.client.as_deref() == Some(client) => {
                Some(Introspection::Active(claims))
            }
            _ => None,
        }
    }
}
