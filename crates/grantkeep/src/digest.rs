//! Keyed digests: what the store keeps in place of a token.

use blake3::Hasher;
use std::fmt;
use std::hash::{Hash, Hasher as StdHasher};
use std::sync::LazyLock;

/// The key of names, which is no secret: it keeps them apart from every other digest.
static NAMES: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("grantkeep 2026-11 name v1", &[]));

/// A label and a name of up to this many bytes together are digested at one go, which takes a
/// third of the time.
const SHORT_BYTES: usize = 128;

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
        Self::of_parts([&length(label.as_bytes()), label.as_bytes(), name])
    }

    /// The digest of two names under a label, each behind its length: no two pairs of names are
    /// alike when they are joined.
    pub(crate) fn of_names(label: &str, [first, second]: [&[u8]; 2]) -> Self {
        let label = label.as_bytes();
        let (head, one, two) = (length(label), length(first), length(second));
        Self::of_parts([&head, label, &one, first, &two, second])
    }

    fn of_parts<const N: usize>(parts: [&[u8]; N]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut short = [0; SHORT_BYTES];
        let hash = if let Some(whole) = short.get_mut(..len) {
            let mut rest = &mut *whole;
            for part in parts {
                let (head, tail) = rest.split_at_mut(part.len());
                head.copy_from_slice(part);
                rest = tail;
            }
            blake3::keyed_hash(&NAMES, whole)
        } else {
            let mut hasher = Hasher::new_keyed(&NAMES);
            for part in parts {
                hasher.update(part);
            }
            hasher.finalize()
        };
        Self(*hash.as_bytes())
    }

    /// The bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn length(bytes: &[u8]) -> [u8; 8] {
    (bytes.len() as u64).to_le_bytes()
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
    // definition, at lengths on both sides of the short cut.
    #[test]
    fn name_digest_is_as_defined() {
        let key = blake3::derive_key("grantkeep 2026-11 name v1", &[]);
        for len in [0, 3, SHORT_BYTES - 14, SHORT_BYTES - 13, 5_000] {
            let name = "n".repeat(len);
            let text = [&6_u64.to_le_bytes(), &b"family"[..], name.as_bytes()].concat();
            let defined = Digest::from_bytes(*blake3::keyed_hash(&key, &text).as_bytes());
            assert_eq!(Digest::of_name("family", name.as_bytes()), defined, "{len}");
        }
    }

    // Goal: two names are found again as well, and go with their lengths. Method: the digest by its
    // definition, at lengths on both sides of the short cut.
    #[test]
    fn digest_of_two_names_is_as_defined() {
        for len in [0, 3, SHORT_BYTES - 31, SHORT_BYTES - 30, 5_000] {
            let (first, second) = ("n".repeat(len), "xyz");
            let lengths = [len as u64, 3].map(u64::to_le_bytes);
            let name = [&lengths[0], first.as_bytes(), &lengths[1], second.as_bytes()].concat();
            let names = [first.as_bytes(), second.as_bytes()];
            assert_eq!(Digest::of_names("pair", names), Digest::of_name("pair", &name), "{len}");
        }
    }
}
