//! The setters that requests have in common, each with the words of its request.

/// Makes the setter of this name for a field of this name.
macro_rules! setter {
    ($(#[$doc:meta])* scopes) => {
        $(#[$doc])*
        #[must_use]
        pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
            Self { scopes: $crate::scope::join(scopes).into(), ..self }
        }
    };
    ($(#[$doc:meta])* audience) => {
        $(#[$doc])*
        #[must_use]
        pub fn audience<S: AsRef<str>>(self, audience: impl IntoIterator<Item = S>) -> Self {
            Self { audience: $crate::audience::AskedAudience::read(audience), ..self }
        }
    };
    ($(#[$doc:meta])* confirmation) => {
        $(#[$doc])*
        #[must_use]
        pub fn confirmation(self, confirmation: grantkeep::Confirmation) -> Self {
            Self { confirmation: Some(confirmation), ..self }
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
        pub fn payload(self, bytes: &'a [u8]) -> Self {
            Self { payload: Some((bytes, false)), ..self }
        }
    };
    ($(#[$doc:meta])* sealed_payload) => {
        $(#[$doc])*
        #[must_use]
        pub fn sealed_payload(self, bytes: &'a [u8]) -> Self {
            Self { payload: Some((bytes, true)), ..self }
        }
    };
}

pub(crate) use setter;
