//! Disks that lose power or fail at each of their operations, under everything that an
//! authorization server does.

mod calls;
mod crashes;
mod errors;
mod guards;
mod jobs;
