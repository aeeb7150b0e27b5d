//! Payloads on their way from a code to its family and its access tokens.

use grantkeep::{Keyring, Payload, Result};
use zeroize::Zeroizing;

/// An opened payload, and whether it is to be sealed again.
#[derive(Debug)]
pub(crate) struct Attachment {
    bytes: Zeroizing<Vec<u8>>,
    sealed: bool,
}

impl Attachment {
    pub(crate) fn new(bytes: &[u8], sealed: bool) -> Self {
        Self { bytes: Zeroizing::new(bytes.to_vec()), sealed }
    }

    /// Opens a stored payload with the secret it was sealed for.
    pub(crate) fn open(payload: &Payload, keyring: &Keyring, secret: &[u8]) -> Result<Self> {
        let bytes = Zeroizing::new(payload.open(keyring, secret)?);
        Ok(Self { bytes, sealed: matches!(payload, Payload::Sealed { .. }) })
    }

    /// The payload to be stored with whatever `secret` opens.
    pub(crate) fn close(&self, keyring: &Keyring, secret: &[u8]) -> Result<Payload> {
        if self.sealed {
            Payload::seal(keyring, secret, &self.bytes)
        } else {
            Ok(Payload::Plain(self.bytes.to_vec()))
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }
}

/// What a builder was given, to be stored with whatever `secret` opens.
pub(crate) fn close(
    given: Option<(&[u8], bool)>,
    keyring: &Keyring,
    secret: &[u8],
) -> Result<Option<Payload>> {
    given.map(|(bytes, sealed)| Attachment::new(bytes, sealed).close(keyring, secret)).transpose()
}
