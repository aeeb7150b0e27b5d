//! The texts of tokens and codes: how they are made, written, and read back.

pub(crate) mod attachment;
pub(crate) mod base62;
pub(crate) mod format;
pub(crate) mod kind;
pub(crate) mod minter;
pub(crate) mod refresh_token;
pub(crate) mod secret;
