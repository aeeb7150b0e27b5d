//! What the benches share: the workloads, the crowd of callers that runs them, and the yardsticks
//! that the store is measured against in the same run. Absolute figures drift from machine to
//! machine and from hour to hour; ratios within one run mean something.

pub mod crowd;
pub mod dying;
pub mod granted;
pub mod load;
pub mod random;
pub mod scratch;
pub mod served;
pub mod workload;
pub mod yardstick;

pub use crowd::{CALLERS, Ran, Sample, Until, crowd};
pub use random::Random;
pub use scratch::Scratch;
