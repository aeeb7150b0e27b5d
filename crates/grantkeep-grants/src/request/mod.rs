//! What requests and their answers have in common.

pub(crate) mod audience;
pub(crate) mod issued;
pub(crate) mod listed;
pub(crate) mod mismatch;
pub(crate) mod optional;
pub mod proof;
pub(crate) mod scope;
pub(crate) mod setter;
