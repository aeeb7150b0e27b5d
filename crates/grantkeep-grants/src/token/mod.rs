//! Tokens as they are presented: what they are worth, and how they are revoked.

pub(crate) mod check;
pub(crate) mod client_credentials;
pub(crate) mod introspect;
pub(crate) mod refresh_standing;
pub(crate) mod revoke;
