//! A server under load over loopback: the generator, what it presents, and `grantkeep serve` as one
//! of those that it loads.
//!
//! Another server with the same endpoints is measured by [`run`] with a [`Stock`] of its own:
//! nothing in there knows what is behind the address.

mod connection;
mod kind;
mod load;
mod process;
mod stock;

pub use kind::{INTROSPECT, Kind, RESOURCE, TOKEN};
pub use load::{Ran, WARM_UP, run};
pub use process::{Served, processor_of};
pub use stock::{CLIENT, FAMILIES, SCOPE, SECRET, Stock, grants, open, policy, register, subject};

/// Connections, each with one request under way.
pub const CONNECTIONS: usize = 64;

/// The figure below which this share of all lies, in milliseconds; zero of none.
pub fn millis(latencies_ns: &mut [u32], share: f64) -> f64 {
    latencies_ns.sort_unstable();
    let at = (latencies_ns.len().saturating_sub(1) as f64 * share).round() as usize;
    f64::from(latencies_ns.get(at).copied().unwrap_or(0)) / 1e6
}
