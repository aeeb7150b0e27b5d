//! Pressure on a store: more load than fits, long jobs, and things that are taken away.
//!
//! A [round](round::play) is one store on a disk that is too small for its clients:
//!
//! 1. [Clients](client) issue, look up, redeem, rotate, and revoke as fast as they are answered.
//!    Each has a [book] of what it was told, and holds every answer against it.
//! 2. [Operators](operator) verify, back up, restore, carry, sweep, and rotate the keyring,
//!    again and again, two of them at once.
//! 3. Meanwhile room, descriptors, the table, the clock, and the store itself are
//!    [taken away](straits) and given back.
//! 4. At the end everything is given back. The store must recover by itself, and hold all that
//!    the books say, also once it was opened again.
//!
//! A refusal has a kind, and each kind is allowed only where something was taken that explains
//! it. Every call has a deadline.

pub mod book;
pub mod client;
pub mod operator;
pub mod round;
pub mod strained;
pub mod straits;
pub mod world;
