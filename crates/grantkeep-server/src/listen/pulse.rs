//! What each connection is doing, and since when: so that those that do nothing are closed, and
//! make room for others.
//!
//! 1. A connection waits for the head of a request, or receives the rest of one, or is being
//!    answered. [`Pulse`] says which, in one word that the connection's own task writes and
//!    everybody reads.
//! 2. [`Guarded`] polls a connection and looks at its pulse now and then. One that has waited too
//!    long ends; where a body or an answer takes too long the pulse says so, and it is cut short.
//!    The look is every quarter of the shorter limit, so a limit is kept to within a quarter, and
//!    no request costs a timer of its own.
//! 3. Whoever wants room asks [`Held::make_room`]: of the next [`LOOKED_AT`] connections in a ring
//!    one is told to end. It is one of an address that has more than its share of the ring, if
//!    there is one, and of these the one that has gone without a whole request the longest. It ends
//!    only if it still does when it hears of that, which its own task decides: so no request that
//!    has arrived is cut off, and no decision.
//! 4. An address counts as itself, and one of IPv6 by its /64, which is one customer's. No address
//!    is refused for its share, so a proxy may have all connections: then the share decides
//!    nothing.

use super::Limits;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Connections among which one is chosen to make room.
const LOOKED_AT: usize = 256;

/// An address that has more than one connection of so many makes room before the others.
const SHARE: usize = 8;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nothing, or it is in the middle of a head.
    Waits,
    /// A head has come, and its body has not.
    Receives,
    /// A request has come as a whole.
    Answers,
}

/// How much another wants a connection to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    None,
    UnlessReceives,
    UnlessAnswers,
    Anyhow,
}

/// What one connection is doing, and whose it is.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// The address that it counts to.
    network: IpAddr,
    /// Milliseconds from `began` to when its present phase began, times four; and the phase.
    phase: AtomicU64,
    /// Set once a body or an answer takes too long. Written and read by the connection's task
    /// alone.
    overdue: AtomicBool,
    /// The strongest [`Wish`] so far. Set by whoever wants it to end, taken by its task.
    wish: AtomicU8,
    task: AtomicWaker,
    /// Where it is in [`Held`]; under its lock.
    at: AtomicUsize,
}

impl Pulse {
    fn new(network: IpAddr) -> Self {
        Self {
            began: Instant::now(),
            network,
            phase: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
            wish: AtomicU8::new(Wish::None as u8),
            task: AtomicWaker::new(),
            at: AtomicUsize::new(0),
        }
    }

    /// The head of a request has arrived.
    pub(super) fn receiving(&self) {
        self.enter(Phase::Receives);
    }

    /// A request has arrived.
    pub(super) fn answering(&self) {
        self.enter(Phase::Answers);
    }

    /// It is answered, and the next one is waited for.
    pub(super) fn waiting(&self) {
        self.enter(Phase::Waits);
    }

    fn enter(&self, phase: Phase) {
        self.overdue.store(false, Ordering::Relaxed);
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.phase.store(millis << 2 | phase as u64, Ordering::Relaxed);
    }

    /// What it is doing, and for how long.
    fn look(&self) -> (Phase, Duration) {
        let word = self.phase.load(Ordering::Relaxed);
        let phase = match word & 3 {
            0 => Phase::Waits,
            1 => Phase::Receives,
            _ => Phase::Answers,
        };
        let since = Duration::from_millis(word >> 2);
        (phase, self.began.elapsed().saturating_sub(since))
    }

    /// What a future comes to; `None` where its phase takes too long before.
    pub(super) async fn in_time<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.overdue.load(Ordering::Relaxed) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Tells it to end.
    fn dismiss(&self, wish: Wish) {
        self.wish.fetch_max(wish as u8, Ordering::Release);
        self.task.wake();
    }

    /// Whether it was told to end, and does what it may be ended in.
    fn is_dismissed(&self) -> bool {
        self.wish.swap(Wish::None as u8, Ordering::Acquire) > self.look().0 as u8
    }
}

/// What connections of this address count to.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// All connections that are open.
#[derive(Debug, Default)]
pub(super) struct Held {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    pulses: Vec<Arc<Pulse>>,
    /// How many of them count to each address; none for nothing.
    networks: HashMap<IpAddr, usize>,
    /// Where the next look begins.
    next: usize,
}

impl Ring {
    /// Whether an address has more than its share.
    fn is_crowd(&self, network: IpAddr) -> bool {
        self.networks.get(&network).is_some_and(|count| count * SHARE > self.pulses.len())
    }
}

