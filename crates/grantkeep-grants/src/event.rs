//! What can happen, as subscribers, logs, and metrics are told.

use crate::kind::ClaimsKind;
use grantkeep::{FamilyId, RevocationReason};

/// Something that is durable now. None holds a code, a token, or anything that yields one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A code was issued, or a device approved.
    Authorized {
        /// To this client.
        client: String,
        /// By this subject.
        subject: String,
    },
    /// A token was issued without a code: by password, to a client itself, or a personal one.
    Issued {
        /// What it is.
        kind: ClaimsKind,
        /// The client; empty for a personal token without one.
        client: String,
        /// The subject; empty for a client itself.
        subject: String,
        /// The family, if it has one.
        family: Option<FamilyId>,
    },
    /// A code was redeemed, and opened a family.
    Redeemed {
        /// By this client.
        client: String,
        /// For this subject.
        subject: String,
        /// The family.
        family: FamilyId,
    },
    /// A spent code was presented again: what its first use produced is revoked.
    Replayed {
        /// The family, if the first use opened one.
        family: Option<FamilyId>,
    },
    /// A refresh token was used.
    Rotated {
        /// Its family.
        family: FamilyId,
        /// The generation that is accepted now; the same as before where the policy does not
        /// rotate.
        generation: u32,
    },
    /// A refresh token was used again within the grace period, and answered the same successor.
    Retried {
        /// Its family.
        family: FamilyId,
    },
    /// A spent refresh token was presented: its family is revoked (RFC 9700 section 4.14.2).
    Reused {
        /// The family.
        family: FamilyId,
    },
    /// One token was revoked by itself.
    TokenRevoked {
        /// What it is.
        kind: ClaimsKind,
    },
    /// A family was revoked.
    FamilyRevoked {
        /// The family.
        family: FamilyId,
        /// Why.
        reason: RevocationReason,
    },
    /// Everything that a subject had granted was revoked.
    SubjectRevoked {
        /// The subject.
        subject: String,
    },
    /// Everything that a client had was revoked.
    ClientRevoked {
        /// The client.
        client: String,
    },
    /// Rows that had expired were removed.
    Swept {
        /// How many.
        rows: u64,
        /// Windows of time that were closed by it.
        windows: u64,
    },
}

impl Event {
    /// The name by which it is counted and logged.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Authorized { .. } => "authorized",
            Self::Issued { .. } => "issued",
            Self::Redeemed { .. } => "redeemed",
            Self::Replayed { .. } => "replayed",
            Self::Rotated { .. } => "rotated",
            Self::Retried { .. } => "retried",
            Self::Reused { .. } => "reused",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::FamilyRevoked { .. } => "family_revoked",
            Self::SubjectRevoked { .. } => "subject_revoked",
            Self::ClientRevoked { .. } => "client_revoked",
            Self::Swept { .. } => "swept",
        }
    }
}
