//! Limits on guessing, and on what is stored unasked, in a table of one size: whoever does too much
//! of either is refused for a while.
//!
//! 1. A bucket is filled by what is counted and leaks with time; what finds it full is refused. It
//!    is of one kind ([`Guessed`]) and of those that are counted together ([`Whose`]): an address,
//!    never a header, which anybody can write; a client or a person that is known; or a name that
//!    is tried. An IPv6 address counts by its /64, which is one customer's.
//! 2. Nobody is to keep others out by guessing. Where comparing is cheap, as with tokens and
//!    secrets, it is done first: what is right is let through whatever the bucket holds, and only
//!    what is wrong is counted and refused ([`Guesses::failed`]). None of these has fewer than 128
//!    bits where this project has made it.
//! 3. Where comparing is costly, or what is guessed is short, as with passwords and user codes, a
//!    place is taken before it is looked at ([`Guesses::take`]), so that attempts at the same time
//!    are counted as those one after the other. It is given back where the guess was right
//!    ([`Guess::give_back`]); a client that hangs up has not given it back. The bucket is then that
//!    of the name and of where it comes from, beside a much wider one of the address.
//! 4. No address has more than [`PASSWORDS_AT_ONCE`] places for passwords at a time, so that it
//!    cannot fill the queue of those that are verified.
//! 5. The table has [`SLOTS`] slots in groups of [`WAYS`]. A bucket that finds its group taken
//!    takes the place of the one with the least in it. So the table never grows, and who comes from
//!    many addresses makes it forget the emptiest first.
//! 6. Slots are found by a keyed hash, so nobody can choose to meet another's.
//!
//! A place that is given back late may take one failure of somebody else with it, as its own may
//! have leaked already; each costs a guess that was right.

use crate::rejection::Rejection;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Slots in the table: 16 bytes each.
pub const SLOTS: usize = 1 << 16;
const WAYS: usize = 8;
/// Groups that one lock guards.
const LOCKS: usize = 64;

/// Passwords from one address that are verified, or wait for it, at a time.
pub const PASSWORDS_AT_ONCE: usize = 16;
/// Rows of one client that wait for somebody's decision: so many at once, and as many again in the
/// time that one waits.
pub const PENDING_AT_ONCE: u32 = 4_096;
/// What counts as one row of those, in bytes: a larger one counts as several.
pub const PENDING_ROW_BYTES: usize = 4_096;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guessed {
    /// A person's password: 10 failures at once, and one more every 6 s.
    Password,
    /// The passwords of all people: 200, and 2 more every second.
    Passwords,
    /// A client's secret: 20, and one more every second.
    ClientSecret,
    /// The secret of operators: 20, and one more every second.
    OperatorSecret,
    /// The user code of a device: 10, and one more every 6 s. 20 letters in 8 places are 2^34
    /// (RFC 8628 section 5.1).
    UserCode,
    /// The user codes that all people type: 100, and 5 more every 3 s.
    UserCodes,
    /// A code or a token: 200, and 20 more every second. Clients present stale ones.
    Token,
    /// No guess: a row that is stored for somebody who has not authenticated. 60, and one more
    /// every second.
    Unasked,
    /// No guess either: a row that is stored until somebody decides, or this time is over.
    /// [`PENDING_AT_ONCE`], and as many again in this time.
    Pending(Duration),
}

impl Guessed {
    /// How much fills the bucket, and how long one takes to leak, in seconds.
    fn bucket(self) -> (f64, f64) {
        match self {
            Self::Password | Self::UserCode => (10.0, 6.0),
            Self::Passwords => (200.0, 0.5),
            Self::ClientSecret | Self::OperatorSecret => (20.0, 1.0),
            Self::UserCodes => (100.0, 0.6),
            Self::Token => (200.0, 0.05),
            Self::Unasked => (60.0, 1.0),
            Self::Pending(lifetime) => {
                let most = f64::from(PENDING_AT_ONCE);
                (most, lifetime.as_secs_f64() / most)
            }
        }
    }
}

