//! What all records have in common.

use super::codec;
use crate::backend::{Key, Kind, Row, Terms, VALUE_BYTES_MAX, Version};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Each text of a record (client, subject, one redirect URI, scopes, ...) has at most this many
/// bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// A record is put so much under [`VALUE_BYTES_MAX`], unless its type says otherwise
/// ([`Record::ROOM_BYTES`]).
pub const ROOM_BYTES: usize = 256;

/// What a family is opened by is put so much under [`VALUE_BYTES_MAX`]: the family must fit, and
/// has fields of its own.
pub(super) const ROOM_OF_A_FAMILY_BYTES: usize = 1_024;

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

    /// What is left under [`VALUE_BYTES_MAX`] when it is put or edited, for what it grows by later:
    /// numbers that are counted up, times, keys, epochs, and the end. So no change that the server
    /// makes by itself is ever refused for its length, least of all a revocation.
    const ROOM_BYTES: usize = ROOM_BYTES;

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
    /// How long its value is.
    bytes: usize,
}

/// The longest value of a record that is put or edited.
pub(super) const fn put_bytes_max<R: Record>() -> usize {
    VALUE_BYTES_MAX.saturating_sub(R::ROOM_BYTES)
}

impl<R: Record> Held<R> {
    pub(super) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            record: codec::decode(R::NAME, R::FORMAT, row.value())?,
            id: row.key().id,
            expires_at: row.expires_at(),
            version: row.version(),
            bytes: row.value().len(),
        })
    }

    /// The longest value that may be put in its place with other texts: one that leaves room, or
    /// is no longer than this one.
    pub(super) fn edit_bytes_max(&self) -> usize {
        put_bytes_max::<R>().max(self.bytes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Code, Confirmation, Device, Epochs, Family, FamilyId, FamilyState, Personal,
        RevocationReason, Token, TokenKind,
    };

    fn len<R: Record>(record: &R) -> usize {
        codec::encode(R::NAME, R::FORMAT, record).unwrap().len()
    }

    /// How much longer a record becomes, and the longest value that it is put with.
    fn grows<R: Record>(new: &R, grown: &R) {
        let by = len(grown) - len(new);
        assert!(by <= R::ROOM_BYTES, "a {} grows by {by} bytes", R::NAME);
    }

    // Goal: P6, the room that is left for a record is enough for all that it grows by. Method: the
    // shortest numbers that it is put with, and the longest that it can come to.
    #[test]
    fn there_is_room_for_all_that_grows() {
        let end = Timestamp::from_millis(u64::MAX - 1);
        let longest = [&[253][..], &[255; 8]].concat();
        let number = [&[1][..], &longest].concat();
        let bytes = [&[0, 1][..], &longest.repeat(3), &number.repeat(5)].concat();
        let epochs: Epochs = codec::decode("list of epochs", 0, &bytes).unwrap();
        let revoked_at = Some(end);
        let family = Family {
            state: FamilyState::Active,
            absolute_expires_at: Timestamp::default(),
            epochs: Epochs::default(),
            id: FamilyId([0; 12]),
            client: "c".to_owned(),
            subject: "s".to_owned(),
            granted_at: end,
            label: String::new(),
            session: None,
            facts: None,
            scopes: String::new(),
            audience: String::new(),
            confirmation: None,
            generation: 0,
            brought: None,
            salt: [0; 32],
            key_id: 0,
            rotated_at: Timestamp::default(),
            rotated_lead_ms: 0,
            refreshes: 0,
            retries: 0,
            retried_generations: 0,
            idle_s: None,
            payload: None,
        };
        let grown = Family {
            state: FamilyState::Revoked { at: end, reason: RevocationReason::Superseded },
            absolute_expires_at: end,
            epochs,
            confirmation: Some(Confirmation::Jkt([9; 32])),
            generation: u32::MAX,
            brought: Some(u32::MAX),
            rotated_at: end,
            rotated_lead_ms: u64::MAX,
            refreshes: u32::MAX,
            retries: u32::MAX,
            retried_generations: u32::MAX,
            ..family.clone()
        };
        grows(&family, &grown);
        let token = Token {
            kind: TokenKind::Access,
            client: String::new(),
            subject: String::new(),
            scopes: String::new(),
            audience: String::new(),
            confirmation: None,
            family: None,
            issued_at: end,
            epochs: Epochs::default(),
            revoked_at: None,
            payload: None,
        };
        grows(&token, &Token { revoked_at, ..token.clone() });
        let personal = Personal {
            name: "n".to_owned(),
            key_id: 1,
            subject: "s".to_owned(),
            client: String::new(),
            scopes: String::new(),
            issued_at: end,
            epochs: Epochs::default(),
            revoked_at: None,
            payload: None,
        };
        grows(&personal, &Personal { revoked_at, ..personal.clone() });
        // What a code or a device has is put into a family, which has all of its own besides.
        let room = Code::ROOM_BYTES.min(Device::ROOM_BYTES);
        assert!(len(&grown) + Family::ROOM_BYTES <= room);
    }
}
