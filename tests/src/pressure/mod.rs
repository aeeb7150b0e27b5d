//! Pressure on a store: more load than fits, long jobs, and things that are taken away.

pub mod strained;
