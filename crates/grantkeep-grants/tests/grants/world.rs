//! A store in memory on a manual clock, and the shortest way to each kind of grant.

use grantkeep::{Confirmation, ManualClock, Memory, Store, Wait};
use grantkeep_grants::{
    Authorize, Claims, Grants, Introspection, Issued, Policy, Presented, Redeemed, RefreshRequest,
    Refreshed, Secret,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const CLIENT: &str = "client-1";
pub(crate) const SUBJECT: &str = "alice";
pub(crate) const REDIRECT: &str = "https://app.example/cb";
/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A key whose possession is proven.
pub(crate) fn key(number: u8) -> Confirmation {
    Confirmation::Jkt([number; 32])
}

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) grants: Grants<Memory>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::under(Policy::default())
    }

    pub(crate) fn under(policy: Policy) -> Self {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
        let store = Store::in_memory(clock.clone()).unwrap();
        Self { clock, grants: Grants::new(store, policy).unwrap() }
    }

    /// As RFC 6749 section 4.1.2 has it for codes: no answer is repeated.
    pub(crate) fn without_repeats() -> Self {
        Self::under(Policy { repeat_devices: false, ..Policy::default() })
    }

    /// Other grants over the same store.
    pub(crate) fn with(&self, policy: Policy) -> Grants<Memory> {
        Grants::new(self.grants.store().clone(), policy).unwrap()
    }

    pub(crate) fn code(&self) -> Secret {
        self.grants.authorize(authorize()).wait().unwrap()
    }

    pub(crate) fn redeem(&self, code: &Secret) -> Redeemed {
        self.grants.redeem(code.expose(), &presented()).wait().unwrap()
    }

    pub(crate) fn pair(&self) -> Issued {
        granted(self.redeem(&self.code()))
    }

    pub(crate) fn refresh(&self, token: &str) -> Refreshed {
        self.grants.refresh(token, &RefreshRequest::by(CLIENT)).wait().unwrap()
    }

    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        match self.grants.introspect(token).wait().unwrap() {
            Introspection::Active(claims) => Some(*claims),
            Introspection::Inactive => None,
        }
    }

    pub(crate) fn is_active(&self, token: &str) -> bool {
        self.claims(token).is_some()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.grants.store().now().into()
    }
}

/// What most tests authorize.
pub(crate) fn authorize() -> Authorize<'static> {
    Authorize::new(CLIENT, SUBJECT)
        .redirect_uri(REDIRECT)
        .scopes(["read", "write"])
        .pkce_s256(CHALLENGE)
        .nonce("nonce-1")
}

/// What redeems it.
pub(crate) fn presented() -> Presented<'static> {
    Presented::by(CLIENT).redirect_uri(REDIRECT).verifier(VERIFIER)
}

pub(crate) fn granted(redeemed: Redeemed) -> Issued {
    match redeemed {
        Redeemed::Granted(pair) => *pair,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) fn rotated(refreshed: Refreshed) -> Issued {
    match refreshed {
        Refreshed::Rotated(pair) => *pair,
        other => panic!("not rotated: {other:?}"),
    }
}

pub(crate) fn refresh_of(pair: &Issued) -> &str {
    pair.refresh.as_ref().unwrap().expose()
}

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const DAY_S: u64 = 24 * 3600;
