//! The replay guard: values that somebody else made, and that count once.

use crate::events::observe;
use crate::grants::Grants;
use grantkeep::backend::Backend;
use grantkeep::{Burned, Result, Timestamp};
use std::fmt;
use std::time::SystemTime;

/// A value that must not be seen twice: what it is, whose it is, and its text. The same text of
/// another kind or another owner is another value. It may have any length; only its digest is kept.
#[derive(Clone, Copy)]
pub struct Once<'a> {
    label: &'a str,
    owner: &'a str,
    value: &'a [u8],
}

impl<'a> Once<'a> {
    /// The `jti` of a client's assertion (RFC 7523 section 3), or of its request object (RFC 9101).
    /// Burn it until the assertion's `exp`; a replay is `invalid_client`.
    pub fn jti(client: &'a str, jti: &'a str) -> Self {
        Self::new("jti", client, jti.as_bytes())
    }

    /// The `jti` of a `DPoP` proof (RFC 9449 section 11.1), of the key with this thumbprint. Burn
    /// it until the proof would be refused for its age, `iat` and the age that is accepted; a
    /// replay is `invalid_dpop_proof`.
    pub fn dpop(thumbprint: &'a str, jti: &'a str) -> Self {
        Self::new("dpop jti", thumbprint, jti.as_bytes())
    }

    /// A nonce that a client made.
    pub fn nonce(client: &'a str, nonce: &'a str) -> Self {
        Self::new("nonce", client, nonce.as_bytes())
    }

    /// A `state` that came back to a client (RFC 6749 section 10.12), where the server itself is
    /// the client of another.
    pub fn state(client: &'a str, state: &'a str) -> Self {
        Self::new("state", client, state.as_bytes())
    }

    /// Something else, under a label of its own. The owner is empty where nobody owns it.
    pub fn new(label: &'a str, owner: &'a str, value: &'a [u8]) -> Self {
        Self { label, owner, value }
    }

    /// Owner and value, so that no two pairs run into the same bytes.
    fn to_bytes(self) -> Vec<u8> {
        let len = (self.owner.len() as u64).to_le_bytes();
        [&len[..], self.owner.as_bytes(), self.value].concat()
    }
}

impl fmt::Debug for Once<'_> {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("label", &self.label)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Grants<B> {
    /// Burns a value: of any number of callers one is [`Burned::First`], and all others, until the
    /// value is forgotten, are [`Burned::Seen`]. Only the first may go on.
    ///
    /// `until` is when whatever carries the value ends by itself, as its maker's clock has it; the
    /// wall clock judges. The maker's clock may be wrong, so the value is remembered for the
    /// policy's `clock_skew` longer: accept what carries it for no longer than `until` and that
    /// skew. Past both it is [`Burned::Expired`]: nothing is noted, and the caller refuses it. What
    /// the store issued itself has no skew: it goes by one clock, and its expiry is exact.
    ///
    /// The server has already verified the signature of what carries the value; otherwise anybody
    /// could burn it before its owner.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`](grantkeep::ErrorKind::Lifetime) if `until` and the skew are further
    /// off than the store's longest lifetime (RFC 7523 section 3 lets a server refuse an `exp` that
    /// is unreasonably far off); otherwise as [`Backend::commit`]. After
    /// [`ErrorKind::Unknown`](grantkeep::ErrorKind::Unknown) it may be burnt: refuse what carries
    /// it, and have its maker make another.
    ///
    /// # Durability
    /// `First` and `Seen` rest on durable state: a crash does not make a value new.
    pub async fn burn(&self, once: Once<'_>, until: SystemTime) -> Result<Burned> {
        let until = Timestamp::from(until).saturating_add(self.policy.clock_skew);
        let bytes = once.to_bytes();
        let _measured = observe::measured("burn");
        observe::span("burn", self.store.burn(once.label, &bytes, until)).await
    }
}
