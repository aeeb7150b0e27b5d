//! Limits on guessing, in a table of one size: whoever fails often is refused for a while.
//!
//! 1. A failure fills a bucket of its kind and of where it came from; the bucket leaks with time,
//!    and while it is full every attempt is refused. What succeeds fills nothing.
//! 2. Where an attempt came from is the address of the connection, never a header, which anybody
//!    can write; an IPv6 address counts by its /64, which is one customer's.
//! 3. The table has [`SLOTS`] slots in groups of [`WAYS`]. A bucket that finds its group taken
//!    takes the place of the one with the least in it. So the table never grows, and who comes from
//!    many addresses makes it forget the emptiest first.
//! 4. Slots are found by a keyed hash, so nobody can choose to meet another's.

use crate::rejection::Rejection;
use parking_lot::Mutex;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Slots in the table: 24 bytes each.
pub const SLOTS: usize = 1 << 16;
const WAYS: usize = 8;
/// Groups that one lock guards.
const LOCKS: usize = 64;

/// What is guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guessed {
    /// A person's password: 10 failures at once, and one more every 6 s.
    Password,
    /// A client's secret: 20, and one more every second.
    ClientSecret,
    /// The user code of a device: 10, and one more every 6 s. 20 letters in 8 places are 2^34
    /// (RFC 8628 section 5.1).
    UserCode,
    /// A code or a token: 200, and 20 more every second. Clients present stale ones.
    Token,
}

impl Guessed {
    /// How many failures fill the bucket, and how long one takes to leak.
    const fn bucket(self) -> (f64, f64) {
        match self {
            Self::Password | Self::UserCode => (10.0, 6.0),
            Self::ClientSecret => (20.0, 1.0),
            Self::Token => (200.0, 0.05),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    tag: u64,
    /// When it will have leaked, in seconds since the table was made.
    empty_at: f64,
}

/// The table. It is shared by everything that takes guesses.
pub struct Guesses {
    hasher: RandomState,
    began: Instant,
    locks: Vec<Mutex<Vec<Slot>>>,
}

impl fmt::Debug for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guesses").field("slots", &SLOTS).finish_non_exhaustive()
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self::new()
    }
}

impl Guesses {
    /// An empty table.
    pub fn new() -> Self {
        let slots = || Mutex::new(vec![Slot::default(); SLOTS / LOCKS]);
        let locks = std::iter::repeat_with(slots).take(LOCKS).collect();
        Self { hasher: RandomState::new(), began: Instant::now(), locks }
    }

    /// Whether another attempt may be made from there. An attempt from nowhere, where the server
    /// does not tell ([`axum::extract::ConnectInfo`]), is not limited.
    ///
    /// # Errors
    /// A refusal with status 429 and the time until one may.
    pub fn check(&self, what: Guessed, from: Option<IpAddr>) -> Result<(), Rejection> {
        self.check_at(what, from, self.now())
    }

