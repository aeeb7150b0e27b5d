//! The bytes of format 1, so that no change of the code changes them unseen.
//!
//! `v1/` is a store directory as this version wrote it, every file cut behind its last byte that is
//! not zero; `v1/lengths` says how long each was. A release that changes the format adds a
//! directory of its own: set `GRANTKEEP_FIXTURES` to an empty directory and run this suite; what
//! it writes there becomes `v2/`, and `v1/` stays and must open for ever.

mod bytes;
mod fixture;
