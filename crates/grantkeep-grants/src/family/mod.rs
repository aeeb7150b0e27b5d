//! Refresh families: opening, rotation, lists, and how they end.

pub(crate) mod bound;
pub(crate) mod ending;
pub(crate) mod families;
pub(crate) mod family_edit;
pub(crate) mod generation;
pub(crate) mod opening;
pub(crate) mod origin;
pub(crate) mod refresh;
pub(crate) mod sessions;
