//! An embedded, crash-safe store for what an authorization server issues.

pub mod backend;
mod clock;
mod digest;
mod disk;
mod engine;
mod error;
mod foreign;
mod keyring;
mod memory;
#[doc(hidden)]
pub mod sabotage;
mod store;
mod sync;
mod timekeeper;
mod wait;

pub use backend::Health;
pub use clock::{Clock, LIFETIME_DEFAULT_MAX, LIFETIME_MAX, ManualClock, SystemClock, Timestamp};
pub use digest::Digest;
pub use disk::{Disk, DiskFile, FileId, OpenMode, OsDisk, read_named_file};
pub use engine::{
    BACKUP_FILE, DAMAGES_NAMED_MAX, Embedded, KeySource, LOG_BUDGET_BYTES, LOG_BUDGET_BYTES_MIN,
    Options, RESERVE_BYTES, ROW_CACHE_BYTES, TABLE_CACHE_BYTES, Verified, Verifying,
};
pub use error::{Error, ErrorKind, Result};
pub use keyring::{KEYRING_FILE, KEYS_MAX, Keyring, RootKey, random};
pub use memory::Memory;
pub use store::*;
pub use timekeeper::{DRIFT_MAX, LEAP_BELIEVED_MIN, LEAP_HOLD, PACE_HOLD};
pub use wait::Wait;
