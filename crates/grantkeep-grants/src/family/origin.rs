//! Where a grant comes from: the log-in session, a label, and facts such as the device and the
//! address. A code or a device authorization carries them to the family that it opens.

use crate::grants::check_name;
use crate::text::attachment::Attachment;
use grantkeep::{Keyring, Origin, Result, SessionId};

/// What a builder was given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GivenOrigin<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) label: Option<&'a str>,
    pub(crate) facts: Option<(&'a [u8], bool)>,
}

/// What a family is opened with.
#[derive(Debug, Default)]
pub(crate) struct OpenOrigin {
    pub(crate) session: Option<SessionId>,
    pub(crate) label: String,
    pub(crate) facts: Option<Attachment>,
}

impl GivenOrigin<'_> {
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for a session with an empty name: all that
    /// have none would be one.
    pub(crate) fn read(self) -> Result<OpenOrigin> {
        if let Some(session) = self.session {
            check_name("the name of a log-in session", session)?;
        }
        Ok(OpenOrigin {
            session: self.session.map(SessionId::of),
            label: self.label.unwrap_or_default().to_owned(),
            facts: self.facts.map(|(bytes, sealed)| Attachment::new(bytes, sealed)),
        })
    }
}

impl OpenOrigin {
    /// What a record carried whose payload `secret` opens.
    pub(crate) fn open(origin: &Origin, keyring: &Keyring, secret: &[u8]) -> Result<Self> {
        let open = |facts| Attachment::open(facts, keyring, secret);
        Ok(Self {
            session: origin.session,
            label: origin.label.clone(),
            facts: origin.facts.as_ref().map(open).transpose()?,
        })
    }

    /// What is stored beside a payload that `secret` opens.
    pub(crate) fn close(&self, keyring: &Keyring, secret: &[u8]) -> Result<Origin> {
        let close = |facts: &Attachment| facts.close(keyring, secret);
        Ok(Origin {
            session: self.session,
            label: self.label.clone(),
            facts: self.facts.as_ref().map(close).transpose()?,
        })
    }
}

/// Makes the setters of a builder that has an `origin`.
macro_rules! origin_setters {
    () => {
        /// The log-in session that it is granted in, by the name that the server has for it (`sid`
        /// of OpenID Connect, or a cookie): the family is listed by it, and revoked with it. Only a
        /// digest of the name is kept. No two sessions have one name, whosever they are.
        #[must_use]
        pub fn session(self, session: impl Into<Option<&'a str>>) -> Self {
            let session = session.into();
            Self { origin: $crate::family::origin::GivenOrigin { session, ..self.origin }, ..self }
        }

        /// What a person is to know the family by, at most 4,096 bytes; it can be changed later
        /// ([`FamilyEdit`](crate::FamilyEdit)).
        #[must_use]
        pub fn label(self, label: impl Into<Option<&'a str>>) -> Self {
            let label = label.into();
            Self { origin: $crate::family::origin::GivenOrigin { label, ..self.origin }, ..self }
        }

        /// What the server notes of where it was granted, such as the device and the address, at
        /// most 16 KiB: shown where families are listed, and put into no token. Kept as they are.
        #[must_use]
        pub fn facts(self, facts: &'a [u8]) -> Self {
            let facts = Some((facts, false));
            Self { origin: $crate::family::origin::GivenOrigin { facts, ..self.origin }, ..self }
        }

        /// Such facts, sealed at rest.
        #[must_use]
        pub fn sealed_facts(self, facts: &'a [u8]) -> Self {
            let facts = Some((facts, true));
            Self { origin: $crate::family::origin::GivenOrigin { facts, ..self.origin }, ..self }
        }
    };
}

pub(crate) use origin_setters;