    /// Notes an attempt that failed.
    pub fn failed(&self, what: Guessed, from: Option<IpAddr>) {
        self.failed_at(what, from, self.now());
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn check_at(&self, what: Guessed, from: Option<IpAddr>, now: f64) -> Result<(), Rejection> {
        let Some(from) = from else { return Ok(()) };
        let (most, leak_s) = what.bucket();
        let empty_at = self
            .with_slot(what, from, |slot, tag| if slot.tag == tag { slot.empty_at } else { 0.0 });
        // The bucket is full while it takes longer to leak than one with room for another does.
        let over_s = empty_at - now - (most - 1.0) * leak_s;
        if over_s > 0.0 {
            return Err(Rejection::too_many(Duration::from_secs_f64(over_s.ceil())));
        }
        Ok(())
    }

    fn failed_at(&self, what: Guessed, from: Option<IpAddr>, now: f64) {
        let Some(from) = from else { return };
        let (most, leak_s) = what.bucket();
        self.with_slot(what, from, |slot, tag| {
            if slot.tag != tag {
                *slot = Slot { tag, empty_at: now };
            }
            slot.empty_at = (slot.empty_at.max(now) + leak_s).min(now + most * leak_s);
        });
    }

    /// Shows the slot of this attempt, or the one whose place it takes.
    fn with_slot<T>(
        &self,
        what: Guessed,
        from: IpAddr,
        see: impl FnOnce(&mut Slot, u64) -> T,
    ) -> T {
        let tag = self.hasher.hash_one((what, network(from))) | 1;
        let groups = SLOTS / LOCKS / WAYS;
        let at = usize::try_from(tag >> 1).unwrap_or(usize::MAX);
        let mut none = Slot::default();
        let Some(lock) = self.locks.get(at % LOCKS) else { return see(&mut none, tag) };
        let mut slots = lock.lock();
        let group = (at / LOCKS % groups) * WAYS;
        let ways = slots.get_mut(group..group + WAYS).unwrap_or_default();
        let held = ways.iter().position(|slot| slot.tag == tag);
        let emptiest = || {
            let by_level = |(_, a): &(usize, &Slot), (_, b): &(usize, &Slot)| {
                a.empty_at.total_cmp(&b.empty_at)
            };
            ways.iter().enumerate().min_by(by_level).map(|(at, _)| at)
        };
        match held.or_else(emptiest).and_then(|at| ways.get_mut(at)) {
            Some(slot) => see(slot, tag),
            None => see(&mut none, tag),
        }
    }
}

/// The part of an address that is one customer's.
fn network(from: IpAddr) -> [u8; 8] {
    let mut network = [0; 8];
    let octets = match from.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    // The last four bytes of what an IPv4 address is mapped to, and the first eight of an IPv6 one.
    let range = if from.to_canonical().is_ipv4() { 8..16 } else { 0..8 };
    for (to, octet) in network.iter_mut().zip(octets.get(range).unwrap_or_default()) {
        *to = *octet;
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn refused(guesses: &Guesses, what: Guessed, from: IpAddr, now: f64) -> bool {
        guesses.check_at(what, Some(from), now).is_err()
    }

    // Goal: so many failures and no more are let through, each kind and address for itself, and
    // time lets them through again. Method: failures at stated moments.
    #[test]
    fn guesses_are_limited_by_kind_and_address() {
        let guesses = Guesses::new();
        let from = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
        for tried in 0..10 {
            assert!(!refused(&guesses, Guessed::Password, from, 1.0), "attempt {tried}");
            guesses.failed_at(Guessed::Password, Some(from), 1.0);
        }
        assert!(refused(&guesses, Guessed::Password, from, 1.0));
        assert!(!refused(&guesses, Guessed::Password, other, 1.0));
        assert!(!refused(&guesses, Guessed::UserCode, from, 1.0));
        // One more every six seconds, and all of them after a minute.
        assert!(refused(&guesses, Guessed::Password, from, 6.5));
        assert!(!refused(&guesses, Guessed::Password, from, 7.5));
        guesses.failed_at(Guessed::Password, Some(from), 7.5);
        assert!(refused(&guesses, Guessed::Password, from, 7.5));
        for _ in 0..10 {
            assert!(!refused(&guesses, Guessed::Password, from, 70.0));
            guesses.failed_at(Guessed::Password, Some(from), 70.0);
        }
        assert!(refused(&guesses, Guessed::Password, from, 70.0));
    }

    // Goal: the addresses of one IPv6 customer share their limit, and whoever fails the most is
    // remembered the longest, however many others there are. Method: ten failures from addresses of
    // one /64; then one each from more networks than there are slots.
    #[test]
    fn the_table_forgets_the_emptiest_first() {
        let guesses = Guesses::new();
        let address = |network: u32, host: u16| {
            let own = u128::from(network) << 64 | u128::from(host);
            IpAddr::V6(Ipv6Addr::from(0x2001_0db8 << 96 | own))
        };
        for host in 0..10 {
            guesses.failed_at(Guessed::Password, Some(address(0, host)), 1.0);
        }
        assert!(refused(&guesses, Guessed::Password, address(0, 77), 1.0));
        for network in 1..100_000 {
            guesses.failed_at(Guessed::Password, Some(address(network, 0)), 1.0);
        }
        assert!(refused(&guesses, Guessed::Password, address(0, 78), 1.0));
    }
}