impl Held {
    /// Notes a connection from this address for as long as the answer lives.
    pub(super) fn hold(self: &Arc<Self>, from: IpAddr) -> Holding {
        let pulse = Arc::new(Pulse::new(network_of(from)));
        let mut ring = self.ring.lock();
        pulse.at.store(ring.pulses.len(), Ordering::Relaxed);
        ring.pulses.push(Arc::clone(&pulse));
        *ring.networks.entry(pulse.network).or_default() += 1;
        drop(ring);
        Holding { held: Arc::clone(self), pulse }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.ring.lock().pulses.len()
    }

    /// Has one of some connections end, and none that is being answered; false where all are.
    pub(super) fn make_room(&self) -> bool {
        let mut ring = self.ring.lock();
        let len = ring.pulses.len();
        let from = ring.next;
        ring.next = (from + LOOKED_AT) % len.max(1);
        let looked_at =
            (0..LOOKED_AT.min(len)).filter_map(|step| ring.pulses.get((from + step) % len));
        let idle = looked_at.filter_map(|pulse| match pulse.look() {
            (Phase::Answers, _) => None,
            _ if pulse.wish.load(Ordering::Relaxed) != Wish::None as u8 => None,
            (_, waited) => Some((ring.is_crowd(pulse.network), waited, pulse)),
        });
        let chosen = idle.max_by_key(|(crowd, waited, _)| (*crowd, *waited));
        let chosen = chosen.map(|(_, _, pulse)| Arc::clone(pulse));
        drop(ring);
        // Not under the lock: waking may run what is another's.
        chosen.inspect(|pulse| pulse.dismiss(Wish::UnlessAnswers)).is_some()
    }

    /// Has all end that have waited for so long and are in no request.
    pub(super) fn dismiss_resting(&self, least: Duration) {
        let all: Vec<_> = self.ring.lock().pulses.clone();
        let resting = all.iter().filter(|pulse| pulse.look().1 >= least);
        resting.for_each(|pulse| pulse.dismiss(Wish::UnlessReceives));
    }

    /// Has all end, whatever they do.
    pub(super) fn end_all(&self) {
        let all: Vec<_> = self.ring.lock().pulses.clone();
        for pulse in all {
            pulse.dismiss(Wish::Anyhow);
        }
    }
}

