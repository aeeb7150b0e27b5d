//! Yardsticks: what the store is measured against. Each is as a good engineer would write it for
//! its one purpose, and none does more than the comparison needs.

mod bare_log;
mod digest_map;
mod group_commit;
mod random_keys;

pub use bare_log::BareLog;
pub use digest_map::DigestMap;
pub use group_commit::GroupCommit;
pub use random_keys::{Pair, RandomKeys};