/// Whose attempts are counted together. What comes from nowhere, where the server does not tell
/// ([`axum::extract::ConnectInfo`]), is not limited.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// All from one address.
    Address(Option<IpAddr>),
    /// Those at a name from an address.
    NameFrom(&'a str, Option<IpAddr>),
    /// Those at a name, the first, through a client that has authenticated.
    NameThrough(&'a str, &'a str),
    /// All of a client that has authenticated, or of one that has named itself.
    Client(&'a str),
    /// All of a person who is signed in.
    Person(&'a str),
}

/// What a bucket is found by. Names that differ in case or in space around them may be one
/// person's.
#[derive(Hash)]
enum Key<'a> {
    Address([u8; 8]),
    NameFrom(String, [u8; 8]),
    NameThrough(String, &'a str),
    Client(&'a str),
    Person(&'a str),
}

impl<'a> Whose<'a> {
    fn key(self) -> Option<Key<'a>> {
        let folded = |name: &str| name.trim().to_lowercase();
        Some(match self {
            Self::Address(from) => Key::Address(network(from?)),
            Self::NameFrom(name, from) => Key::NameFrom(folded(name), network(from?)),
            Self::NameThrough(name, client) => Key::NameThrough(folded(name), client),
            Self::Client(id) => Key::Client(id),
            Self::Person(subject) => Key::Person(subject),
        })
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
    /// Places for passwords that are taken, by network. There are no more than requests under way.
    at_once: Mutex<HashMap<[u8; 8], usize>>,
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

/// Places that are taken for a guess. Dropping it counts the guess as wrong.
#[derive(Debug)]
#[must_use = "dropping it counts the guess as wrong"]
pub struct Guess<'a> {
    table: &'a Guesses,
    /// The tags of the buckets, and what was put into each, in seconds.
    taken: Vec<(u64, f64)>,
    /// Whose share of the passwords at a time it is.
    share: Option<[u8; 8]>,
}

impl Guess<'_> {
    /// Gives the places back: the guess was right, or nobody has looked at it.
    pub fn give_back(mut self) {
        let now = self.table.now();
        for (tag, filled_s) in self.taken.drain(..) {
            self.table.with_slot(tag, |slot| {
                if slot.tag == tag {
                    slot.empty_at = (slot.empty_at - filled_s).max(now);
                }
            });
        }
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        let Some(network) = self.share else { return };
        let mut at_once = self.table.at_once.lock();
        if let Some(taken) = at_once.get_mut(&network) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                at_once.remove(&network);
            }
        }
    }
}

impl Guesses {
    /// An empty table.
    pub fn new() -> Self {
        let slots = || Mutex::new(vec![Slot::default(); SLOTS / LOCKS]);
        let locks = std::iter::repeat_with(slots).take(LOCKS).collect();
        let (hasher, began) = (RandomState::new(), Instant::now());
        Self { hasher, began, locks, at_once: Mutex::default() }
    }

    /// Takes a place in each of these buckets, before the guess is looked at.
    ///
    /// # Errors
    /// A refusal with status 429 and the time until there is room, with no place taken.
    pub fn take(&self, places: &[(Guessed, Whose<'_>)]) -> Result<Guess<'_>, Rejection> {
        self.take_at(places, self.now())
    }

    /// Notes a guess that was wrong.
    ///
    /// # Errors
    /// A refusal with status 429 where too many were, which is told instead.
    pub fn failed(&self, what: Guessed, whose: Whose<'_>) -> Result<(), Rejection> {
        self.fill(what, whose, 1, self.now()).map(drop)
    }

    /// Notes a row of so many bytes that is about to be stored.
    ///
    /// # Errors
    /// A refusal with status 429 where too many were, and it is not to be stored.
    pub fn stored(&self, what: Guessed, whose: Whose<'_>, bytes: usize) -> Result<(), Rejection> {
        let rows = u32::try_from(bytes.div_ceil(PENDING_ROW_BYTES).max(1)).unwrap_or(u32::MAX);
        let filled = self.fill(what, whose, rows, self.now()).map(drop);
        filled.map_err(|told| told.because("too many requests wait to be decided"))
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn take_at(&self, places: &[(Guessed, Whose<'_>)], now: f64) -> Result<Guess<'_>, Rejection> {
        let mut guess = Guess { table: self, taken: Vec::new(), share: None };
        for (what, whose) in places {
            let filled = match self.fill(*what, *whose, 1, now) {
                Ok(filled) => filled,
                Err(told) => {
                    guess.give_back();
                    return Err(told);
                }
            };
            guess.taken.extend(filled);
            let Whose::Address(Some(from)) = whose else { continue };
            if *what == Guessed::Passwords && !self.share(&mut guess, network(*from)) {
                guess.give_back();
                let told = Rejection::too_many(Duration::from_secs(1));
                return Err(told.because("too many passwords are being verified: come again"));
            }
        }
        Ok(guess)
    }

    /// Gives a guess its share of the passwords at a time; false where the network has no more.
    fn share(&self, guess: &mut Guess<'_>, network: [u8; 8]) -> bool {
        let mut at_once = self.at_once.lock();
        let taken = at_once.entry(network).or_default();
        if *taken == PASSWORDS_AT_ONCE {
            return false;
        }
        *taken += 1;
        guess.share = Some(network);
        true
    }

    /// Puts so much into a bucket; answers its tag and what was put in, in seconds.
    fn fill(
        &self,
        what: Guessed,
        whose: Whose<'_>,
        units: u32,
        now: f64,
    ) -> Result<Option<(u64, f64)>, Rejection> {
        let Some(key) = whose.key() else { return Ok(None) };
        let (most, leak_s) = what.bucket();
        let tag = self.hasher.hash_one((what, key)) | 1;
        let filled_s = f64::from(units) * leak_s;
        let over_s = self.with_slot(tag, |slot| {
            let level_s = if slot.tag == tag { (slot.empty_at - now).max(0.0) } else { 0.0 };
            let over_s = level_s + filled_s - most * leak_s;
            // Sums of what leaks are not exact.
            if over_s < leak_s / 1_000.0 {
                *slot = Slot { tag, empty_at: now + level_s + filled_s };
                return 0.0;
            }
            over_s
        });
        if over_s > 0.0 {
            return Err(Rejection::too_many(Duration::from_secs_f64(over_s.ceil())));
        }
        Ok(Some((tag, filled_s)))
    }

    /// Shows the slot of this tag, or the one whose place it takes.
    fn with_slot<T>(&self, tag: u64, see: impl FnOnce(&mut Slot) -> T) -> T {
        let groups = SLOTS / LOCKS / WAYS;
        let at = usize::try_from(tag >> 1).unwrap_or(usize::MAX);
        let mut none = Slot::default();
        let Some(lock) = self.locks.get(at % LOCKS) else { return see(&mut none) };
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
            Some(slot) => see(slot),
            None => see(&mut none),
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

    const FROM: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8)));

    /// Whether a guess that is wrong is refused.
    fn refused(guesses: &Guesses, what: Guessed, whose: Whose<'_>, now: f64) -> bool {
        guesses.take_at(&[(what, whose)], now).is_err()
    }

    // Goal: so many failures and no more are let through, each kind and each name, address, client,
    // and person for itself, and time lets them through again. Method: failures at stated moments.
    #[test]
    fn guesses_are_limited_by_kind_and_by_whose_they_are() {
        let guesses = Guesses::new();
        let alice = Whose::NameFrom("alice", FROM);
        for tried in 0..10 {
            assert!(!refused(&guesses, Guessed::Password, alice, 1.0), "attempt {tried}");
        }
        assert!(refused(&guesses, Guessed::Password, alice, 1.0));
        assert!(refused(&guesses, Guessed::Password, Whose::NameFrom(" ALICE", FROM), 1.0));
        for others in [
            Whose::NameFrom("bob", FROM),
            Whose::NameFrom("alice", OTHER),
            Whose::NameThrough("alice", "app"),
            Whose::Person("alice"),
            Whose::Client("alice"),
            Whose::Address(FROM),
        ] {
            assert!(!refused(&guesses, Guessed::Password, others, 1.0), "{others:?}");
        }
        assert!(!refused(&guesses, Guessed::UserCode, alice, 1.0));
        // One more every six seconds, and all of them after a minute.
        assert!(refused(&guesses, Guessed::Password, alice, 6.5));
        assert!(!refused(&guesses, Guessed::Password, alice, 7.5));
        assert!(refused(&guesses, Guessed::Password, alice, 7.5));
        for _ in 0..10 {
            assert!(!refused(&guesses, Guessed::Password, alice, 70.0));
        }
        assert!(refused(&guesses, Guessed::Password, alice, 70.0));
        assert!((0..100).all(|_| !refused(
            &guesses,
            Guessed::Password,
            Whose::Address(None),
            70.0
        )));
    }

    // Goal: attempts at the same time are counted before they are looked at, one that is right
    // leaves nothing behind, and one that is refused takes no place elsewhere. Method: places that
    // are held together, given back, and dropped, in a narrow bucket and a wide one.
    #[test]
    fn a_place_is_taken_before_a_guess_is_looked_at() {
        fn places(name: &str) -> [(Guessed, Whose<'_>); 2] {
            let at = Whose::Address(FROM);
            [(Guessed::UserCode, Whose::Person(name)), (Guessed::UserCodes, at)]
        }
        let guesses = Guesses::new();
        let held: Vec<_> = (0..10).map(|_| guesses.take(&places("alice")).unwrap()).collect();
        assert!(guesses.take(&places("alice")).is_err());
        held.into_iter().for_each(Guess::give_back);
        for _ in 0..1_000 {
            guesses.take(&places("alice")).unwrap().give_back();
        }
        let wrong = (0..20).filter(|_| guesses.take(&places("alice")).is_ok()).count();
        assert_eq!(wrong, 10);
        // Ten of a hundred places of the address are gone.
        let others = (0..200).filter(|n| guesses.take(&places(&n.to_string())).is_ok()).count();
        assert!((90..95).contains(&others), "{others}");
        // Those that were refused for the address have taken nothing of the person's.
        let own = [(Guessed::UserCode, Whose::Person("199"))];
        assert_eq!((0..20).filter(|_| guesses.take(&own).is_ok()).count(), 10);
    }

    // Goal: no address has more than its share of the passwords at a time, and a place that ends in
    // any way makes room. Method: take places until one is refused, from two addresses.
    #[test]
    fn an_address_has_a_share_of_the_passwords_at_a_time() {
        let guesses = Guesses::new();
        let taken = |from| guesses.take(&[(Guessed::Passwords, Whose::Address(from))]);
        let mut held: Vec<_> = (0..PASSWORDS_AT_ONCE).map(|_| taken(FROM).unwrap()).collect();
        assert!(taken(FROM).is_err());
        taken(OTHER).unwrap().give_back();
        held.pop().unwrap().give_back();
        held.push(taken(FROM).unwrap());
        assert!(taken(FROM).is_err());
        drop(held.pop());
        taken(FROM).unwrap().give_back();
        drop(held);
        assert!(guesses.at_once.lock().is_empty());
    }

    // Goal: what waits to be decided is bounded for a client, a large row counting as several; the
    // bound leaks in the time that a row waits. Method: rows until one is refused.
    #[test]
    fn pending_rows_are_bounded_by_client() {
        let (guesses, lifetime) = (Guesses::new(), Duration::from_secs(600));
        let what = Guessed::Pending(lifetime);
        let stored = |units, now| guesses.fill(what, Whose::Client("tv"), units, now).is_ok();
        assert_eq!((0..10_000).filter(|_| stored(1, 1.0)).count(), 4_096);
        assert!(!stored(1, 1.0));
        assert_eq!((0..10_000).filter(|_| stored(4, 301.0)).count(), 512);
        assert!(guesses.stored(what, Whose::Client("phone"), 16_384).is_ok());
        let more = (0..4_096)
            .filter(|_| guesses.fill(what, Whose::Client("phone"), 1, guesses.now()).is_ok());
        assert!((4_092..4_096).contains(&more.count()));
    }

    // Goal: the addresses of one IPv6 customer share their limit, and whoever fails the most is
    // remembered the longest, however many others there are. Method: ten failures from addresses of
    // one /64; then one each from more networks than there are slots.
    #[test]
    fn the_table_forgets_the_emptiest_first() {
        let guesses = Guesses::new();
        let address = |network: u32, host: u16| {
            let own = u128::from(network) << 64 | u128::from(host);
            Whose::Address(Some(IpAddr::V6(Ipv6Addr::from(0x2001_0db8 << 96 | own))))
        };
        for host in 0..10 {
            assert!(!refused(&guesses, Guessed::Password, address(0, host), 1.0));
        }
        assert!(refused(&guesses, Guessed::Password, address(0, 77), 1.0));
        for network in 1..100_000 {
            let _ = refused(&guesses, Guessed::Password, address(network, 0), 1.0);
        }
        assert!(refused(&guesses, Guessed::Password, address(0, 78), 1.0));
    }
}
