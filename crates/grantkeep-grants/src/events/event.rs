//! What can happen, as subscribers, logs, and metrics are told.

use crate::request::mismatch::Mismatch;
use crate::text::kind::ClaimsKind;
use grantkeep::{FamilyId, RevocationReason, SessionId};

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
        /// The client it was issued to.
        client: String,
        /// Who granted it.
        subject: String,
        /// The family, if the first use opened one.
        family: Option<FamilyId>,
    },
    /// A refresh token was used.
    Rotated {
        /// The client.
        client: String,
        /// Who granted it.
        subject: String,
        /// Its family.
        family: FamilyId,
        /// The generation that is accepted now; the same as before where the policy does not
        /// rotate.
        generation: u32,
    },
    /// A refresh token was used again within the grace period, and answered the same successor.
    Retried {
        /// The client.
        client: String,
        /// Who granted it.
        subject: String,
        /// Its family.
        family: FamilyId,
    },
    /// A spent refresh token was presented: its family is revoked (RFC 9700 section 4.14.2).
    Reused {
        /// The client it was issued to.
        client: String,
        /// Who granted it.
        subject: String,
        /// The family.
        family: FamilyId,
    },
    /// A code was redeemed, or a device polled, once more within the grace period, and answered the
    /// same refresh token.
    Repeated {
        /// The client.
        client: String,
        /// Who granted it.
        subject: String,
        /// Its family.
        family: FamilyId,
    },
    /// More generations in a row were retried than the policy's `retried_generations_max`: somebody
    /// may be refreshing beside the owner.
    RetriedInRow {
        /// The client it was issued to.
        client: String,
        /// Who granted it.
        subject: String,
        /// The family.
        family: FamilyId,
        /// How many generations.
        generations: u32,
    },
    /// One token was revoked by itself.
    TokenRevoked {
        /// What it is.
        kind: ClaimsKind,
        /// The client; empty for a personal token without one.
        client: String,
        /// The subject; empty for a client itself.
        subject: String,
        /// The family, if it has one.
        family: Option<FamilyId>,
    },
    /// A family was revoked.
    FamilyRevoked {
        /// The client it was granted to.
        client: String,
        /// Who granted it.
        subject: String,
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
    /// Everything that a subject had granted to a client was revoked.
    PairRevoked {
        /// The client.
        client: String,
        /// The subject.
        subject: String,
    },
    /// Everything that was granted in a log-in session was revoked.
    SessionRevoked {
        /// The session, as its families name it.
        session: SessionId,
    },
    /// Everything that clients had on behalf of a subject was revoked, but one family.
    OthersRevoked {
        /// The subject.
        subject: String,
        /// The family that was kept; `None` if it was not in force.
        family: Option<FamilyId>,
    },
    /// A code or a refresh token was presented with something else than it is bound to, and
    /// refused: it may be stolen.
    Mismatched {
        /// What does not match.
        what: Mismatch,
        /// The client that presented it.
        client: String,
        /// Who granted it; empty where nobody has yet.
        subject: String,
        /// The family, if there is one.
        family: Option<FamilyId>,
    },
    /// A client did not authenticate.
    ClientRefused {
        /// Its id; empty if there is no such client. What was given instead is not told: it may be
        /// a secret in the wrong place.
        client: String,
    },
    /// A user code was typed that leads to no device: somebody may be guessing (RFC 8628 section
    /// 5.1).
    UserCodeUnknown,
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
            Self::Repeated { .. } => "repeated",
            Self::RetriedInRow { .. } => "retried_in_row",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::FamilyRevoked { .. } => "family_revoked",
            Self::SubjectRevoked { .. } => "subject_revoked",
            Self::ClientRevoked { .. } => "client_revoked",
            Self::PairRevoked { .. } => "pair_revoked",
            Self::SessionRevoked { .. } => "session_revoked",
            Self::OthersRevoked { .. } => "others_revoked",
            Self::Mismatched { .. } => "mismatched",
            Self::ClientRefused { .. } => "client_refused",
            Self::UserCodeUnknown => "user_code_unknown",
            Self::Swept { .. } => "swept",
        }
    }

    /// The client that it concerns.
    pub fn client(&self) -> Option<&str> {
        let client = match self {
            Self::Authorized { client, .. }
            | Self::Issued { client, .. }
            | Self::Redeemed { client, .. }
            | Self::Replayed { client, .. }
            | Self::Rotated { client, .. }
            | Self::Retried { client, .. }
            | Self::Reused { client, .. }
            | Self::Repeated { client, .. }
            | Self::RetriedInRow { client, .. }
            | Self::TokenRevoked { client, .. }
            | Self::FamilyRevoked { client, .. }
            | Self::ClientRevoked { client }
            | Self::PairRevoked { client, .. }
            | Self::Mismatched { client, .. }
            | Self::ClientRefused { client } => client,
            Self::SubjectRevoked { .. }
            | Self::SessionRevoked { .. }
            | Self::OthersRevoked { .. }
            | Self::UserCodeUnknown
            | Self::Swept { .. } => return None,
        };
        (!client.is_empty()).then_some(client)
    }

    /// The subject that it concerns.
    pub fn subject(&self) -> Option<&str> {
        let subject = match self {
            Self::Authorized { subject, .. }
            | Self::Issued { subject, .. }
            | Self::Redeemed { subject, .. }
            | Self::Replayed { subject, .. }
            | Self::Rotated { subject, .. }
            | Self::Retried { subject, .. }
            | Self::Reused { subject, .. }
            | Self::Repeated { subject, .. }
            | Self::RetriedInRow { subject, .. }
            | Self::TokenRevoked { subject, .. }
            | Self::FamilyRevoked { subject, .. }
            | Self::SubjectRevoked { subject }
            | Self::PairRevoked { subject, .. }
            | Self::OthersRevoked { subject, .. }
            | Self::Mismatched { subject, .. } => subject,
            Self::ClientRevoked { .. }
            | Self::SessionRevoked { .. }
            | Self::ClientRefused { .. }
            | Self::UserCodeUnknown
            | Self::Swept { .. } => return None,
        };
        (!subject.is_empty()).then_some(subject)
    }

    /// The family that it concerns.
    pub const fn family(&self) -> Option<FamilyId> {
        match self {
            Self::Issued { family, .. }
            | Self::Replayed { family, .. }
            | Self::TokenRevoked { family, .. }
            | Self::OthersRevoked { family, .. }
            | Self::Mismatched { family, .. } => *family,
            Self::Redeemed { family, .. }
            | Self::Rotated { family, .. }
            | Self::Retried { family, .. }
            | Self::Reused { family, .. }
            | Self::Repeated { family, .. }
            | Self::RetriedInRow { family, .. }
            | Self::FamilyRevoked { family, .. } => Some(*family),
            Self::Authorized { .. }
            | Self::SubjectRevoked { .. }
            | Self::ClientRevoked { .. }
            | Self::PairRevoked { .. }
            | Self::SessionRevoked { .. }
            | Self::ClientRefused { .. }
            | Self::UserCodeUnknown
            | Self::Swept { .. } => None,
        }
    }

    /// True if it may mean that somebody has, or guesses, what is not theirs. Such an event is told
    /// to `tracing` as a warning.
    pub const fn is_alarming(&self) -> bool {
        matches!(
            self,
            Self::Replayed { .. }
                | Self::Reused { .. }
                | Self::Retried { .. }
                | Self::Repeated { .. }
                | Self::RetriedInRow { .. }
                | Self::Mismatched { .. }
                | Self::ClientRefused { .. }
                | Self::UserCodeUnknown
        )
    }
}
