//! The bytes of format 4, so that no change of the code changes them unseen.
//!
//! `v4/` is a store directory as this version wrote it, every file cut behind its last byte that is
//! not zero; `v4/lengths` says how long each was. Its values are of format 4. Formats 1 to 3, and
//! values of format 3, were never released, and are refused. A release that changes the format adds
//! a directory of its own: set `GRANTKEEP_FIXTURES` to an empty directory and run this suite; what
//! it writes there becomes `v5/`, and `v4/` stays and must open for ever.

mod bytes;
mod fixture;
