//! Scripts of what an authorization server does, on a simulated disk: each operation's effect is
//! known, so that whatever a crash or a fault leaves can be held against it.

mod crashes;
mod facts;
mod look;
mod op;
mod probe;
mod world;

pub use crashes::{Counts, Crashes, DISK_BYTES_MAX, May, recovered};
pub use facts::Facts;
pub use look::look;
pub use op::{Op, Step};
pub use probe::probe;
pub use world::{Opened, World, open};
