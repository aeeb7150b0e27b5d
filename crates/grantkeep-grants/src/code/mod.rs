//! Codes, from the authorization request to their redemption.

pub(crate) mod authorize;
pub(crate) mod claim;
pub(crate) mod pkce;
pub(crate) mod push;
pub(crate) mod redeem;
pub(crate) mod repeat;
