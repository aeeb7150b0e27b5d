//! Refresh families: one row each, however often they rotate.

use super::Store;
use super::bytes;
use super::codec;
use super::confirmation::Confirmation;
use super::epoch::{EpochNumber, Epochs};
use super::fence::Fence;
use super::hex;
use super::owner::{Owners, SessionId};
use super::record::{Held, Record, check_text};
use super::seal::Payload;
use crate::backend::{Backend, Key, Kind, Terms};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::Keyring;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Length of a family id in bytes: 96 random bits, which a refresh token of 32 bytes has room for
/// beside its generation and its MAC, all of them masked. A collision is refused by the insert, not
/// believed.
pub const FAMILY_ID_BYTES: usize = 12;

/// The random name of a family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FamilyId(#[serde(with = "bytes::fixed")] pub [u8; FAMILY_ID_BYTES]);

impl FamilyId {
    /// The id its row is filed under: these bytes, then zeros. It is random already.
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        if let Some(head) = bytes.first_chunk_mut() {
            *head = self.0;
        }
        Digest::from_bytes(bytes)
    }
}

impl fmt::Display for FamilyId {
    /// 24 hex digits, for a form or an address; [`FromStr`] reads them. The id by itself presents
    /// nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::shown(&self.0))
    }
}

impl FromStr for FamilyId {
    type Err = Error;

    /// Reads what is displayed: 24 hex digits, in lower case, and nothing around them.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for any other text. The error does not repeat it.
    fn from_str(text: &str) -> Result<Self> {
        hex::read("a family", text).map(Self)
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyId({self})")
    }
}

/// Why a family was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RevocationReason {
    /// Somebody asked for it (RFC 7009).
    Requested,
    /// The code that opened it was presented again (RFC 6749 section 4.1.2).
    CodeReplayed,
    /// A spent refresh token was presented (RFC 9700 section 4.14.2).
    RefreshReused,
    /// A newer one took its place: its client had as many on behalf of its subject as is allowed.
    Superseded,
}

/// Whether a family is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FamilyState {
    /// It is.
    Active,
    /// It is not, for good.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

/// Whether a family is in force: all that a look-up of one of its access tokens asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyStanding {
    /// Active or revoked.
    pub state: FamilyState,
    /// When it stops being valid, unless it is refreshed.
    pub expires_at: Timestamp,
    /// When the grant ends, however often it is refreshed.
    pub absolute_expires_at: Timestamp,
    /// The second number of its subject's epoch ([`Epochs::families`]) that it was opened under, or
    /// that it was kept under since, while the others were ended.
    pub families: Option<EpochNumber>,
    /// Whose epochs it depends on.
    pub owners: Owners,
}

impl FamilyStanding {
    /// True if it is neither revoked nor expired.
    pub fn in_force(&self, now: Timestamp) -> bool {
        in_force(self.state, self.expires_at, self.absolute_expires_at, now)
    }
}

/// The first fields of a [`Family`], and of its [`Epochs`]: all that a standing takes.
type Head = (FamilyState, Timestamp, Option<Fence>, Option<EpochNumber>, Option<EpochNumber>);

/// A refresh family: all refresh tokens that descend from one grant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Active or revoked.
    pub state: FamilyState,
    /// When the grant ends, however often it is refreshed, by the store's time.
    pub absolute_expires_at: Timestamp,
    /// The epochs it was opened under; see [`FamilyStanding::families`].
    pub epochs: Epochs,
    /// Its name.
    pub id: FamilyId,
    /// The client it was granted to.
    pub client: String,
    /// Who granted it.
    pub subject: String,
    /// When it was granted, by the wall clock.
    pub granted_at: Timestamp,
    /// What a person knows it by; may be empty.
    pub label: String,
    /// The log-in session that it was granted in: it is listed by that.
    pub session: Option<SessionId>,
    /// What the server notes of where it was granted, such as the device and the address; sealed
    /// for the salt if it is sealed.
    pub facts: Option<Payload>,
    /// Granted scopes, separated by spaces.
    pub scopes: String,
    /// The audience of its access tokens, separated by spaces; empty for any.
    pub audience: String,
    /// The thumbprint of the key that its refresh tokens are bound to (`cnf` of RFC 7800); `None`
    /// where they are bound to their client alone, since that authenticates (RFC 8705 section 7.1,
    /// RFC 9449 section 5).
    pub confirmation: Option<Confirmation>,
    /// The generation of the refresh token that is accepted; the first is 1. A family of 0 is
    /// reserved: its code was claimed, and nothing was issued yet.
    pub generation: u32,
    /// The root key that the look-up id of the present refresh token is made with, if its text was
    /// brought; `None` if it is derived.
    pub brought: Option<u32>,
    /// What, with the root key, its refresh tokens are made from.
    #[serde(with = "bytes::fixed")]
    pub salt: [u8; 32],
    /// The root key its refresh tokens are made under.
    pub key_id: u32,
    /// When the present generation was issued, by the store's time: its grace period begins then.
    pub rotated_at: Timestamp,
    /// How far that was ahead of the wall clock; see [`Family::refreshed_at`].
    pub rotated_lead_ms: u64,
    /// How often it was refreshed, retries not counted.
    pub refreshes: u32,
    /// How often the predecessor of the present generation was answered again.
    pub retries: u32,
    /// How many generations in a row were retried, up to the predecessor of the present one.
    pub retried_generations: u32,
    /// How long it lives unused, seconds, if that is not as its policy says.
    pub idle_s: Option<u64>,
    /// What the server attached.
    pub payload: Option<Payload>,
}

