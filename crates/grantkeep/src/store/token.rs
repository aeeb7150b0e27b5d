//! Tokens that are presented as they are: access tokens and personal ones.

use super::confirmation::Confirmation;
use super::epoch::Epochs;
use super::family::FamilyId;
use super::owner::{Owner, Owners};
use super::record::{Record, check_text};
use super::seal::Payload;
use crate::backend::{Kind, Terms};
use crate::clock::Timestamp;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// How an access token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// On behalf of a subject.
    Access,
    /// For the client itself, RFC 6749 section 4.4.
    ClientCredential,
}

/// An access token. Read far more often than written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// How it came to be.
    pub kind: TokenKind,
    /// The client it was issued to.
    pub client: String,
    /// Whom it acts for; empty for a client credential.
    pub subject: String,
    /// Its scopes, separated by spaces.
    pub scopes: String,
    /// The resource servers it is meant for, separated by spaces; empty for any.
    pub audience: String,
    /// The thumbprint it is bound to, `cnf` of RFC 7800.
    pub confirmation: Option<Confirmation>,
    /// The family whose revocation takes it along.
    pub family: Option<FamilyId>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The epochs it was issued under.
    pub epochs: Epochs,
    /// When it was revoked by itself.
    pub revoked_at: Option<Timestamp>,
    /// What the server attached.
    pub payload: Option<Payload>,
}

impl Record for Token {
    const KIND: Kind = Kind::write_once(2);
    const NAME: &'static str = "token";
    const RESTS_ON_PAIR: bool = true;

    fn check(&self) -> Result<()> {
        check_text("a client id", &self.client)?;
        check_text("a subject", &self.subject)?;
        check_text("a list of scopes", &self.scopes)?;
        check_text("an audience", &self.audience)?;
        self.payload.as_ref().map_or(Ok(()), Payload::check)
    }
}

/// A personal access token: made by a person, named, listed, revoked by hand.
///
/// It may live until it is revoked, so it rests on the epochs of its subject and its client, and
/// not on that of the pair, which expires: [`Owners::apart`], and [`Epochs::without_pair`] of what
/// it was issued under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    /// What its owner calls it.
    pub name: String,
    /// The root key that its look-up id is made with: without it the token cannot be presented.
    pub key_id: u32,
    /// Its owner.
    pub subject: String,
    /// The client it was made through; empty for none.
    pub client: String,
    /// Its scopes, separated by spaces.
    pub scopes: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// The epochs it was issued under.
    pub epochs: Epochs,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// What the server attached.
    pub payload: Option<Payload>,
}

impl Record for Personal {
    const KIND: Kind = Kind::revised(3);
    const NAME: &'static str = "personal access token";

    fn terms(&self) -> Terms {
        match self.client.as_str() {
            "" => Terms::one(Owner::Subject(&self.subject).term()),
            client => Owners::apart(&self.subject, client).terms(),
        }
    }

    fn check(&self) -> Result<()> {
        check_text("a token name", &self.name)?;
        check_text("a subject", &self.subject)?;
        check_text("a client id", &self.client)?;
        check_text("a list of scopes", &self.scopes)?;
        self.payload.as_ref().map_or(Ok(()), Payload::check)
    }
}
