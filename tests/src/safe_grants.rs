//! Guards of what the grants promise on their own: nothing is issued past a revocation, an empty
//! value never means everything, retries are counted.

use grantkeep::{Memory, Store, SystemClock, Wait as _};
use grantkeep_grants::{
    Grant, Grants, Introspection, Minter, MinterError, Minting, Policy, RefreshRequest, Refreshed,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

fn grants() -> Grants<Memory> {
    let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
    Grants::new(store, Policy::default()).unwrap()
}

fn is_active(grants: &Grants<Memory>, token: &str) -> bool {
    matches!(grants.introspect(token).wait().unwrap(), Introspection::Active(_))
}

/// Revokes the subject once, while a token for it is being made: between the look at how it stands
/// and the commit.
#[derive(Debug, Default)]
struct Overtaking {
    by: OnceLock<Grants<Memory>>,
    done: AtomicBool,
}

impl Minter for Overtaking {
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
        if !self.done.swap(true, Ordering::SeqCst) {
            let grants = self.by.get().ok_or("no grants")?;
            grants.revoke_subject(minting.subject).wait()?;
        }
        Ok(None)
    }
}

/// P6: what is issued is not from before a revocation that was answered before it.
///
/// # Panics
/// Where a pair is answered that a revocation overtook.
pub fn nothing_is_issued_past_a_revocation() {
    let (grants, minter) = (grants(), Arc::new(Overtaking::default()));
    minter.by.set(grants.clone()).expect("set once");
    let overtaken = grants.clone().with_minter(minter);
    let pair = overtaken.open(Grant::new("client-1", "alice")).wait().unwrap();
    let refresh = pair.refresh.as_ref().expect("a refresh token").expose();
    let (access, refresh) = (is_active(&grants, pair.access.expose()), is_active(&grants, refresh));
    assert!(access && refresh, "a pair was answered that a revocation had ended before");
}

/// P4: a grant whose audience was set, and names nobody, is not one for everybody (RFC 8707 section
/// 2).
///
/// # Panics
/// Where it is granted.
pub fn an_empty_audience_is_nobodys() {
    let grants = grants();
    for audience in [&[][..], &[""]] {
        let opened = grants.open(Grant::new("client-1", "alice").audience(audience)).wait();
        assert!(opened.is_err(), "an empty audience was granted, for any resource server");
    }
}

/// P3: of the retries of one generation no more are answered than the policy allows (RFC 9700
/// section 4.14.2).
///
/// # Panics
/// Where more are.
pub fn retries_are_counted() {
    let (grants, request) = (grants(), RefreshRequest::by("client-1"));
    let pair = grants.open(Grant::new("client-1", "alice")).wait().unwrap();
    let spent = pair.refresh.as_ref().expect("a refresh token").expose();
    let refresh = || grants.refresh(spent, &request).wait().unwrap();
    assert!(matches!(refresh(), Refreshed::Rotated(_)), "the first use");
    let retried = (0..10).filter(|_| matches!(refresh(), Refreshed::Retried(_))).count();
    assert_eq!(retried, 3, "retries of one generation were answered");
}

#[cfg(test)]
mod tests {
    // Goal: P3, P4, P6, the guards hold of a whole build. Method: see each.
    #[test]
    fn grants_are_safe() {
        super::nothing_is_issued_past_a_revocation();
        super::an_empty_audience_is_nobodys();
        super::retries_are_counted();
    }
}