/// A connection that is noted.
#[derive(Debug)]
pub(super) struct Holding {
    held: Arc<Held>,
    pub(super) pulse: Arc<Pulse>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut ring = self.held.ring.lock();
        let at = self.pulse.at.load(Ordering::Relaxed);
        debug_assert!(ring.pulses.get(at).is_some_and(|held| Arc::ptr_eq(held, &self.pulse)));
        if at < ring.pulses.len() {
            ring.pulses.swap_remove(at);
        }
        if let Some(moved) = ring.pulses.get(at) {
            moved.at.store(at, Ordering::Relaxed);
        }
        if let Entry::Occupied(mut count) = ring.networks.entry(self.pulse.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A connection that ends when it waits for too long, or is told to.
pub(super) struct Guarded<C> {
    connection: Pin<Box<C>>,
    pulse: Arc<Pulse>,
    limits: Limits,
    look: Pin<Box<Sleep>>,
}

impl<C: Future> Guarded<C> {
    pub(super) fn new(connection: C, pulse: Arc<Pulse>, limits: Limits) -> Self {
        let look = Box::pin(tokio::time::sleep(between_looks(&limits)));
        Self { connection: Box::pin(connection), pulse, limits, look }
    }
}

/// How often a pulse is looked at.
fn between_looks(limits: &Limits) -> Duration {
    (limits.head.min(limits.request) / 4).max(Duration::from_millis(1))
}

impl<C: Future> Future for Guarded<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Before the wish is looked at: whoever has one wakes this task from then on.
        this.pulse.task.register(context.waker());
        if this.connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if this.pulse.is_dismissed() {
            return Poll::Ready(());
        }
        while this.look.as_mut().poll(context).is_ready() {
            let (phase, taken) = this.pulse.look();
            let most = match phase {
                Phase::Waits | Phase::Receives => this.limits.head,
                Phase::Answers => this.limits.request,
            };
            if taken >= most {
                if phase == Phase::Waits {
                    return Poll::Ready(());
                }
                this.pulse.overdue.store(true, Ordering::Relaxed);
                if this.connection.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
            }
            let next = Instant::now() + between_looks(&this.limits);
            this.look.as_mut().reset(next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const LIMITS: Limits = Limits {
        connections: 4,
        head: Duration::from_secs(8),
        request: Duration::from_secs(20),
        stop: Duration::from_secs(1),
    };

    const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    /// How long a connection lives on whose pulse this is done first.
    async fn lives(touch: impl FnOnce(&Pulse)) -> Option<Duration> {
        let held = Arc::new(Held::default());
        let holding = held.hold(HERE);
        touch(&holding.pulse);
        let began = Instant::now();
        let guarded = Guarded::new(pending::<()>(), Arc::clone(&holding.pulse), LIMITS);
        let ended = tokio::time::timeout(Duration::from_secs(3_600), guarded).await;
        ended.ok().map(|()| began.elapsed())
    }

    // Goal: a connection that sends nothing ends at its limit and no more than a quarter later; one
    // whose request has not come as a whole makes room, but not for a stop; one that is being
    // answered does not end, whoever wants room, but when all end. Method: time that jumps.
    #[tokio::test(start_paused = true)]
    async fn connections_that_wait_for_too_long_end() {
        let waited = lives(|_| {}).await.unwrap();
        assert!(waited >= LIMITS.head && waited <= LIMITS.head + LIMITS.head / 4, "{waited:?}");
        for phase in [Phase::Waits, Phase::Receives, Phase::Answers] {
            for wish in [Wish::UnlessReceives, Wish::UnlessAnswers, Wish::Anyhow] {
                let told = lives(|pulse| (pulse.enter(phase), pulse.dismiss(wish)).0).await;
                let at_once = told == Some(Duration::ZERO);
                assert_eq!(at_once, wish as u8 > phase as u8, "{phase:?}, {wish:?}");
            }
        }
        assert_eq!(lives(Pulse::answering).await, None);
    }

    // Goal: what a phase waits for is given up at its limit: the rest of a request as soon as a
    // head, an answer later. Method: a future that never comes, in each of the two phases.
    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_given_up() {
        for (phase, limit) in [(Phase::Receives, LIMITS.head), (Phase::Answers, LIMITS.request)] {
            let held = Arc::new(Held::default());
            let pulse = Arc::clone(&held.hold(HERE).pulse);
            pulse.enter(phase);
            let began = Instant::now();
            let connection = async { assert_eq!(pulse.in_time(pending::<()>()).await, None) };
            Guarded::new(connection, Arc::clone(&pulse), LIMITS).await;
            let taken = began.elapsed();
            assert!(taken >= limit && taken <= limit + LIMITS.head / 4, "{phase:?}: {taken:?}");
        }
    }

    fn unwanted(holdings: &[Holding]) -> Vec<bool> {
        holdings.iter().map(|one| one.pulse.wish.load(Ordering::Relaxed) > 0).collect()
    }

    // Goal: room is made by the connection that has gone without a whole request the longest, and
    // never by one that is being answered; a connection that has ended is forgotten. Method: some
    // that began one after the other, one that is being answered, and one in a body.
    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_waited_the_longest_makes_room() {
        let held = Arc::new(Held::default());
        let mut holdings = Vec::new();
        for _ in 0..4 {
            let holding = held.hold(HERE);
            holding.pulse.receiving();
            holdings.push(holding);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        holdings[0].pulse.answering();
        for expected in [[false, true, false, false], [false, true, true, false]] {
            assert!(held.make_room());
            assert_eq!(unwanted(&holdings), expected);
        }
        drop(holdings.remove(3));
        assert!(!held.make_room());
        drop(holdings.remove(0));
        assert_eq!(held.count(), 2);
        assert_eq!(held.ring.lock().networks.get(&network_of(HERE)), Some(&2));
        drop(holdings);
        assert!(held.count() == 0 && !held.make_room());
        assert!(held.ring.lock().networks.is_empty());
    }

    // Goal: an address that has more than its share makes room before others that have waited
    // longer, until it has its share; one of IPv6 counts by its /64. Method: one old connection of
    // each of many addresses, then as many of one network.
    #[tokio::test(start_paused = true)]
    async fn an_address_with_more_than_its_share_makes_room_first() {
        let others = 40;
        let of = |at: u32| IpAddr::from([10, 0, 0, u8::try_from(at).unwrap()]);
        let one =
            |at: u32| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, u16::try_from(at).unwrap()]);
        let held = Arc::new(Held::default());
        let old: Vec<_> = (0..others).map(|at| held.hold(of(at))).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut crowd: Vec<_> = (0..others).map(|at| held.hold(one(at))).collect();
        while crowd.len() * SHARE > held.count() {
            assert!(held.make_room());
            assert!(!unwanted(&old).contains(&true), "another made room");
            crowd.retain(|one| one.pulse.wish.load(Ordering::Relaxed) == 0);
        }
        assert_eq!(crowd.len(), 5);
        assert!(held.make_room() && unwanted(&old).contains(&true));
        assert!(!unwanted(&crowd).contains(&true));
    }
}
