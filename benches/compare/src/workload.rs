//! What every engine is given: pairs of a token, filed under the digest of its text, and a family,
//! filed under its id; and the next generation of a family with another token.

use grantkeep_benches::Random;
use grantkeep_benches::random::mix;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Characters of a token's text: 256 bits in base64url.
pub(crate) const TEXT_CHARACTERS: usize = 43;
/// A token that is not to die during a measure lives this long.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(2 * 3_600);
/// A family lives this long.
pub(crate) const FAMILY_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);

const TEXT_KEY: [u8; 32] = [7; 32];

/// The text of a token, which no engine keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) [u8; TEXT_CHARACTERS]);

impl Text {
    /// The text of the token of this number.
    pub(crate) fn of(number: u64) -> Self {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = Random::new(mix(number));
        let bytes: [u8; TEXT_CHARACTERS] = random.bytes();
        Self(bytes.map(|byte| DIGITS[usize::from(byte % 64)]))
    }

    /// Under what the peers file the token: a keyed digest, as the store computes it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *blake3::keyed_hash(&TEXT_KEY, &self.0).as_bytes()
    }
}

/// The id of the family of this number.
pub(crate) fn family_id(number: u64) -> [u8; 32] {
    Random::new(mix(number ^ 0xfa)).bytes()
}

/// What a row holds: when it dies, in milliseconds since the Unix epoch; its generation; and as
/// many bytes more as it is to have, half of them the same in all rows.
pub(crate) mod row {
    use super::Random;

    const SAME: &[u8] =
        b"client-0000000a openid profile email offline_access https://api.example.com ";

    pub(crate) fn new(number: u64, dies_ms: u64, bytes: usize) -> Vec<u8> {
        let mut row = Vec::with_capacity(bytes + 8);
        row.extend(dies_ms.to_le_bytes());
        row.extend(1_u64.to_le_bytes());
        let mut random = Random::new(number);
        while row.len() < bytes / 2 {
            row.extend(random.number().to_le_bytes());
        }
        while row.len() < bytes {
            row.extend(&SAME[..SAME.len().min(bytes - row.len())]);
        }
        row.truncate(bytes);
        row
    }

    /// When the row dies, in milliseconds since the Unix epoch.
    pub(crate) fn dies_ms(row: &[u8]) -> u64 {
        u64::from_le_bytes(row[..8].try_into().expect("a row starts with its death"))
    }

    /// The row's next generation, which dies then.
    pub(crate) fn next(row: &[u8], dies_ms: u64) -> Vec<u8> {
        let generation = u64::from_le_bytes(row[8..16].try_into().expect("a row has a generation"));
        let mut row = row.to_vec();
        row[..8].copy_from_slice(&dies_ms.to_le_bytes());
        row[8..16].copy_from_slice(&(generation + 1).to_le_bytes());
        row
    }
}

/// A token that is issued.
#[derive(Debug, Clone)]
pub(crate) struct NewToken {
    pub(crate) text: Text,
    pub(crate) dies_ms: u64,
    pub(crate) row: Vec<u8>,
}

/// What becomes of its family: a first row, or the next generation of the row that is there.
#[derive(Debug, Clone)]
pub(crate) enum Family {
    Opened(Vec<u8>),
    Rotated,
}

/// One decision of an authorization server, to be made durable as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) token: NewToken,
    pub(crate) family: [u8; 32],
    pub(crate) family_dies_ms: u64,
    pub(crate) what: Family,
}

/// How large rows are and how long they live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) row_bytes: usize,
    pub(crate) token_lifetime: Duration,
    pub(crate) family_lifetime: Duration,
}

impl Shape {
    /// Rows of so many bytes, none of which dies during a measure.
    pub(crate) fn lasting(row_bytes: usize) -> Self {
        Self { row_bytes, token_lifetime: TOKEN_LIFETIME, family_lifetime: FAMILY_LIFETIME }
    }

    /// Rows of so many bytes that live as long as this, tokens and families alike.
    pub(crate) fn living(row_bytes: usize, lifetime: Duration) -> Self {
        Self { row_bytes, token_lifetime: lifetime, family_lifetime: lifetime }
    }

    /// A pair, issued at this moment.
    pub(crate) fn pair(&self, number: u64, now_ms: u64) -> Change {
        let family_dies_ms = now_ms + millis(self.family_lifetime);
        let opened = row::new(mix(number), family_dies_ms, self.row_bytes);
        let token = self.token(number, now_ms);
        let (family, what) = (family_id(number), Family::Opened(opened));
        Change { token, family, family_dies_ms, what }
    }

    /// The next generation of the family of one number, with the token of another.
    pub(crate) fn rotation(&self, family: u64, token: u64, now_ms: u64) -> Change {
        Change {
            token: self.token(token, now_ms),
            family: family_id(family),
            family_dies_ms: now_ms + millis(self.family_lifetime),
            what: Family::Rotated,
        }
    }

    fn token(&self, number: u64, now_ms: u64) -> NewToken {
        let dies_ms = now_ms + millis(self.token_lifetime);
        NewToken { text: Text::of(number), dies_ms, row: row::new(number, dies_ms, self.row_bytes) }
    }
}

pub(crate) fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
