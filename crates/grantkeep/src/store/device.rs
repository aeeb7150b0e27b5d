//! Device authorization requests, RFC 8628: one row under the device code, and one under the user
//! code that leads to it.

use super::bytes;
use super::epoch::Epochs;
use super::family::FamilyId;
use super::origin::Origin;
use super::record::{ROOM_OF_A_FAMILY_BYTES, Record, check_text};
use super::seal::Payload;
use crate::backend::Kind;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of a device authorization request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceState {
    /// Nobody has decided yet.
    Pending,
    /// A subject approved it, and it waits to be polled.
    Approved {
        /// Who.
        subject: String,
    },
    /// It was refused.
    Denied,
    /// It was polled after it was approved; nothing undoes that.
    Spent {
        /// When.
        at: Timestamp,
        /// The family that the poll opened, to be revoked by a replay.
        family: FamilyId,
    },
}

/// A device authorization request, filed under the look-up id of its device code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Pending, approved, denied, or spent.
    pub state: DeviceState,
    /// The client it is bound to.
    pub client: String,
    /// The scopes asked for, and once it is approved those that are granted, separated by spaces.
    pub scopes: String,
    /// The audience of its access tokens, separated by spaces; empty for any (RFC 8707).
    pub audience: String,
    /// What its family is told of where it was approved.
    pub origin: Origin,
    /// The epochs it was made under, and once it is approved those it was approved under.
    pub epochs: Epochs,
    /// What, with the root key, opens its payload: neither who asks nor who approves has the
    /// secret of the other.
    #[serde(with = "bytes::fixed")]
    pub salt: [u8; 32],
    /// What the server attached.
    pub payload: Option<Payload>,
}

impl Record for Device {
    const KIND: Kind = Kind::revised(9);
    const NAME: &'static str = "device authorization request";
    const ROOM_BYTES: usize = ROOM_OF_A_FAMILY_BYTES;
    const RESTS_ON_PAIR: bool = true;

    fn check(&self) -> Result<()> {
        check_text("a client id", &self.client)?;
        check_text("a list of scopes", &self.scopes)?;
        check_text("an audience", &self.audience)?;
        if let DeviceState::Approved { subject } = &self.state {
            check_text("a subject", subject)?;
        }
        self.origin.check()?;
        self.payload.as_ref().map_or(Ok(()), Payload::check)
    }
}

impl fmt::Debug for Device {
    /// Without the salt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("state", &self.state)
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// What a user code leads to. It is filed under a *keyed* look-up id: user codes are so few that
/// all of them could be tried on a plain digest.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCode(#[serde(with = "bytes::fixed")] [u8; 32]);

impl fmt::Debug for UserCode {
    /// Without the id that it leads to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode")
    }
}

impl UserCode {
    /// A user code of the device authorization request with this id.
    pub fn of(device: Digest) -> Self {
        Self(*device.as_bytes())
    }

    /// The id of that request.
    pub fn device(self) -> Digest {
        Digest::from_bytes(self.0)
    }
}

impl Record for UserCode {
    const KIND: Kind = Kind::write_once(10);
    const NAME: &'static str = "user code";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec;

    // Goal: P7, P9, the stored bytes of both records are those that the documents give, and what
    // is printed has no salt. Method: pinned encodings, there and back; the Debug output.
    #[test]
    fn encodings_are_as_documented() {
        let device = Device {
            state: DeviceState::Approved { subject: "al".to_owned() },
            client: "c".to_owned(),
            scopes: "r".to_owned(),
            audience: String::new(),
            origin: Origin::default(),
            epochs: Epochs::default(),
            salt: [211; 32],
            payload: None,
        };
        let head = [4, 1, 2, b'a', b'l', 1, b'c', 1, b'r', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
        let bytes = [&head[..], &[211; 32], &[0]].concat();
        assert_eq!(codec::encode(Device::NAME, Device::FORMAT, &device).unwrap(), bytes);
        assert_eq!(codec::decode::<Device>(Device::NAME, Device::FORMAT, &bytes).unwrap(), device);
        assert!(!format!("{device:?}").contains("211"));
        let code = UserCode::of(Digest::from_bytes([7; 32]));
        let bytes = [&[4, 32][..], &[7; 32]].concat();
        assert_eq!(codec::encode(UserCode::NAME, UserCode::FORMAT, &code).unwrap(), bytes);
        assert_eq!(
            codec::decode::<UserCode>(UserCode::NAME, UserCode::FORMAT, &bytes).unwrap(),
            code
        );
        assert_eq!(code.device(), Digest::from_bytes([7; 32]));
    }
}
