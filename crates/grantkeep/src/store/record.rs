//! What all records have in common.

use super::codec;
use crate::backend::{Key, Kind, Row, Terms, Version};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Each text of a record (client, subject, one redirect URI, scopes, ...) has at most this many
/// bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// The rows by which a wrong keyring is recognized.
pub(super) const KEY_CHECK: Kind = Kind::revised(0x7f);

/// Something the store keeps a typed row of.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind of its rows.
    const KIND: Kind;

    /// What a person calls it.
    const NAME: &'static str;

    /// The version of its fields: one that is stored in another is refused. In version 1 every time
    /// was the store's own, and no record named the root key of a brought text. Version 2 knew
    /// nothing of pairs, and families had neither a session nor a label. In version 3 a session had
    /// no epoch, a subject's epoch had one number, and codes carried neither a session nor a label.
    const FORMAT: u8 = 4;

    /// True if it is revoked with the pair of its subject and client. Such a record expires: the
    /// epoch of a pair does as well, once nothing that was issued before it can be in force.
    const RESTS_ON_PAIR: bool = false;

    /// What it is listed by; fixed when it is first put.
    fn terms(&self) -> Terms {
        Terms::NONE
    }

    /// Checks its fields against their limits.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit), naming the field.
    fn check(&self) -> Result<()>;
}

/// A record as it was read, with what it takes to change it.
#[derive(Debug, Clone)]
pub struct Held<R> {
    /// The record.
    pub record: R,
    /// The id it is filed under.
    pub id: Digest,
    /// When it stops being valid.
    pub expires_at: Timestamp,
    /// Which write of it this is.
    pub version: Version,
}

impl<R: Record> Held<R> {
    pub(super) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            record: codec::decode(R::NAME, R::FORMAT, row.value())?,
            id: row.key().id,
            expires_at: row.expires_at(),
            version: row.version(),
        })
    }

    /// The key of the row.
    pub fn key(&self) -> Key {
        Key::new(R::KIND, self.id)
    }

    /// True once `now` has reached the record's expiry.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// Refuses a text over [`TEXT_BYTES_MAX`].
pub(super) fn check_text(name: &'static str, text: &str) -> Result<()> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::limit(name, text.len(), TEXT_BYTES_MAX, "bytes"));
    }
    Ok(())
}

/// Refuses an optional text over [`TEXT_BYTES_MAX`].
pub(super) fn check_optional(name: &'static str, text: Option<&String>) -> Result<()> {
    text.map_or(Ok(()), |text| check_text(name, text))
}
