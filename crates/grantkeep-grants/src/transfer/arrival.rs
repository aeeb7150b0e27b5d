//! What an import brings, once its line was checked.

use crate::decision::Owned;
use grantkeep::{
    Client, Digest, Family, FamilyId, PairFamilies, Personal, Timestamp, Token, TokenSha256,
};
use zeroize::Zeroizing;

/// A token's text, or its SHA-256.
#[derive(Clone)]
pub(crate) enum Bearer {
    Text(Zeroizing<String>),
    Sha256(TokenSha256),
}

impl Bearer {
    /// What tells it from others within one import.
    pub(crate) fn mark(&self) -> Digest {
        let sha256 = match self {
            Self::Text(text) => TokenSha256::of(text.as_bytes()),
            Self::Sha256(sha256) => sha256.clone(),
        };
        Digest::from_bytes(*sha256.as_bytes())
    }
}

/// One line, ready to be issued. Its epochs and root keys are put when it is: until then there are
/// the longest.
pub(crate) enum Arrival {
    Token {
        bearer: Bearer,
        record: Token,
        until: Timestamp,
    },
    Personal {
        bearer: Bearer,
        record: Personal,
        until: Timestamp,
    },
    Family {
        bearer: Option<Bearer>,
        record: Box<Family>,
        until: Timestamp,
    },
    Client(Box<Client>),
    /// It has ended already; which family it is, if it is one.
    Ended(Option<FamilyId>),
}

impl Arrival {
    /// Whose it is.
    pub(crate) fn owners(&self) -> Owned<'_> {
        let (subject, client, session) = match self {
            Self::Token { record, .. } => (&record.subject, &record.client, None),
            Self::Personal { record, .. } => (&record.subject, &record.client, None),
            Self::Family { record, .. } => (&record.subject, &record.client, record.session),
            Self::Client(_) | Self::Ended(_) => return Owned::default(),
        };
        Owned { subject, client, session }
    }

    /// When what is issued by it ends.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Token { until, .. }
            | Self::Personal { until, .. }
            | Self::Family { until, .. } => Some(*until),
            Self::Client(_) | Self::Ended(_) => None,
        }
    }

    /// This, or that it has ended by `now`.
    pub(crate) fn unless_over(self, now: Timestamp) -> Self {
        match (&self, self.until()) {
            (Self::Family { record, .. }, Some(until)) if until <= now => {
                Self::Ended(Some(record.id))
            }
            (_, Some(until)) if until <= now => Self::Ended(None),
            _ => self,
        }
    }

    /// The family that a token is of.
    pub(crate) fn family(&self) -> Option<FamilyId> {
        match self {
            Self::Token { record, .. } => record.family,
            _ => None,
        }
    }

    /// The row of the pair that it adds a family to.
    pub(crate) fn pair(&self) -> Option<Digest> {
        match self {
            Self::Family { record, .. } => {
                Some(PairFamilies::row_id(&record.subject, &record.client))
            }
            _ => None,
        }
    }

    /// How many steps of a batch it takes at most, without its owners and its pair: of a token that
    /// of the session of its family as well.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Token { record, .. } if record.family.is_some() => 2,
            Self::Family { bearer: Some(_), .. } => 2,
            Self::Ended(_) => 0,
            _ => 1,
        }
    }
}