impl Record for Family {
    const KIND: Kind = Kind::revised(4);
    const NAME: &'static str = "family";
    const RESTS_ON_PAIR: bool = true;

    fn terms(&self) -> Terms {
        self.owners().terms()
    }

    fn check(&self) -> Result<()> {
        check_text("a client id", &self.client)?;
        check_text("a subject", &self.subject)?;
        if self.client.is_empty() || self.subject.is_empty() {
            return Err(Error::new(
                ErrorKind::Limit,
                "a family is granted by a subject to a client: name both",
            ));
        }
        check_text("a label", &self.label)?;
        check_text("a list of scopes", &self.scopes)?;
        check_text("an audience", &self.audience)?;
        self.facts.as_ref().map_or(Ok(()), Payload::check)?;
        self.payload.as_ref().map_or(Ok(()), Payload::check)
    }
}

impl fmt::Debug for Family {
    /// Without the salt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("id", &self.id)
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("generation", &self.generation)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Family {
    /// Whose epochs it rests on.
    pub fn owners(&self) -> Owners {
        Owners::new(&self.subject, &self.client).in_session(self.session)
    }

    /// When the present generation was issued, by the wall clock.
    pub fn refreshed_at(&self) -> Timestamp {
        self.rotated_at.saturating_sub(Duration::from_millis(self.rotated_lead_ms))
    }

    /// True if its present refresh token can be presented: none of the root keys that it takes to
    /// recognize it, and to open what goes with it, was retired.
    pub fn is_presentable(&self, keyring: &Keyring) -> bool {
        let opens = |payload: &Payload| payload.opens_under(keyring);
        self.payload.as_ref().is_none_or(opens)
            && keyring.key(self.brought.unwrap_or(self.key_id)).is_some()
    }
}

impl Held<Family> {
    /// True if the family is open, and neither revoked nor expired.
    pub fn in_force(&self, now: Timestamp) -> bool {
        let Family { state, absolute_expires_at, generation, .. } = &self.record;
        *generation > 0 && in_force(*state, self.expires_at, *absolute_expires_at, now)
    }
}

fn in_force(state: FamilyState, idle: Timestamp, absolute: Timestamp, now: Timestamp) -> bool {
    state == FamilyState::Active && now < idle && now < absolute
}

impl<B: Backend> Store<B> {
    /// How a family stands, without reading its texts and its payload out.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn family_standing(&self, family: FamilyId) -> Result<Option<FamilyStanding>> {
        let row = self.backend().get(Key::new(Family::KIND, family.digest())).await?;
        row.map(|row| {
            let (state, absolute_expires_at, _, _, families): Head =
                codec::decode_head(Family::NAME, Family::FORMAT, row.value())?;
            let owners = Owners::of_terms(row.terms())
                .ok_or_else(|| Error::corrupt("a stored family is listed by nobody"))?;
            let expires_at = row.expires_at();
            Ok(FamilyStanding { state, expires_at, absolute_expires_at, families, owners })
        })
        .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family() -> Family {
        Family {
            id: FamilyId([0xff; 12]),
            client: "client".to_owned(),
            subject: "s".repeat(300),
            granted_at: Timestamp::from_millis(1 << 41),
            label: String::new(),
            session: None,
            facts: None,
            scopes: String::new(),
            audience: "a b".to_owned(),
            confirmation: None,
            generation: u32::MAX,
            brought: None,
            salt: [0xfe; 32],
            key_id: 70_000,
            rotated_at: Timestamp::from_millis(1 << 41),
            rotated_lead_ms: 0,
            refreshes: 0,
            retries: 0,
            retried_generations: 0,
            idle_s: None,
            absolute_expires_at: Timestamp::from_millis(1 << 42),
            epochs: Epochs::default(),
            state: FamilyState::Active,
            payload: None,
        }
    }

