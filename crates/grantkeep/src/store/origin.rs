//! Where a grant comes from: what a code or a device authorization request carries to its family.

use super::owner::SessionId;
use super::record::check_text;
use super::seal::Payload;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// What a family is told of where it was granted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The log-in session that it is granted in.
    pub session: Option<SessionId>,
    /// What a person is to know it by; may be empty.
    pub label: String,
    /// What the server notes of it, such as the device and the address. If it is sealed, it is for
    /// whatever opens the payload beside it.
    pub facts: Option<Payload>,
}

impl Origin {
    /// What is left of it once the family is open: the session, on whose epoch the record rests.
    #[must_use]
    pub fn spent(self) -> Self {
        Self { session: self.session, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_text("a label", &self.label)?;
        self.facts.as_ref().map_or(Ok(()), Payload::check)
    }
}
