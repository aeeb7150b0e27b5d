//! Texts of an injected `TagGrant` in place of the policy's formats.

use grantkeep::{Error, ErrorKind, Result, random};
use grantkeep_grants::{Minter, MinterError, Minting, Tag};
use oxide_auth::primitives::generator::TagGrant;
use oxide_auth::primitives::grant::Grant;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A tagger, and how often it was used.
pub(crate) struct Tagger(Mutex<State>);

struct State {
    tagger: Box<dyn TagGrant + Send>,
    usage: u64,
}

impl Tagger {
    /// A tagger whose count starts anywhere: it must not repeat that of an earlier process.
    pub(crate) fn new(tagger: Box<dyn TagGrant + Send>) -> Result<Self> {
        let mut usage = [0; 8];
        random(&mut usage)?;
        Ok(Self(Mutex::new(State { tagger, usage: u64::from_le_bytes(usage) })))
    }

    fn tag(&self, grant: &Grant) -> Option<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.usage = state.usage.wrapping_add(1);
        let usage = state.usage;
        state.tagger.tag(usage, grant).ok()
    }
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tagger")
    }
}

/// Tags one grant: a minter for one call.
pub(crate) struct Tagging {
    pub(crate) tagger: Arc<Tagger>,
    pub(crate) grant: Grant,
}

impl Minter for Tagging {
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
        let mut grant = self.grant.clone();
        if minting.tag != Tag::Code {
            minting.scopes.parse().map(|scope| grant.scope = scope)?;
            grant.until = minting.expires_at.into();
        }
        let refused = || Error::new(ErrorKind::Unavailable, "the grant's tagger refused");
        Ok(Some(self.tagger.tag(&grant).ok_or_else(refused)?))
    }
}

impl fmt::Debug for Tagging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tagging")
    }
}
