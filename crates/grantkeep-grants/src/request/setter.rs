//! The setters that requests have in common, each with the words of its request.
//!
//! A setter of what a request may leave out takes the value or an `Option` of it:
//! [`Optional`](crate::Optional) texts and bytes, [`Texts`](crate::Texts), and of anything else
//! `Into<Option<_>>`. `None` is as good as not calling it.

/// Makes the setter of this name for a field of this name.
macro_rules! setter {
    // Of a field that is no scopes where it is left out.
    ($(#[$doc:meta])* scopes) => {
        $(#[$doc])*
        #[must_use]
        pub fn scopes(self, scopes: impl $crate::Texts) -> Self {
            Self { scopes: $crate::request::scope::given(scopes).unwrap_or_default(), ..self }
        }
    };
    // Of a field that is all scopes where it is left out.
    ($(#[$doc:meta])* some_scopes) => {
        $(#[$doc])*
        #[must_use]
        pub fn scopes(self, scopes: impl $crate::Texts) -> Self {
            Self { scopes: $crate::request::scope::given(scopes), ..self }
        }
    };
    ($(#[$doc:meta])* audience) => {
        $(#[$doc])*
        #[must_use]
        pub fn audience(self, audience: impl $crate::Texts) -> Self {
            Self { audience: $crate::request::audience::AskedAudience::read(audience), ..self }
        }
    };
    ($(#[$doc:meta])* confirmation) => {
        $(#[$doc])*
        #[must_use]
        pub fn confirmation(self, proven: impl Into<Option<grantkeep::Confirmation>>) -> Self {
            Self { confirmation: proven.into(), ..self }
        }
    };
    ($(#[$doc:meta])* client_authenticated) => {
        $(#[$doc])*
        #[must_use]
        pub fn client_authenticated(self) -> Self {
            Self { client_authenticated: true, ..self }
        }
    };
    ($(#[$doc:meta])* payload) => {
        $(#[$doc])*
        #[must_use]
        pub fn payload(self, bytes: impl $crate::Optional<'a, [u8]>) -> Self {
            Self { payload: bytes.optional().map(|bytes| (bytes, false)), ..self }
        }
    };
    ($(#[$doc:meta])* sealed_payload) => {
        $(#[$doc])*
        #[must_use]
        pub fn sealed_payload(self, bytes: impl $crate::Optional<'a, [u8]>) -> Self {
            Self { payload: bytes.optional().map(|bytes| (bytes, true)), ..self }
        }
    };
}

pub(crate) use setter;
