//! Keyed digests: what the store keeps in place of a token.

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use std::fmt;
use std::hash::{Hash, Hasher as StdHasher};
use std::sync::LazyLock;

/// The context of names, hashed once instead of with every name.
static NAMES: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("grantkeep 2026-11 name v1"));

/// The 32-byte keyed BLAKE3 digest under which something is filed. Comparison is constant-time.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// A digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a name under a label (`epoch of a subject`, `family`): for what is not a
    /// secret, so no key is involved and the name is found again after any keyring rotation.
    pub fn of_name(label: &str, name: &[u8]) -> Self {
        let mut hasher = Hasher::new_from_context_key(&NAMES);
        hasher.update(&(label.len() as u64).to_le_bytes()).update(label.as_bytes()).update(name);
        Self(*hasher.finalize().as_bytes())
    }

    /// The bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Hash for Digest {
    fn hash<H: StdHasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    /// The first four bytes: enough to tell two apart in a log, too little to look one up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: names are found again by every version of this crate. Method: the digest by its
    // definition, with the context hashed anew.
    #[test]
    fn name_digest_is_as_defined() {
        let mut hasher = Hasher::new_derive_key("grantkeep 2026-11 name v1");
        hasher.update(&6_u64.to_le_bytes()).update(b"family").update(b"abc");
        let defined = Digest::from_bytes(*hasher.finalize().as_bytes());
        assert_eq!(Digest::of_name("family", b"abc"), defined);
    }
}
