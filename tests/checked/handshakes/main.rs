//! The small handshakes that everybody's waiting rests on, as the engine's own sources, under each
//! order of events that the memory model allows (loom): complete up to the number of preemptions
//! that is printed.
#![allow(dead_code)]

#[path = "../../../crates/grantkeep/src/engine/doorbell.rs"]
mod doorbell;
mod exhaust;
mod foreign {
    /// Nothing foreign is waked here.
    pub(crate) fn call(_: &str, code: impl FnOnce()) {
        code();
    }
}
mod parking;
mod ringing;
mod sabotage {
    pub(crate) use crate::exhaust::{Flaw, is};
}
#[path = "../../../crates/grantkeep/src/engine/signal.rs"]
mod signal;
mod signaling;
mod sync;
#[path = "../../../crates/grantkeep/src/wait.rs"]
mod wait;
