//! Payloads: what a server attaches to a grant, sealed where it wants.

use super::bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{Keyring, RootKey, random};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A payload holds at most this many bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes that a server attaches to a code, a token, or a family.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// As they were given.
    Plain(#[serde(with = "bytes::whole")] Vec<u8>),
    /// Sealed with AES-256-GCM under a key that takes both a root key and a secret to derive.
    Sealed {
        /// The root key.
        key_id: u32,
        /// The nonce.
        #[serde(with = "bytes::fixed")]
        nonce: [u8; NONCE_LEN],
        /// The sealed bytes and their tag.
        #[serde(with = "bytes::whole")]
        bytes: Vec<u8>,
    },
}

impl Payload {
    /// Seals `plain` for whoever has `secret`: the token's text for a code or an access token, so
    /// that only presenting it opens the payload; the salt for a family.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] over [`PAYLOAD_BYTES_MAX`].
    pub fn seal(keyring: &Keyring, secret: &[u8], plain: &[u8]) -> Result<Self> {
        check_len(plain.len())?;
        let root = keyring.active().ok_or_else(|| no_key(0))?;
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut bytes = plain.to_vec();
        aead(root, secret)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(root.id().to_le_bytes()),
                &mut bytes,
            )
            .map_err(|_| Error::new(ErrorKind::Io, "a payload could not be sealed"))?;
        Ok(Self::Sealed { key_id: root.id(), nonce, bytes })
    }

    /// The bytes; a sealed payload opens only with the secret it was sealed for.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] if the root key was retired, [`ErrorKind::Corrupt`] if the secret is
    /// another or the bytes were changed.
    pub fn open(&self, keyring: &Keyring, secret: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Plain(bytes) => Ok(bytes.clone()),
            Self::Sealed { key_id, nonce, bytes } => {
                let root = keyring.key(*key_id).ok_or_else(|| no_key(*key_id))?;
                let mut bytes = bytes.clone();
                let plain = aead(root, secret)?
                    .open_in_place(
                        Nonce::assume_unique_for_key(*nonce),
                        Aad::from(key_id.to_le_bytes()),
                        &mut bytes,
                    )
                    .map_err(|_| Error::corrupt("a sealed payload does not open"))?
                    .len();
                bytes.truncate(plain);
                Ok(bytes)
            }
        }
    }

    /// True unless it is sealed under a root key that was retired.
    pub fn opens_under(&self, keyring: &Keyring) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Sealed { key_id, .. } => keyring.key(*key_id).is_some(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Plain(bytes) => check_len(bytes.len()),
            Self::Sealed { bytes, .. } => {
                check_len(bytes.len().saturating_sub(AES_256_GCM.tag_len()))
            }
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(bytes) => write!(f, "Plain({} bytes)", bytes.len()),
            Self::Sealed { bytes, .. } => write!(f, "Sealed({} bytes)", bytes.len()),
        }
    }
}

fn check_len(len: usize) -> Result<()> {
    if len > PAYLOAD_BYTES_MAX {
        return Err(Error::limit("a payload", len, PAYLOAD_BYTES_MAX, "bytes"));
    }
    Ok(())
}

fn aead(root: &RootKey, secret: &[u8]) -> Result<LessSafeKey> {
    let key = root.seal_key(secret);
    let unbound = UnboundKey::new(&AES_256_GCM, &key[..])
        .map_err(|_| Error::new(ErrorKind::Io, "a sealing key could not be made"))?;
    Ok(LessSafeKey::new(unbound))
}

fn no_key(id: u32) -> Error {
    Error::new(
        ErrorKind::Keyring,
        format!("root key {id} is not in the keyring: a payload sealed under it cannot be opened"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: P9, only the secret opens a payload, and no changed byte passes. Method: seal, open
    // with the right and a wrong secret, flip each byte.
    #[test]
    fn only_the_secret_opens() {
        let keyring = Keyring::generate().unwrap();
        let sealed = Payload::seal(&keyring, b"token", b"claims").unwrap();
        assert_eq!(sealed.open(&keyring, b"token").unwrap(), b"claims");
        assert_eq!(sealed.open(&keyring, b"other").unwrap_err().kind(), ErrorKind::Corrupt);
        let Payload::Sealed { key_id, nonce, bytes } = sealed else { panic!("not sealed") };
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let changed = Payload::Sealed { key_id, nonce, bytes };
            assert!(changed.open(&keyring, b"token").is_err());
        }
    }

    // Goal: bytes written at once are stored as they are byte by byte. Method: pinned encodings of
    // both forms, there and back.
    #[test]
    fn encoding_is_that_of_a_sequence() {
        use crate::store::codec;
        let plain = Payload::Plain(vec![0xaa; 300]);
        let sealed = Payload::Sealed { key_id: 7, nonce: [1; NONCE_LEN], bytes: vec![2, 3] };
        let long = [&[2, 0, 251, 44, 1][..], &[0xaa; 300]].concat();
        let short = [&[2, 1, 7, 12][..], &[1; NONCE_LEN], &[2, 2, 3]].concat();
        for (payload, bytes) in [(plain, long), (sealed, short)] {
            assert_eq!(codec::encode("payload", 2, &payload).unwrap(), bytes);
            assert_eq!(codec::decode::<Payload>("payload", 2, &bytes).unwrap(), payload);
        }
        assert!(
            codec::decode::<Payload>("payload", 2, &[2, 0, 253, 0, 0, 0, 0, 1, 0, 0, 0]).is_err()
        );
        assert!(codec::decode::<Payload>("payload", 2, &[2, 0, 5, 1]).is_err());
    }

    // Goal: the payload limit is exact. Method: seal at the limit and one byte over.
    #[test]
    fn payload_limit_is_exact() {
        let keyring = Keyring::generate().unwrap();
        let at_limit = Payload::seal(&keyring, b"token", &[0; PAYLOAD_BYTES_MAX]).unwrap();
        assert!(at_limit.check().is_ok());
        let over = Payload::seal(&keyring, b"token", &vec![0; PAYLOAD_BYTES_MAX + 1]);
        assert_eq!(over.unwrap_err().kind(), ErrorKind::Limit);
    }
}
