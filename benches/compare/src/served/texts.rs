//! Tokens of the peers, and what is answered of them.
//!
//! A text is as long as the profile's: the id of its family, by which the family is found without
//! an index of its own, and what nobody guesses. It is filed under a keyed digest alone.

use data_encoding::BASE64URL_NOPAD;
use grantkeep_benches::served::policy;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use std::time::Duration;

/// Bytes of a text: 128 characters.
const TEXT_BYTES: usize = 96;
/// Bytes of a family's id.
pub(super) const FAMILY_BYTES: usize = 16;

const TEXTS_KEY: [u8; 32] = [7; 32];

/// The id of a family.
pub(super) type FamilyId = [u8; FAMILY_BYTES];
/// Under what a text is filed.
pub(super) type Digest = [u8; 32];

/// A new text of a family, and under what it is filed.
pub(super) fn made(family: &FamilyId) -> (String, Digest) {
    let mut bytes = [0; TEXT_BYTES];
    bytes[..FAMILY_BYTES].copy_from_slice(family);
    fill(&mut bytes[FAMILY_BYTES..]);
    let text = BASE64URL_NOPAD.encode(&bytes);
    let digest = digest(&text);
    (text, digest)
}

/// The id of a new family.
pub(super) fn family() -> FamilyId {
    let mut id = [0; FAMILY_BYTES];
    fill(&mut id);
    id
}

fn fill(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the system has random bytes");
}

/// The family of a text, and under what it is filed; `None` for one that nobody made here.
pub(super) fn read(text: &str) -> Option<(FamilyId, Digest)> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let whole = (bytes.len() == TEXT_BYTES).then_some(bytes)?;
    Some((whole.first_chunk().copied()?, digest(text)))
}

fn digest(text: &str) -> Digest {
    *blake3::keyed_hash(&TEXTS_KEY, text.as_bytes()).as_bytes()
}

/// How long each lives, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    pub(super) access_ms: i64,
    pub(super) idle_ms: i64,
    pub(super) absolute_ms: i64,
}

impl Lifetimes {
    /// Those of the profile that is served.
    pub(super) fn of_profile() -> Self {
        let policy = policy();
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self {
            access_ms: ms(policy.access_lifetime),
            idle_ms: ms(policy.refresh_idle),
            absolute_ms: ms(policy.refresh_absolute),
        }
    }
}

pub(super) fn now_ms() -> i64 {
    i64::try_from(crate::workload::now_ms()).unwrap_or(i64::MAX)
}

/// RFC 6749 section 5.1.
#[derive(Debug, Serialize)]
pub(crate) struct Issued {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: i64,
    pub(super) refresh_token: String,
    pub(super) scope: String,
}

/// RFC 7662 section 2.2.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub(super) active: bool,
    pub(super) scope: String,
    pub(super) client_id: String,
    pub(super) token_type: &'static str,
    pub(super) exp: i64,
    pub(super) iat: i64,
    pub(super) sub: String,
}