    // Goal: P5, both expiries of a family are exact. Method: a millisecond before and at each.
    #[test]
    fn expiries_are_exact() {
        let at = Timestamp::from_millis;
        let active = |now| in_force(FamilyState::Active, at(10), at(20), at(now));
        assert!(active(9) && !active(10));
        let absolute = |now| in_force(FamilyState::Active, at(30), at(20), at(now));
        assert!(absolute(19) && !absolute(20));
    }

    // Goal: a family is told by its id, and P9, not by its salt. Method: print one.
    #[test]
    fn family_is_printed_without_its_salt() {
        assert_eq!(family().id.to_string(), "f".repeat(24));
        let printed = format!("{:?}", family());
        let id = format!("id: FamilyId({})", "f".repeat(24));
        for words in ["Family {", id.as_str(), "client", "generation", "Active"] {
            assert!(printed.contains(words), "{words} is not in {printed}");
        }
        assert!(!printed.contains("254"), "{printed}");
    }

    // Goal: P9, the name of a log-in session, which may be a cookie, is neither stored nor printed.
    // Method: look for it in the value, the terms, and the Debug output of a family and its id.
    #[test]
    fn the_name_of_a_session_is_not_stored() {
        let name = "cookie-of-a-session";
        let session = SessionId::of(name);
        let family = Family { session: Some(session), ..family() };
        let value = codec::encode(Family::NAME, Family::FORMAT, &family).unwrap();
        let printed = format!("{family:?} {session:?} {:?}", family.terms());
        for bytes in [&value[..], printed.as_bytes()] {
            assert!(!bytes.windows(6).any(|part| part == &name.as_bytes()[..6]), "{printed}");
        }
    }

    // Goal: a family's id is read back from the text that a sessions page shows. Method: ids to
    // text and back; texts of another length, case, or alphabet.
    #[test]
    fn family_ids_are_read_back_from_their_text() {
        for id in [FamilyId([0; 12]), FamilyId([0xff; 12]), FamilyId(*b"twelve bytes")] {
            assert_eq!(id.to_string().parse::<FamilyId>().unwrap(), id);
        }
        let good = "0123456789abcdef01234567";
        assert_eq!(good.parse::<FamilyId>().unwrap().to_string(), good);
        for bad in [
            "",
            &good[1..],
            "0123456789abcdef012345678",
            "0123456789ABCDEF01234567",
            "0123456789abcdef0123456g",
            " 123456789abcdef01234567",
            "0123456789abcdef0123456\u{e9}",
        ] {
            assert_eq!(bad.parse::<FamilyId>().unwrap_err().kind(), ErrorKind::Limit, "{bad}");
        }
    }

    // Goal: P6, a standing is that of the family, whatever its other fields hold. Method: encode
    // families with and without optional fields, active and revoked; read their heads.
    #[test]
    fn standing_is_that_of_the_family() {
        let revoked = FamilyState::Revoked {
            at: Timestamp::from_millis(1 << 40),
            reason: RevocationReason::RefreshReused,
        };
        for (state, optional) in [(FamilyState::Active, None), (revoked, Some(()))] {
            let family = Family {
                confirmation: optional.map(|()| Confirmation::Jkt([9; 32])),
                state,
                label: "l".repeat(optional.map_or(0, |()| 300)),
                session: optional.map(|()| SessionId::of("s")),
                facts: optional.map(|()| Payload::Plain(vec![2; 1000])),
                payload: optional.map(|()| Payload::Plain(vec![1; 1000])),
                ..family()
            };
            let bytes = codec::encode(Family::NAME, Family::FORMAT, &family).unwrap();
            let head: Head = codec::decode_head(Family::NAME, Family::FORMAT, &bytes).unwrap();
            let Epochs { fence, subject, families, .. } = family.epochs;
            assert_eq!(head, (state, family.absolute_expires_at, fence, subject, families));
            assert!(codec::decode_head::<Head>(Family::NAME, Family::FORMAT, &bytes[..3]).is_err());
        }
    }
}
