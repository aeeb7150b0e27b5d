//! The bytes of format 2, so that no change of the code changes them unseen.
//!
//! `v2/` is a store directory as this version wrote it, every file cut behind its last byte that is
//! not zero; `v2/lengths` says how long each was. Format 1 was never released, and is refused. A
//! release that changes the format adds a directory of its own: set `GRANTKEEP_FIXTURES` to an
//! empty directory and run this suite; what it writes there becomes `v3/`, and `v2/` stays and must
//! open for ever.

mod bytes;
mod fixture;
